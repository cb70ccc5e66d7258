"""The text sampler is exact: as transformers, alone as in company, with borrowed prompts, guesses, small room, by torch and compiled."""

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.families.transformer import cache as caches
from genwright.families.transformer import session as text_session
from genwright.families.transformer.cache import SlotCache
from genwright.families.transformer.drafts import LONGEST, Drafts
from genwright.families.transformer.options import Controls, Opening
from genwright.families.transformer.reader import NativeReader, TorchReader
from genwright.families.transformer.session import TextState
from genwright.networks.native import build as native_build
from genwright.networks.native import decoder as native_decoder
from helpers.text_families import KINDS, PROMPTS, alone, request, text_family


@pytest.fixture(params=["compiled", "torch"])
def reader(request, monkeypatch) -> Iterator[str]:
    if request.param == "torch":
        monkeypatch.setattr(native_decoder, "library", lambda: None)
    elif native_build.library() is None:
        pytest.skip("no C++ compiler here")
    yield request.param


def test_the_reader_is_the_best_there_is(reader):
    assert isinstance(text_family().open(1, Opening()).reader, NativeReader if reader == "compiled" else TorchReader)


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_text_is_that_of_transformers(kind, reader, tmp_path):
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    model = text_family(kind)
    save_file(
        {name: t.contiguous() for name, t in model.export_tensors().items()},
        tmp_path / "model.safetensors",
        metadata={"format": "pt"},
    )
    (tmp_path / "config.json").write_text(json.dumps(model.foreign_config()))
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    written = set()
    for prompt in PROMPTS[1:6]:
        token_1T = torch.tensor([prompt])
        whole = theirs.generate(
            token_1T, attention_mask=torch.ones_like(token_1T), max_new_tokens=60, do_sample=False, pad_token_id=0
        )[0, len(prompt) :].tolist()
        ours = list(request(model.open(2, Opening()), Engine(), prompt, 60))
        assert ours == (whole[: whole.index(0)] if 0 in whole else whole)
        written |= set(ours)
    assert len(written) > 5


def test_the_same_alone_and_among_eight_that_join_and_leave(reader):
    model = text_family()
    expected = alone(model, PROMPTS[4], 80)
    engine, session = Engine(), model.open(9, Opening())
    ours = request(session, engine, PROMPTS[4], 80)
    got = [next(ours) for _ in range(10)]
    others = []
    for index, prompt in enumerate([*PROMPTS[:4], *PROMPTS[5:]]):
        others.append((prompt, 5 + 3 * index, request(session, engine, prompt, 5 + 3 * index)))
        got.append(next(ours))
    others.pop(2)[2].close()  # one hangs up
    got += list(ours)
    assert got == expected
    for prompt, count, tokens in others:
        assert list(tokens) == alone(model, prompt, count)


def test_logits_are_the_same_bit_by_bit_however_rows_are_put_together():
    if native_build.library() is None:
        pytest.skip("no C++ compiler here")
    for kind in KINDS:
        for int8 in (False, True):
            model = text_family(kind, initializer_range=0.1)
            decoder = native_decoder.NativeDecoder(model.network, int8)
            text = torch.randint(1, 60, (70,), generator=torch.Generator().manual_seed(1)).tolist()

            def read(cuts: list[int], slot: int, decoder=decoder, text=text, model=model) -> torch.Tensor:
                config = model.network.config
                shape = (config.num_hidden_layers, 3, config.num_key_value_heads, 128, config.head_dim)
                keys, values = torch.zeros(shape), torch.zeros(shape)
                return torch.cat(
                    [
                        decoder.read(text[a:b], [slot] * (b - a), [*range(a, b)], [*range(b - a)], keys, values)
                        for a, b in pairwise(cuts)
                    ]
                )

            whole = read([0, 70], 0)
            for cuts in ([*range(71)], [0, 2, 5, 9, 14, 64, 70], [0, 50, 51, 70]):
                assert torch.equal(read(cuts, 2), whole)
            exact = model.network(torch.tensor([text]))[0]
            error = (whole - exact).abs().max() / exact.abs().max()
            assert error < (0.05 if int8 else 1e-5)
            assert not int8 or error > 1e-5


