"""Stop strings: cut exactly before the first one, wherever pieces begin and end."""

from hypothesis import given
from hypothesis import strategies as st

from genwright.tasks.text.stop import Stopper

SHORT = st.text("ab🦊", max_size=3)


@given(pieces=st.lists(SHORT, max_size=12), stop=st.lists(SHORT, max_size=3))
def test_a_text_in_pieces_is_cut_like_the_whole(pieces, stop):
    stopper, out = Stopper(stop), []
    for piece in pieces:
        out.append(stopper.feed(piece))
        if stopper.stopped:
            break
    out.append(stopper.close())
    whole = "".join(pieces)
    # A text is read letter by letter: the stop string that is complete first counts.
    found = [(whole.find(s) + len(s), whole.find(s)) for s in stop if s and s in whole]
    assert stopper.stopped == bool(found)
    if not found:
        assert "".join(out) == whole
    else:
        assert "".join(out) in {whole[: whole.find(s)] for s in stop if s and s in whole}
        assert not any(s and s in "".join(out) for s in stop)


def test_what_may_begin_a_stop_string_is_held_back():
    stopper = Stopper(["END", "\n\n"])
    assert [stopper.feed(p) for p in ("one E", "N", "X\n", "two", "\n")] == ["one ", "", "ENX", "\ntwo", ""]
    assert stopper.feed("\nthree") == "" and stopper.stopped
    assert stopper.feed("more") == "" and stopper.close() == ""


def test_a_text_that_ends_by_itself_loses_nothing():
    stopper = Stopper(["END"])
    assert stopper.feed("the EN") + stopper.close() == "the EN"
    assert not stopper.stopped
