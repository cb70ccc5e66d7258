"""Phases that begin and end within a training: their borders, their schedules and averages, and what `--more` leaves as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from genwright.errors import WorkError
from genwright.families.base import Loss, Moment, OptimizerSpec, Phase
from genwright.training import checkpoint, phases, rehearsal
from genwright.training.base import Settings
from genwright.training.phases import Span
from genwright.training.rehearsal import memory_of_one_step, rehearse
from genwright.training.trainer import Trainer
from helpers.staged_family import Staged, staged, staged_trainer
from helpers.tiny_family import Lines, Tiny, tiny

CPU = torch.device("cpu")
EARLY, ALL, LATE = (
    Phase("early", ("a",), ends=0.5),
    Phase("all", ("b",)),
    Phase("late", ("c",), begins=0.6, ends=0.9),
)


def test_shares_become_steps() -> None:
    assert phases.laid_out((EARLY, ALL, LATE), 10) == {"early": (0, 5), "all": (0, 10), "late": (6, 9)}
    assert phases.laid_out((EARLY, ALL, LATE), 1000)["late"] == (600, 900)
    assert phases.laid_out((EARLY, ALL, LATE), 1) == {"early": (0, 1), "all": (0, 1), "late": (0, 1)}  # a step at least


@pytest.mark.parametrize(
    ("done", "steps", "early", "late"),
    [
        (3, 20, (0, 10), (12, 18)),  # no border was passed: all follow the new total
        (5, 20, (0, 10), (12, 18)),  # its last step was just taken, and none behind it
        (6, 20, (0, 5), (12, 18)),  # ended
        (7, 20, (0, 5), (6, 18)),  # and begun: it ends later
        (10, 20, (0, 5), (6, 9)),  # both ended
        (
            4,
            6,
            (0, 4),
            (4, 5),
        ),  # fewer steps than planned, after an early stop: none is drawn back behind what was done
    ],
)
def test_a_border_that_was_passed_stays(done: int, steps: int, early: Span, late: Span) -> None:
    parts = (EARLY, ALL, LATE)
    anew = phases.laid_anew(parts, steps, phases.laid_out(parts, 10), done)
    assert anew == {"early": early, "all": (0, steps), "late": late}


def test_where_one_ends_and_another_begins_nothing_is_left_between() -> None:
    first, second = Phase("first", ("a",), ends=0.5), Phase("second", ("a",), begins=0.5)
    for before in (1, 2, 5, 9, 10):
        for done in range(before + 1):
            for steps in range(done + 1, 25):
                spans = phases.laid_anew((first, second), steps, phases.laid_out((first, second), before), done)
                assert all(any(span.holds(step) for span in spans.values()) for step in range(done, steps))


def test_shares_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`late` begins at 0\.5 and ends at 0\.5"):
        Phase("late", ("a",), begins=0.5, ends=0.5)
    with pytest.raises(ValueError, match="both are shares"):
        Phase("late", ("a",), ends=1.5)
    with pytest.raises(ValueError, match="no phase runs from 50% of the training on"):
        phases.laid_out((EARLY, LATE), 10)


def test_each_phase_runs_between_its_borders_and_is_told_how_far_it_is() -> None:
    family = staged()
    staged_trainer(family, None, steps=10).run()
    assert steps_of(family) == {
        "offset": [0, 1, 2, 3, 4], "slope": list(range(10)), "student": [6, 7, 8, 9], "critic": [6, 8],
    }  # fmt: skip
    shares = {(phase, at.step): (at.share, at.phase_share) for phase, at in family.seen}
    assert shares["offset", 4] == (0.4, 0.8)
    assert shares["slope", 4] == (0.4, 0.4)
    assert shares["student", 6] == (0.6, 0.0) and shares["student", 9] == (0.9, 0.75)
    longer = staged()
    staged_trainer(longer, None, steps=15).run()
    assert steps_of(longer)["critic"] == [9, 11, 13]  # every second step from its own first


def steps_of(family: Staged) -> dict[str, list[int]]:
    """At which steps each phase ran."""
    steps: dict[str, list[int]] = {}
    for phase, at in family.seen[::2]:  # of two micro-batches the first
        steps.setdefault(phase, []).append(at.step)
    return steps


def test_modules_stand_still_outside_their_phase(tmp_path: Path) -> None:
    family = staged()
    trainer = staged_trainer(family, tmp_path, steps=10, checkpoint_every=1)
    trainer.settings.keep_checkpoints = 10
    trainer.run()
    weights = [checkpoint.read(place)[0] for place in reversed(checkpoint.all_in(tmp_path / "checkpoints"))]
    changed = {
        name: [step for step in range(1, 10) if not torch.equal(weights[step][name], weights[step - 1][name])]
        for name in ("offset.weight", "slope.1.weight", "student.weight", "critic.weight")
    }
    assert changed == {
        "offset.weight": [1, 2, 3, 4],
        "slope.1.weight": list(range(1, 10)),
        "student.weight": [6, 7, 8, 9],
        "critic.weight": [6, 8],
    }


def rates(trainer: Trainer, phase: str) -> list[float]:
    """Notes the factor on the learning rate of each step of a phase."""
    found: list[float] = []
    optimizer = trainer.optimizers[phase]
    step = optimizer.step

    def noting(rate_scale: float, *others: Any) -> torch.Tensor:
        found.append(rate_scale)
        return step(rate_scale, *others)

    optimizer.step = noting  # type: ignore[method-assign]
    return found


def two_phases(late: Phase, first: Phase | None = None) -> Tiny:
    family = tiny()
    family.phases = (first or Phase("first", ("slope",)), late)
    return family


def test_warm_up_and_decay_are_the_phases_own() -> None:
    """Of eight steps the phase has the last four: two of warm-up, two of decay."""
    spec = OptimizerSpec(warmup=0.5, decay=0.5, final=0.0)
    trainer = Trainer(
        two_phases(Phase("late", ("offset",), spec, begins=0.5)), Lines(), Settings(steps=8, batch=4), CPU
    )
    found = rates(trainer, "late")
    trainer.run()
    assert found == pytest.approx([1 / 3, 2 / 3, 1.0, 0.5])


def test_the_average_counts_from_the_phases_own_beginning() -> None:
    """Its half-life is a twentieth of the steps of the phase, not of the training, which would be 45 here."""
    late = Phase("late", ("offset",), OptimizerSpec(ema_halflife=1e9, warmup=0.0), begins=0.9)
    family = two_phases(late)
    trainer = Trainer(family, Lines(), Settings(steps=1000, batch=4), CPU)
    trainer.progress.step = 900
    weights, expected = family.modules["offset"].weight, family.modules["offset"].weight.detach().clone()
    for step in range(1, 21):
        trainer.take_step()
        expected = torch.lerp(expected, weights.detach(), 1 - 0.5 ** (20 / step))
        torch.testing.assert_close(trainer.averages["late"].of("offset")["weight"], expected)


def test_more_steps_leave_begun_and_ended_phases_so(tmp_path: Path) -> None:
    staged_trainer(staged(), tmp_path, steps=10).run()
    family = staged()
    trainer = staged_trainer(family, tmp_path, steps=20)
    found = rates(trainer, "student")
    offset = checkpoint.read(checkpoint.all_in(tmp_path / "checkpoints")[0])[0]["offset.weight"]
    trainer.run()
    later = list(range(10, 20))
    assert steps_of(family) == {"slope": later, "student": later, "critic": later[::2]}
    first = next(at for phase, at in family.seen if phase == "student")
    assert (first.share, first.phase_share) == (0.5, 4 / 14)  # of the steps 6 to 20
    # 14 steps: three of warm-up, long past; the last four fall by a quarter each
    assert found == pytest.approx([1.0] * 7 + [0.75, 0.5, 0.25])
    state = checkpoint.read(checkpoint.all_in(tmp_path / "checkpoints")[0])[1]
    assert state["borders"] == {"offset": [0, 5], "slope": [0, 20], "student": [6, 20], "critic": [6, 20]}
    assert torch.equal(family.modules["offset"].weight, offset)


def test_a_border_not_yet_reached_follows_a_larger_budget_and_has_a_warm_up_of_its_own(tmp_path: Path) -> None:
    stopped = staged_trainer(staged(), tmp_path, steps=10, checkpoint_every=3)
    interrupted(stopped, tmp_path, at=3)
    family = staged()
    trainer = staged_trainer(family, tmp_path, steps=20, checkpoint_every=3)
    found = rates(trainer, "student")
    trainer.run()
    assert family.seen[0][1].step == 3
    steps = steps_of(family)
    assert steps["offset"] == list(range(3, 10)) and steps["student"] == list(range(12, 20))
    assert found[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])  # eight steps, two of warm-up


def interrupted(trainer: Trainer, folder: Path, at: int) -> None:
    """Train to a step, with a checkpoint there and no more."""
    steps = trainer.take_step

    def stopping() -> None:
        if trainer.step == at:
            raise WorkError("enough")
        steps()

    trainer.take_step = stopping  # type: ignore[method-assign]
    with pytest.raises(WorkError, match="enough"):
        trainer.run()
    assert checkpoint.all_in(folder / "checkpoints")[0].name == checkpoint.name_of(at)


def test_a_checkpoint_of_before_goes_on_with_phases_that_always_run(tmp_path: Path) -> None:
    def of_before(family: Tiny, steps: int) -> Trainer:
        return Trainer(family, Lines(), Settings(steps=steps, batch=8, checkpoint_every=10), CPU, tmp_path)

    of_before(tiny(), 10).run()
    place = checkpoint.all_in(tmp_path / "checkpoints")[0]
    weights, state = checkpoint.read(place)
    assert state.pop("borders") == {"first": [0, 10], "second": [0, 10]}
    checkpoint.write(place, weights, state, checkpoint.about(place))
    family = tiny()
    of_before(family, 20).run()
    assert family.calls == 15 + 10 + 5  # as many as twenty steps of both


def moments(trainer: Trainer) -> Moment:
    return Moment(trainer.step, trainer.settings.steps, averages=trainer._average)


def test_averages_of_a_module_that_several_phases_train() -> None:
    """First one phase averages it; one that does not average trains it on; at last another averages it anew."""
    averaged = OptimizerSpec(learning_rate=0.05, ema_halflife=5)
    family = tiny()
    family.phases = (
        Phase("first", ("offset",), averaged, ends=0.4),
        Phase("middle", ("offset",), OptimizerSpec(learning_rate=0.05), begins=0.4, ends=0.7),
        Phase("last", ("offset",), averaged, begins=0.7),
        Phase("rest", ("slope",)),
    )
    trainer = Trainer(family, Lines(), Settings(steps=10, batch=8), CPU)
    own = family.modules["offset"].weight

    def shown() -> torch.Tensor:
        with trainer.shown():
            return own.detach().clone()

    with pytest.raises(KeyError, match="no phase that has begun averages `slope`: set ema_halflife"):
        moments(trainer).average("slope")
    assert torch.equal(shown(), own)  # nothing was trained yet
    for _ in range(4):
        trainer.take_step()
    first = trainer.averages["first"].of("offset")["weight"].clone()
    assert torch.equal(shown(), first) and not torch.equal(first, own)
    trainer.take_step()  # by the phase that does not average
    assert torch.equal(shown(), own)
    assert torch.equal(
        moments(trainer).average("offset")["weight"], first
    )  # still to be read, as of the first phase's end
    trainer.take_step()
    trainer.take_step()
    before = own.detach().clone()
    read: list[torch.Tensor] = []
    loss = family.loss

    def reading(phase: str, batch: Any, rng: torch.Generator, at: Moment) -> Loss:
        read.append(at.average("offset")["weight"].clone())
        return loss(phase, batch, rng, at)

    family.loss = reading  # type: ignore[method-assign]
    trainer.take_step()
    assert torch.equal(read[0], before)  # the last phase's average begins with the weights as they stood
    assert torch.equal(shown(), trainer.averages["last"].of("offset")["weight"])
    trainer.finish()
    assert torch.equal(own, trainer.averages["last"].of("offset")["weight"])


def test_what_was_best_before_a_phase_began_is_not_kept_and_nothing_stops_before_it(tmp_path: Path) -> None:
    """The losses rise all the time: without borders it would stop at the third look and keep the first."""
    trainer = staged_trainer(staged(), tmp_path, steps=500)
    trainer.settings.validate_times, trainer.settings.patience = 10, 2
    losses = iter(range(1, 11))
    trainer.validate = lambda step, steps: {"loss": float(next(losses))}
    outcome = trainer.run()
    assert outcome.stopped_early
    assert (outcome.best_step, outcome.best_loss, outcome.steps) == (350, 7.0, 450)  # the late phases began at 300


def test_the_first_phase_that_runs_is_counted() -> None:
    """Tokens or examples go on being counted when the first phase has ended."""
    family = tiny()
    family.phases = (Phase("first", ("slope",), ends=0.5), Phase("second", ("offset",)))
    trainer = Trainer(family, Lines(), Settings(steps=10, batch=8), CPU)
    assert trainer.run().weight == 80


class Priced(Staged):
    """Takes time by a clock of its own: a second for each micro-batch, ten for the critic's."""

    clock = 0.0

    def loss(self, phase: str, batch: Any, rng: torch.Generator, at: Moment) -> Loss:
        self.clock += 10.0 if phase == "critic" else 1.0
        loss = super().loss(phase, batch, rng, at)
        return Loss(loss.value, 2 * loss.weight if phase == "offset" else loss.weight)