def test_threads_change_nothing():
    if native_build.library() is None:
        pytest.skip("no C++ compiler here")
    model, before = text_family(), torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            decoder = native_decoder.NativeDecoder(model.network)
            keys, values = torch.zeros(3, 1, 2, 16, 12), torch.zeros(3, 1, 2, 16, 12)
            results.append(decoder.read([5, 6, 7], [0] * 3, [0, 1, 2], [0, 1, 2], keys, values))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


class Counted:
    """A reader that counts the rows it reads."""

    def __init__(self, reader):
        self.reader, self.exact, self.row_cost, self.rows, self.steps = reader, reader.exact, reader.row_cost, 0, 0

    def read(self, tokens, *rest):
        self.rows, self.steps = self.rows + len(tokens), self.steps + 1
        return self.reader.read(tokens, *rest)


def test_the_next_turn_of_a_conversation_reads_only_what_is_new(reader):
    model, engine = text_family(), Engine()
    session = model.open(2, Opening(speculate=False))
    counted = session.reader = Counted(session.reader)
    first = [*range(1, 40)]
    answer = list(request(session, engine, first, 10))
    second = [*first, *answer, 50, 51]
    counted.rows = 0
    assert list(request(session, engine, second, 10)) == alone(model, second, 10)
    assert counted.rows == 3 + 9  # the last token of the answer was never read, and two new ones
    # A request of another kind takes the other slot, so that this conversation may go on.
    list(request(session, engine, [58, 57], 3))
    counted.rows = 0
    list(request(session, engine, second, 1))
    assert counted.rows == 1


def test_requests_with_one_prompt_read_it_once(reader):
    model, engine = text_family(), Engine()
    session = model.open(4, Opening(speculate=False))
    counted = session.reader = Counted(session.reader)
    prompt = [*range(1, 50)]
    answers = [request(session, engine, prompt, 6, seed, temperature=1) for seed in range(4)]
    got = [list(answer) for answer in answers]
    assert got == [alone(model, prompt, 6, seed, temperature=1) for seed in range(4)]
    assert counted.rows == 49 + 3 + 4 * 5
    assert len({tuple(text) for text in got}) > 1


def test_a_prompt_read_in_chunks_gives_the_same(reader, monkeypatch):
    model = text_family()
    whole = alone(model, [*range(1, 50)], 10)
    monkeypatch.setattr(text_session, "PREFILL_CHUNK", 7)
    assert alone(model, [*range(1, 50)], 10) == whole


@pytest.mark.parametrize("temperature", [0, 0.7])
def test_guesses_change_the_steps_and_nothing_else(temperature):
    if native_build.library() is None:
        pytest.skip("no C++ compiler here")
    model = text_family(initializer_range=0.15)  # writes in loops
    prompt = [5, 6, 7, 8, 9, 5, 6, 7, 8, 9, 5, 6, 7]
    plain, guessing = model.open(2, Opening(speculate=False)), model.open(2, Opening())
    plain.reader, guessing.reader = Counted(plain.reader), Counted(guessing.reader)
    for seed in range(3):
        settings_ = {"seed": seed, "temperature": temperature, "repetition_penalty": 1.0}
        texts = [list(request(session, Engine(), prompt, 90, **settings_)) for session in (plain, guessing)]
        assert texts[0] == texts[1]
    if not temperature:
        assert guessing.reader.steps < 0.7 * plain.reader.steps


