"""From budgets to steps, and what is refused before it starts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from genwright.errors import RequestError
from genwright.recipe import TrainSettings
from genwright.settings import Budget
from genwright.training import forecast, rehearsal
from genwright.training.base import Settings
from genwright.training.forecast import PartPlan
from genwright.training.rehearsal import Measured, rehearse
from helpers.tiny_family import Lines, Tiny, tiny

CPU = torch.device("cpu")
MEASURED = Measured(
    parameters=1000,
    flops_per_step=1e6,
    weight_per_step=640.0,
    seconds_per_step=0.05,
    first_step_seconds=0.4,
    memory_bytes=10**8,
    checkpoint_bytes=16_000,
    best_bytes=4_000,
    checkpoint_seconds=0.1,
    validation_seconds=0.02,
    preview_seconds=0.5,
)
SETTINGS = Settings(steps=1, batch=10)


def plan(budget: str, spent: float = 0.0, held_out: int = 100, **train: object) -> PartPlan:
    return forecast.plan_part(
        MEASURED,
        SETTINGS,
        TrainSettings.model_validate(train),
        Budget.parse(budget),
        held_out_examples=held_out,
        pass_examples=200,
        spent_seconds=spent,
    )


@pytest.mark.parametrize(("budget", "steps"), [("70 steps", 70), ("640k tokens", 1000), ("5000 examples", 500)])
def test_budgets_that_are_no_time_do_not_depend_on_the_clock(budget: str, steps: int) -> None:
    planned = plan(budget, spent=50.0)
    assert planned.settings.steps == steps
    assert planned.settings.validate_times == 20 and planned.settings.previews == 8


def test_a_budget_of_time_ends_where_more_passes_do_no_good() -> None:
    def passes(budget: str) -> float:
        return forecast.plan_part(
            MEASURED,
            SETTINGS,
            TrainSettings.model_validate({}),
            Budget.parse(budget),
            held_out_examples=100,
            pass_examples=200,
            most_passes=24,
        ).passes

    assert passes("10s") < 10 and passes("1h") == 24
    assert passes("4800 steps") == 240  # what is asked for in steps is done


def test_a_budget_of_time_holds_all_that_the_training_does() -> None:
    planned = plan("2m", spent=10.0)
    assert planned.seconds == pytest.approx(110, rel=0.01)
    learning = planned.settings.steps * MEASURED.seconds_per_step
    assert 0.8 * 110 < learning < 110
    assert plan("4m", spent=10.0).settings.steps > 2 * planned.settings.steps
    assert plan("10s", spent=9.0).settings.steps * MEASURED.seconds_per_step >= 3  # planning may not eat it all


def test_validation_costs_little_and_sees_the_same_each_time() -> None:
    planned = plan("100 steps", held_out=10**6)
    assert planned.validation_examples == 10  # a batch at least
    assert plan("100000 steps", held_out=10**6).validation_examples == 7500
    assert plan("100000 steps", held_out=300).validation_examples == 300
    assert plan("100 steps", held_out=0).settings.validate_times == 0


def test_going_on_adds_to_the_steps_that_were_done() -> None:
    planned = plan("100 steps")
    longer = forecast.extended(planned, 100, Budget.parse("50 steps"), 30.0)
    assert longer.settings.steps == 150 and longer.added == 1 and longer.budget == "100 steps + 50 steps"
    stopped_early = forecast.extended(planned, 60, Budget.parse("50 steps"), 30.0)
    assert stopped_early.settings.steps == 110
    minutes = forecast.extended(plan("2m"), 1000, Budget.parse("1m"), 120.0)
    assert 1000 + 900 < minutes.settings.steps <= 1000 + 1200


def test_going_on_costs_what_the_phases_at_the_end_cost() -> None:
    planned = plan("2m")
    late = {"last_seconds_per_step": MEASURED.seconds_per_step * 10, "last_weight_per_step": 320.0}
    planned.measured = planned.measured.model_copy(update=late)
    minutes = forecast.extended(planned, 1000, Budget.parse("1m"), 30.0)
    assert 1000 + 90 < minutes.settings.steps <= 1000 + 120
    assert minutes.seconds == pytest.approx(planned.seconds * 1000 / planned.settings.steps + 60, rel=0.02)
    assert forecast.extended(planned, 1000, Budget.parse("32k tokens"), 30.0).settings.steps == 1100


def test_disk_counts_every_checkpoint_that_may_stand_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan("100 steps", keep_checkpoints=3)
    planned.settings.keep_checkpoints = 3
    assert planned.disk_bytes == pytest.approx(1.1 * (4 * 16_000 + 2 * 4_000))
    forecast.check_room([planned], tmp_path)
    planned.measured.checkpoint_bytes = 10**18
    with pytest.raises(RequestError, match=r"keep_checkpoints.*free"):
        forecast.check_room([planned], tmp_path)


def test_a_network_too_large_is_refused_while_it_is_built() -> None:
    """10^14 parameters would kill the machine; the first matrix of many is enough to know."""
    built = []
    refused = pytest.raises(RequestError, match=r"10 layers needs more than .* free; make the model smaller")
    with refused, forecast.memory_guard(CPU, "10 layers"), torch.device("meta"):
        for _ in range(1000):
            built.append(nn.Linear(100_000, 100_000))
    assert len(built) < 1000
    nn.Linear(3, 3)  # and the guard is gone


def test_a_batch_too_large_is_refused_with_the_accumulation_that_fits() -> None:
    forecast.check_activations(1000, 64, 1e6, 1, CPU)
    with pytest.raises(RequestError, match=r"train\.accumulate=\d+"):
        forecast.check_activations(1000, 10**6, 1e6, 1, CPU)
    with pytest.raises(RequestError, match="one example alone"):
        forecast.check_activations(1000, 10, 1e15, 1, CPU)


@pytest.mark.parametrize(("device", "seconds"), [("meta", 1.0), ("cpu", 200.0)])
def test_what_is_slow_the_first_time_on_a_card_counts_as_it_is_later(
    monkeypatch: pytest.MonkeyPatch, device: str, seconds: float
) -> None:
    """The first validation on an H200 took a hundred times as long as the next: six minutes were foretold for forty seconds."""
    clock = [0.0]
    monkeypatch.setattr(rehearsal.time, "monotonic", lambda: clock[0])
    costs = iter([200.0, 1.0])

    def look() -> None:
        clock[0] += next(costs)

    assert rehearsal.warm_seconds(look, torch.device(device)) == seconds


def test_a_rehearsal_leaves_no_trace(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    measured = rehearse(
        tiny(),
        Lines(),
        Settings(steps=1000, batch=8),
        CPU,
        0.05,
        validate=lambda step, steps: None,
        preview=lambda stem: None,
        scratch=tmp_path,
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert not list(tmp_path.iterdir())
    assert measured.parameters == 16 + 20 + 20 and measured.weight_per_step == 8.0
    assert measured.flops_per_step == 8000.0
    assert measured.seconds_per_step > 0 and measured.memory_bytes > 50e6
    # slope, offset and buffers; two moments or a momentum for each; the average of the slope; and the rest
    assert measured.best_bytes >= 4 * (16 + 20) and measured.checkpoint_bytes > 3 * measured.best_bytes


def slope_alone() -> Tiny:
    """One phase, and nothing in it that a batch of one example can't do."""
    family = tiny()
    family.phases, family.modules["slope"][0] = family.phases[:1], nn.Identity()
    return family


