"""How large an evaluation may be: by its share of a budget in minutes, written down before it counts; else all of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.recipe import EvaluateSettings, Recipe
from genwright.scores import ScoreSheet
from genwright.settings import Budget
from genwright.stages.evaluate import effort


def recipe(budget: str = "100s", **settings: object) -> Recipe:
    made = SimpleNamespace(
        train=SimpleNamespace(budget=Budget.parse(budget)), evaluate=EvaluateSettings.model_validate(settings)
    )
    return made  # type: ignore[return-value]


class Bench:
    """Evaluations that take `fixed` seconds, `first` more the first time, and `whole` by their size; on a clock of their own."""

    def __init__(self, fixed: float, whole: float, first: float = 0.0):
        self.now, self.fixed, self.whole, self.first = 0.0, fixed, whole, first
        self.made: list[EvaluateSettings] = []

    def score(self, settings: EvaluateSettings, folder: Path) -> ScoreSheet:
        self.now += self.fixed + self.whole * settings._effort + (0 if self.made else self.first)
        self.made.append(settings)
        return ScoreSheet(metrics=[], rows=[], protocol={"samples": settings.samples}, headline="")

    def evaluate(self, asked: Recipe, folder: Path) -> ScoreSheet:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(effort, "time", SimpleNamespace(monotonic=lambda: self.now))
            return effort.evaluate(asked, folder, self.score)


def test_what_its_share_has_time_for_is_scored_whole(tmp_path: Path) -> None:
    bench = Bench(fixed=1.0, whole=20.0)
    sheet = bench.evaluate(recipe(), tmp_path)
    assert sheet.protocol["samples"] == 500 and bench.now < 50


@pytest.mark.parametrize("stalled", [1, 2, 3])
def test_a_trial_that_the_machine_held_up_is_made_again(stalled: int, tmp_path: Path) -> None:
    bench = Bench(fixed=5.0, whole=20.0, first=3.0)

    def score(settings: EvaluateSettings, folder: Path) -> ScoreSheet:
        bench.now += 30.0 * (len(bench.made) + 1 == stalled)
        return Bench.score(bench, settings, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(effort, "time", SimpleNamespace(monotonic=lambda: bench.now))
        sheet = effort.evaluate(recipe("240s"), tmp_path, score)
    assert sheet.protocol["samples"] == 500 and bench.now <= 120


def test_what_takes_too_long_is_scored_smaller_and_the_same_again(tmp_path: Path) -> None:
    bench = Bench(fixed=1.0, whole=600.0, first=2.0)
    sheet = bench.evaluate(recipe(), tmp_path)
    samples = sheet.protocol["samples"]
    assert 20 <= samples < 60 and bench.now <= 50
    plan = effort.Effort.model_validate_json((tmp_path / effort.FILE).read_text())
    assert plan.samples == samples and plan.of == 500 and plan.seconds == 50
    assert "of 500 samples" in plan.text()
    slow = Bench(fixed=100.0, whole=9999.0)  # a busy day changes nothing
    assert slow.evaluate(recipe(), tmp_path).protocol["samples"] == samples
    assert len(slow.made) == 1
    assert bench.evaluate(recipe(share=2.0), tmp_path).protocol["samples"] > samples  # asked for otherwise


def test_where_a_larger_trial_would_tell_nothing_the_evaluation_follows_the_last(tmp_path: Path) -> None:
    bench = Bench(fixed=0.0, whole=100.0)
    samples = bench.evaluate(recipe(samples=100), tmp_path).protocol["samples"]
    assert 30 <= samples <= 45 and bench.now <= 50
    efforts = [made._effort for made in bench.made]
    assert efforts == sorted(efforts) and sum(efforts[:-1]) < efforts[-1]


def test_what_is_the_same_for_any_size_is_no_reason_to_score_few(tmp_path: Path) -> None:
    """A minute's model of text on two cores: 3 s for what does not grow, and 60 for all 500 samples."""
    bench = Bench(fixed=3.0, whole=60.0, first=2.0)
    samples = bench.evaluate(recipe("60s"), tmp_path).protocol["samples"]
    assert samples >= 70 and bench.now <= 30