def test_guesses_obey_constraint_penalty_and_the_end_of_the_context():
    if native_build.library() is None:
        pytest.skip("no C++ compiler here")
    model = text_family(context=32, initializer_range=0.15)

    def constraint(generated):
        allowed_V = torch.ones(60, dtype=torch.bool)
        if len(generated) % 7 == 6:
            allowed_V[generated[-1]] = False
        return allowed_V

    asked = Controls(temperature=0, max_tokens=100, repetition_penalty=1.02)
    texts = [
        list(
            Engine().submit(
                model.open(1, Opening(speculate=guessing)),
                lambda s: s.start([5, 6, 5, 6, 5, 6], torch.Generator(), asked, constraint),
            )
        )
        for guessing in (False, True)
    ]
    assert texts[0] == texts[1] and len(texts[0]) == 100


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(0, 10), st.floats(0, 1.5))
@settings(max_examples=100, deadline=None)
def test_a_guess_is_what_followed_the_same_tokens_before(text, most, cost):
    guess = Drafts().guess(text, most, cost)
    assert len(guess) <= min(most, LONGEST)
    assert not guess or cost <= 0.5  # the chance it starts with
    if guess:
        places = [i for i in range(3, len(text)) if text[i - 3 : i] == text[-3:]]
        assert all((text + guess)[places[-1] + i] == token for i, token in enumerate(guess))


def test_right_guesses_make_it_guess_further_and_wrong_ones_stop_it_for_a_while():
    text, drafts = [1, 2, 3] * 20, Drafts()
    lengths = []
    for right in [True] * 30 + [False] * 40:
        guess = drafts.guess(text, 8, 0.15)
        drafts.learn(len(guess), len(guess) if right else 0)
        lengths.append(len(guess))
    assert lengths[0] == 2 and lengths[29] == 8
    assert lengths[-20:].count(0) > 10 and max(lengths[-20:]) == 1


def test_the_cache_grows_by_need_and_keeps_what_it_holds(monkeypatch, reader):
    monkeypatch.setattr(caches, "_FIRST_ROOM", 8)
    model = text_family()
    session, engine = model.open(16, Opening()), Engine()
    assert session.cache.keys.shape[1] == 1 and session.cache.room == 8
    texts = [request(session, engine, prompt, 30) for prompt in PROMPTS[:3]]
    assert [list(text) for text in texts] == [alone(model, prompt, 30) for prompt in PROMPTS[:3]]
    assert session.cache.keys.shape[1] == 4 and 32 <= session.cache.room <= 64


def test_a_session_takes_no_more_at_once_than_the_memory_holds(monkeypatch):
    model = text_family()
    slot = model.open(1, Opening()).cache.slot_bytes
    assert slot == 2 * 3 * 2 * 12 * 4 * 129
    monkeypatch.setattr(text_session, "memory_bytes", lambda device: 4 * 3.5 * slot)
    session = model.open(16, Opening())
    assert session.capacity == 3
    engine = Engine()
    texts = [request(session, engine, prompt, 5) for prompt in PROMPTS]
    assert [list(text) for text in texts] == [alone(model, prompt, 5) for prompt in PROMPTS]


def test_a_slot_that_held_something_alike_is_taken_up_and_the_oldest_given_away():
    cache = SlotCache(1, 3, 1, 32, 4, torch.device("cpu"), torch.float32)
    for text in ([1, 2, 3], [4, 5], [6]):
        cache.tokens[cache.take(text)] += text
    for slot in (2, 0, 1):
        cache.give_back(slot)
    slot = cache.take([4, 5, 9])
    assert (slot, cache.tokens[slot]) == (1, [4, 5])
    slot = cache.take([7])
    assert (slot, cache.tokens[slot]) == (2, [])


def test_int8_without_a_compiler_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setattr(native_decoder, "library", lambda: None)
    with pytest.raises(RequestError, match="C\\+\\+ compiler"):
        text_family().open(1, Opening(weights="int8"))


def test_int8_writes_nearly_the_same(reader):
    if reader == "torch":
        return
    model = text_family()
    a, b = (
        list(request(model.open(1, Opening(weights=weights)), Engine(), PROMPTS[5], 8))
        for weights in ("float32", "int8")
    )
    assert a[:3] == b[:3]


def test_states_say_why_they_ended():
    session = text_family().open(1, Opening())
    state = session.start([1, 2], torch.Generator(), Controls(temperature=0, max_tokens=1))
    session.step([state])
    assert isinstance(state, TextState) and (state.done, state.finish) == (True, "length")
