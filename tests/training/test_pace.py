"""A training that turns out slower than its plan: fewer steps, once, before the rate falls, and the same ones again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genwright.errors import WorkError
from genwright.families.base import OptimizerSpec, Phase
from genwright.run import read_json_lines
from genwright.training import checkpoint
from genwright.training.base import CLOCK_COLUMNS, Outcome, Progress, Settings
from genwright.training.pace import Expected, Pace, Revision
from genwright.training.phases import laid_out
from genwright.training.schedule import rate_scale
from genwright.training.trainer import Trainer
from helpers.staged_family import Staged, staged, staged_trainer
from helpers.tiny_family import Lines, Tiny, tiny

CPU = torch.device("cpu")


class Clock:
    """A clock that stands still but for what is done; in place of `time` in the modules that tell by it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now = 100.0
        for module in ("trainer", "pace"):
            monkeypatch.setattr(f"genwright.training.{module}.time", SimpleNamespace(monotonic=lambda: self.now))

    def each_loss_takes(self, family: Any, seconds: Callable[[int], float]) -> Any:
        """`seconds` by how many losses were computed before."""
        loss, count = family.loss, iter(range(10**9))

        def slow(*args: Any) -> Any:
            self.now += seconds(next(count))
            return loss(*args)

        family.loss = slow
        return family


def expecting(seconds_per_step: float, steps: int, limit: float | None = None) -> Expected:
    whole = seconds_per_step * steps
    return Expected(seconds=whole, seconds_per_step=seconds_per_step, beside=0.0, limit=limit)


def slope_only(clock: Clock, seconds: Callable[[int], float]) -> Tiny:
    family = tiny(spec=OptimizerSpec(learning_rate=0.05, decay=0.4))
    family.phases = family.phases[:1]
    return clock.each_loss_takes(family, seconds)


def train(family: Tiny, folder: Path | None, steps: int = 100, **options: Any) -> tuple[Trainer, Outcome]:
    made = Trainer(family, Lines(), Settings(steps=steps, batch=8, checkpoint_every=15), CPU, folder, **options)
    return made, made.run()


def test_a_machine_half_as_fast_ends_in_time_with_half_the_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, written = Clock(monkeypatch), list[Revision]()
    _, outcome = train(
        slope_only(clock, lambda n: 0.4),
        tmp_path,
        expected=expecting(0.2, 100, limit=20.0),
        write_revision=written.append,
    )
    assert len(written) == 1 and written[0].steps in (49, 50)
    assert 25 <= written[0].at <= 30  # the last moment before the rate falls, from 60 % on
    assert outcome.steps == outcome.planned_steps == written[0].steps
    assert outcome.seconds == pytest.approx(20.0, rel=0.1)


def test_a_few_long_steps_are_enough_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    family = slope_only(Clock(monkeypatch), lambda n: 9.0)
    _, outcome = train(family, tmp_path, steps=20, expected=expecting(3.0, 20, limit=60.0))
    assert outcome.steps in (6, 7)


def test_nothing_is_revised_without_need_or_without_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    for number, (seconds, limit) in enumerate([(0.2, 20.0), (0.1, 20.0), (0.208, 20.0), (0.8, None)]):
        family = slope_only(clock, lambda n, seconds=seconds: seconds)
        made, outcome = train(family, tmp_path / str(number), expected=expecting(0.2, 100, limit))
        assert made.revision is None and outcome.steps == 100


def test_a_load_that_comes_after_the_rate_began_to_fall_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = slope_only(Clock(monkeypatch), lambda n: 0.2 if n < 65 else 2.0)
    made, outcome = train(family, tmp_path, expected=expecting(0.2, 100, limit=20.0))
    assert made.revision is None and outcome.steps == 100


def test_a_load_that_comes_late_leaves_as_few_steps_as_the_rate_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = slope_only(Clock(monkeypatch), lambda n: 0.2 if n < 50 else 2.0)
    made, outcome = train(family, tmp_path, expected=expecting(0.2, 100, limit=20.0))
    assert made.revision is not None and made.revision.at > 50
    assert made.revision.steps == outcome.steps < 100
    assert rate_scale(made.revision.at, made.revision.steps, made.family.phases[0].optimizer) == 1.0


@pytest.mark.parametrize("slower, at_least", [(1.5, 60), (1.9, 47)])
def test_a_later_phase_begins_where_fewer_steps_have_it_and_the_time_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slower: float, at_least: int
) -> None:
    """Its border in the longer plan is no reason to wait: that lies behind the limit."""
    family = tiny()
    calm, falling = OptimizerSpec(learning_rate=0.05, decay=0.0), OptimizerSpec(learning_rate=0.05, decay=1.0)
    family.phases = (Phase("first", ("slope",), calm, ends=0.7), Phase("last", ("slope",), falling, begins=0.7))
    family = Clock(monkeypatch).each_loss_takes(family, lambda n: 0.2 * slower)
    made, outcome = train(family, tmp_path, expected=expecting(0.2, 100, limit=20.0))
    assert made.revision is not None and at_least <= outcome.steps <= 100 / slower + 1
    assert outcome.seconds == pytest.approx(20.0, rel=0.1)
    span = made.progress.borders["last"]
    assert (span.end - span.begin) / outcome.steps == pytest.approx(0.3, abs=0.05)