def test_a_small_evaluation_that_must_do_is_not_made_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(fixed=80.0, whole=100.0)
    assert bench.evaluate(recipe(), tmp_path).protocol["samples"] == 4
    assert len(bench.made) == 1
    plan = effort.Effort.model_validate_json((tmp_path / effort.FILE).read_text())
    said = capsys.readouterr().err
    assert plan.share and f"--set evaluate.share={plan.share:.2g}" in said
    assert "the fewest there are, for which 50s are too short" in said and "enough for;" not in said
    Bench(fixed=1.0, whole=600.0).evaluate(recipe(), tmp_path / "fits")
    assert "as many as 50s are enough for" in capsys.readouterr().err


def test_where_even_twenty_take_too_long_texts_are_cut_first_and_then_there_are_fewer(tmp_path: Path) -> None:
    """SmolLM2 on two busy cores: 20 replies and what belongs to them would take 200 s of the 45 that there are."""
    bench = Bench(fixed=2.0, whole=5000.0, first=5.0)
    bench.evaluate(recipe("90s"), tmp_path)
    made = bench.made[-1]
    assert bench.now <= 45 and made.samples < 20 and made.length(80) < 80
    assert made.of(100_000, least=4_000) < 4_000
    plan = effort.Effort.model_validate_json((tmp_path / effort.FILE).read_text())
    assert plan.share is not None
    enough = Bench(fixed=2.0, whole=5000.0, first=5.0)
    sheet = enough.evaluate(recipe("90s", share=plan.share * 1.05), tmp_path / "more")
    assert sheet.protocol["samples"] >= 20, "the share that was named is enough"


def test_a_plan_foretells_no_more_than_the_share_and_asks_little(tmp_path: Path) -> None:
    for fixed, whole, budget in (
        (2.0, 5000.0, "90s"),
        (1.0, 10.0, "90s"),
        (1.0, 10.0, "20 steps"),
        (2.0, 300.0, "20 steps"),
    ):
        bench = Bench(fixed, whole, first=3.0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(effort, "time", SimpleNamespace(monotonic=lambda bench=bench: bench.now))
            seconds = effort.foretold(recipe(budget), tmp_path, bench.score)
        really = fixed + whole + 3.0
        assert seconds == pytest.approx(min(really, 45.0) if budget == "90s" else really, rel=0.25)
        assert bench.now < 60


def test_without_minutes_no_clock_is_asked(tmp_path: Path) -> None:
    for budget in ("20 steps", "1M tokens", "5k images"):
        bench = Bench(fixed=1000.0, whole=1000.0)
        assert bench.evaluate(recipe(budget), tmp_path).protocol["samples"] == 500
        assert len(bench.made) == 1


def test_few_samples_that_the_recipe_asks_for_are_all_made(tmp_path: Path) -> None:
    bench = Bench(fixed=1000.0, whole=1000.0)
    assert bench.evaluate(recipe("1s", samples=8), tmp_path).protocol["samples"] == 8
    assert len(bench.made) == 1


@given(fixed=st.floats(0, 20), whole=st.floats(0.1, 5000), first=st.floats(0, 20), budget=st.integers(1, 5000))
def test_it_keeps_to_its_share_where_the_least_does(
    tmp_path_factory: pytest.TempPathFactory, fixed: float, whole: float, first: float, budget: int
) -> None:
    bench = Bench(fixed, whole, first)
    sheet = bench.evaluate(recipe(f"{budget}s"), tmp_path_factory.mktemp("run"))
    least = fixed + first + whole * EvaluateSettings().least_effort * 0.05
    assert bench.now <= max(budget * 0.5, least) + 1e-6
    assert 4 <= sheet.protocol["samples"] <= 500


def test_all_that_an_evaluation_does_shrinks_with_it() -> None:
    settings: Callable[[float], EvaluateSettings] = EvaluateSettings().at
    assert settings(0.1).samples == 50 and settings(0.1).of(20_000) == 2_000
    assert settings(0.1).of(500, least=100) == 100 and settings(0.1).of(40, least=100) == 40
    assert EvaluateSettings(samples=16).of(500) == 500
    assert settings(0.04).samples == 20 and settings(0.04).length(80) == 80  # the least that says something
    assert settings(0.02).samples == 20 and settings(0.02).length(80) == 40 and settings(0.02).of(500, least=100) == 50
    assert settings(0.005).samples == 10 and settings(0.005).length(80) == 20


def test_a_judge_learns_no_longer_than_the_model_where_no_clock_is_asked() -> None:
    whole = EvaluateSettings()
    assert whole.judged(500) == whole.trained_for(9000).judged(500) == 500
    assert whole.trained_for(20).judged(500) == 20 and whole.at(0.1).trained_for(200).judged(500) == 50