def test_steps_that_are_long_beside_the_budget_are_rehearsed_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large model: an example takes 2 s of a budget of 90, a batch of 16 half a minute."""
    family, clock, sizes, looked = slope_alone(), SimpleNamespace(now=0.0), list[int](), list[str]()
    loss = family.loss

    def slow(phase: str, batch: dict[str, torch.Tensor], *rest: object) -> object:
        sizes.append(len(batch["x"]))
        clock.now += sizes[-1] * 2.0 + 1.0 * (len(sizes) == 1)
        return loss(phase, batch, *rest)  # type: ignore[arg-type]

    family.loss = slow  # type: ignore[method-assign]
    monkeypatch.setattr("genwright.training.rehearsal.time", SimpleNamespace(monotonic=lambda: clock.now))
    measured = rehearse(
        family,
        Lines(),
        Settings(steps=1000, batch=16),
        CPU,
        3.0,
        validate=lambda step, steps: looked.append("validation"),  # type: ignore[func-returns-value]
        preview=lambda stem: looked.append("preview"),
        scratch=tmp_path,
        hurry=4.5,
    )
    assert sizes == [1, 1, 2] and not looked
    assert measured.seconds_per_step == pytest.approx(32.0) and measured.weight_per_step == 16.0
    planned = forecast.plan_part(
        measured,
        Settings(steps=1, batch=16),
        TrainSettings(),
        Budget.parse("300s"),
        held_out_examples=100,
        pass_examples=200,
        spent_seconds=5.0,
    )
    assert planned.seconds == pytest.approx(295, rel=0.12) and planned.settings.steps >= 7
    assert planned.settings.previews == 0 and 1 <= planned.settings.validate_times <= 2


@pytest.mark.parametrize(
    ("each", "fixed", "sizes"),
    [
        (0.3, 2.0, [1, 1, 2]),  # most of the step is the same for any number of examples
        (0.3, 0.5, [1, 1, 5]),
        (
            0.01,
            2.0,
            [1, 1, 2, 32, 32],
        ),  # a whole one is no longer than a rehearsal may be, though 32 times a small one is
        (6.0, 0.0, [1, 1]),
        (20.0, 0.0, [1]),
    ],
)
def test_a_step_has_a_part_that_is_the_same_for_any_number_of_examples(
    each: float, fixed: float, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    family, clock, taken = slope_alone(), SimpleNamespace(now=0.0), list[int]()
    loss = family.loss

    def slow(phase: str, batch: dict[str, torch.Tensor], *rest: object) -> object:
        taken.append(len(batch["x"]))
        clock.now += fixed + taken[-1] * each
        return loss(phase, batch, *rest)  # type: ignore[arg-type]

    family.loss = slow  # type: ignore[method-assign]
    monkeypatch.setattr("genwright.training.rehearsal.time", SimpleNamespace(monotonic=lambda: clock.now))
    measured = rehearse(family, Lines(), Settings(steps=1000, batch=32), CPU, 0.0, hurry=4.5)
    assert taken == sizes
    whole = pytest.approx(fixed + 32 * each)
    assert measured.seconds_per_step == whole and measured.first_step_seconds == whole
    assert measured.last_seconds_per_step == whole and measured.weight_per_step == 32.0


def test_what_was_never_short_of_time_is_rehearsed_whole() -> None:
    family, sizes = slope_alone(), list[int]()
    loss = family.loss

    def noted(phase: str, batch: dict[str, torch.Tensor], *rest: object) -> object:
        sizes.append(len(batch["x"]))
        return loss(phase, batch, *rest)  # type: ignore[arg-type]

    family.loss = noted  # type: ignore[method-assign]
    rehearse(family, Lines(), Settings(steps=1000, batch=8), CPU, 0.0)
    assert sizes == [8] * 4