def test_a_limit_that_passed_unseen_ends_the_training_as_soon_as_its_rate_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = slope_only(Clock(monkeypatch), lambda n: 0.2 if n != 30 else 60.0)
    made, outcome = train(family, tmp_path, expected=expecting(0.2, 100, limit=20.0))
    assert made.revision is not None and outcome.steps <= 31 / 0.6 + 2


def test_the_same_plan_again_gives_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    expected = expecting(0.2, 100, limit=20.0)
    first, _ = train(slope_only(clock, lambda n: 0.45), tmp_path / "first", expected=expected)
    again, outcome = train(
        slope_only(clock, lambda n: 0.001), tmp_path / "again", expected=expected, revision=first.revision
    )
    assert outcome.steps == first.settings.steps < 100
    assert_same(first, again, tmp_path / "first", tmp_path / "again")


@pytest.mark.parametrize("stop_after", [3, 24, 33])
def test_stopped_before_or_behind_its_revision_it_ends_the_same(
    stop_after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a plan as it stands on the disk when it is stopped; what was not decided by then is decided by the plan of the other."""
    clock, plan = Clock(monkeypatch), dict[str, Revision]()

    def slow(folder: str, family: Staged, revision: Revision | None) -> Trainer:
        made = staged_trainer(family, tmp_path / folder, 100)
        made.pace, made.revision = Pace(expecting(0.9, 100, limit=90.0)), revision
        made.write_revision = lambda found: plan.__setitem__(folder, found)
        return made

    whole = slow("whole", clock.each_loss_takes(staged(), lambda n: 0.6), None)
    whole.run()
    assert whole.settings.steps < 100

    def until(number: int) -> float:
        if number > stop_after * 4:
            raise WorkError("killed")
        return 0.6

    with pytest.raises(WorkError, match="killed"):
        slow("stopped", clock.each_loss_takes(staged(), until), None).run()
    resumed = slow("stopped", clock.each_loss_takes(staged(), lambda n: 0.1), plan.get("stopped") or whole.revision)
    resumed.run()
    assert resumed.progress.borders == whole.progress.borders
    assert_same(whole, resumed, tmp_path / "whole", tmp_path / "stopped")


def test_patience_goes_on_over_a_revision_and_its_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    def made(family: Tiny, **options: Any) -> Trainer:
        settings = Settings(steps=1000, batch=8, checkpoint_every=50, validate_times=20, patience=9)
        return Trainer(
            family,
            Lines(),
            settings,
            CPU,
            tmp_path,
            validate=lambda step, steps: {"loss": 1.0 if step <= 50 else 2.0},
            **options,
        )

    expected, written = expecting(0.02, 1000, limit=20.0), list[Revision]()

    def until(number: int) -> float:
        if number == 330:
            raise WorkError("killed")
        return 0.04

    with pytest.raises(WorkError, match="killed"):
        made(slope_only(clock, until), expected=expected, write_revision=written.append).run()
    stale = checkpoint.newest(tmp_path / "checkpoints")[2]["best"]["stale"]  # type: ignore[index]
    assert stale > 3
    resumed = made(slope_only(clock, lambda n: 0.04), expected=expected, revision=written[0])
    outcome = resumed.run()
    assert outcome.stopped_early and outcome.steps < written[0].steps


@given(
    steps=st.integers(4, 3000),
    step=st.integers(1, 2999),
    a_step=st.floats(1e-3, 10),
    slower=st.floats(0.1, 30),
    beside=st.floats(0, 100),
    decay=st.floats(0, 0.95),
)
def test_a_revision_is_between_what_was_done_and_what_was_planned(
    steps: int, step: int, a_step: float, slower: float, beside: float, decay: float
) -> None:
    step = min(step, steps - 1)
    phases = (Phase("only", (), OptimizerSpec(decay=decay)),)
    limit = steps * a_step + beside
    with patch("genwright.training.pace.time") as clock:
        clock.monotonic.return_value = 0.0
        pace = Pace(Expected(seconds=limit, seconds_per_step=a_step, beside=beside, limit=limit))
        pace.mark(0)
        clock.monotonic.return_value = max(step, 3) * a_step * slower
        pace.mark(max(step, 3))
    progress = Progress(laid_out(phases, steps), step=step, seconds=step * a_step * slower)
    fewer = pace.revised(progress, steps, phases, {"only": decay})
    if fewer is not None:
        assert step < fewer < steps
        spec = OptimizerSpec(decay=decay, warmup=0)
        before, after = rate_scale(step, steps, spec), rate_scale(step, fewer, spec)
        assert after == 1.0 or (step <= max(steps // 4, 3) and after <= before)


def assert_same(one: Trainer, other: Trainer, folder: Path, other_folder: Path) -> None:
    for name, value in one.weights().items():
        assert torch.equal(value, other.weights()[name]), name
    for name, average in one.averages.items():
        for key, value in average.state_dict().items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, other.averages[name].state_dict()[key])
    records, others = (read_json_lines(at / "metrics.jsonl") for at in (folder, other_folder))
    assert [unclocked(record) for record in records] == [unclocked(record) for record in others]


def unclocked(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in CLOCK_COLUMNS}