def test_a_rehearsal_counts_each_phase_for_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    family = Priced()
    monkeypatch.setattr(rehearsal.time, "monotonic", lambda: family.clock)
    measured = rehearse(family, Lines(), Settings(steps=1000, batch=4), CPU, 100.0, at_most_steps=100)
    # half of the training with offset and slope, a tenth with slope alone, the rest with slope, student and half a critic
    assert measured.seconds_per_step == pytest.approx(0.5 * 2 + 0.1 * 1 + 0.4 * 7)
    assert measured.last_seconds_per_step == pytest.approx(7)
    assert measured.weight_per_step == pytest.approx(0.5 * 8 + 0.5 * 4)  # the offset's examples weigh twice
    assert measured.last_weight_per_step == pytest.approx(4)


def test_what_a_step_weighs_does_not_depend_on_the_time_there_is() -> None:
    short, long = (rehearse(staged(), Lines(), Settings(steps=1000, batch=4), CPU, s) for s in (0.0, 0.2))
    assert (short.weight_per_step, short.last_weight_per_step) == (long.weight_per_step, long.last_weight_per_step)


def test_memory_is_measured_with_every_phase() -> None:
    family = staged()
    memory_of_one_step(family, Lines(), Settings(steps=1000, batch=4), CPU)
    assert {phase for phase, _ in family.seen} == {"offset", "slope", "student", "critic"}
