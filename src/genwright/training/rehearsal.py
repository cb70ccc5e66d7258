"""A few real steps that leave no trace: what a step costs in time, memory and disk on this machine.

A large model takes many seconds a step. Where the budget is in minutes and a step takes more than a small share of it, as little as can
be is rehearsed: one or two steps of a single example, by which a whole one is foretold, and nothing of what is done between steps.
"""

from __future__ import annotations

import gc
import math
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from pydantic import BaseModel

from genwright.families.base import Family
from genwright.training import checkpoint, compilation, phases, precision, saving
from genwright.training.base import Batches, Preview, Settings, Validate
from genwright.training.phases import Borders
from genwright.training.trainer import Trainer

_FAR = 4
"""A first small step that takes so many times what a rehearsal should is not taken once more, though it warms up."""


class Measured(BaseModel):
    """What a rehearsal found. Seconds are clock time on this machine."""

    parameters: int
    flops_per_step: float
    weight_per_step: float
    """Tokens or examples that one step's losses are weighted by."""
    seconds_per_step: float
    """A mean over the training, in which phases begin and end."""
    first_step_seconds: float
    """The first step: memory is taken, kernels are chosen, and compiled where they are."""
    memory_bytes: int
    checkpoint_bytes: int = 0
    best_bytes: int = 0
    checkpoint_seconds: float = 0.0
    validation_seconds: float = 0.0
    preview_seconds: float | None = 0.0
    """None: a step takes so long that previews were neither timed nor are made."""
    last_seconds_per_step: float | None = None
    """With the phases that run at the training's end, which a longer training has more of; None in plans of before: as above."""
    last_weight_per_step: float | None = None


@dataclass
class _Stretch:
    """A stretch of the training in which the same phases run, and what a cycle of steps in it took."""

    share: float
    borders: Borders
    seconds: list[float] = field(default_factory=list)
    weight_per_step: float = 0.0
    examples: int | None = None
    """How many examples the last step had, if it was a small one, after ones of a single example; None: steps were whole."""

    @property
    def usual(self) -> list[float]:
        """Without the first two, which warm up; where two had to do, without the first; a single one is all there is."""
        return self.seconds[2:] or self.seconds[1:] or self.seconds

    def whole(self, batch: int) -> float:
        """What a cycle of whole steps takes. By two small ones, much of a small network's time is the same for any number of examples."""
        if self.examples is None:
            return _typical(self.usual)
        if self.examples == 1:
            return self.seconds[-1] * batch
        _, one, some = self.seconds
        each = min(max(some - one, 0.0) / (self.examples - 1), some / self.examples)
        return some + each * (batch - self.examples)

    def weight(self, batch: int) -> float:
        return self.weight_per_step * (1.0 if self.examples is None else batch / self.examples)


def rehearse(
    family: Family,
    batches: Batches,
    settings: Settings,
    device: torch.device,
    seconds: float,
    *,
    at_most_steps: int = 10**9,
    validate: Validate | None = None,
    preview: Preview | None = None,
    scratch: Path | None = None,
    hurry: float | None = None,
) -> Measured:
    """Take real steps for about `seconds` (but no more than `at_most_steps`, and four cycles of phases), then one of the rest.

    Two cycles must do where they take longer than `hurry` seconds, which only a budget in minutes may say. Where a single step would
    (told by one of one example), steps of one example are taken instead, validation is taken for half a step and previews for too long.

    Where phases begin or end within the training, each stretch between is rehearsed and counts by its share of the steps. With a
    `scratch` folder a checkpoint is written there and timed too. The global random state is put back.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        flops = family.flops(batches.batch(0, settings.batch)) if device.type == "cpu" else 0.0
        _forget_peak(device)
        trainer = Trainer(family, batches, settings, device)
        if not flops:
            flops = family.flops({k: v.to(device) for k, v in batches.batch(0, settings.batch).items()})
        cycle = math.lcm(*(phase.every for phase in family.phases))
        stretches = [_Stretch(*stretch) for stretch in phases.stretches(family.phases, settings.steps)]
        before = peak_memory(device)
        if hurry is None or not _look(stretches, trainer, cycle, hurry):
            _steps(stretches, trainer, cycle, seconds, at_most_steps, hurry)
        small, batch = [stretch.examples for stretch in stretches if stretch.examples is not None], settings.batch
        measured = Measured(
            parameters=sum(p.numel() for p in family.modules.parameters()),
            flops_per_step=flops,
            weight_per_step=sum(stretch.share * stretch.weight(batch) for stretch in stretches),
            seconds_per_step=sum(stretch.share * stretch.whole(batch) for stretch in stretches) / cycle,
            first_step_seconds=(stretches[0].whole(batch) if small else stretches[0].seconds[0]) / cycle,
            memory_bytes=0,
            last_seconds_per_step=stretches[-1].whole(batch) / cycle,
            last_weight_per_step=stretches[-1].weight(batch),
        )
        is_long = hurry is not None and measured.seconds_per_step * cycle > hurry
        if small:  # what gradients and moments take does not grow with the examples
            kept = 12 * sum(optimizer.numbers for optimizer in trainer.optimizers.values())
            activations = max(peak_memory(device) - before - kept, 0) / max(small)
        else:
            activations = 0.0
        _rest(trainer, measured, None if is_long else validate, None if is_long else preview, scratch)
        if is_long:
            measured.validation_seconds = measured.seconds_per_step / 2 if validate else 0.0
            measured.preview_seconds = None
        measured.memory_bytes = peak_memory(device) + round(
            activations * (settings.micro_batches()[0] - max(small, default=0))
        )
        if settings.compile:
            compilation.remove(family.modules)
        return measured


def memory_of_one_step(family: Family, batches: Batches, settings: Settings, device: torch.device) -> int:
    """The most memory there was while one step was taken, of each stretch of the training."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        _forget_peak(device)
        trainer = Trainer(family, batches, settings, device)
        for _, borders in phases.stretches(family.phases, settings.steps):
            trainer.progress.step, trainer.progress.borders = 0, borders
            trainer.take_step()
        return peak_memory(device)


def _rest(
    trainer: Trainer, measured: Measured, validate: Validate | None, preview: Preview | None, scratch: Path | None
) -> None:
    weights, (_, tensors) = trainer.weights(), checkpoint.pack(saving.capture(trainer))
    measured.best_bytes = sum(value.nbytes for value in weights.values())
    measured.checkpoint_bytes = measured.best_bytes + sum(value.nbytes for value in tensors.values())
    if scratch is None:
        return
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".rehearsal-") as folder:
        start = time.monotonic()
        checkpoint.write(Path(folder) / checkpoint.name_of(0), weights, saving.capture(trainer))
        measured.checkpoint_seconds = time.monotonic() - start
        with trainer.shown():
            if validate is not None:
                look = partial(validate, trainer.step, trainer.settings.steps)
                measured.validation_seconds = warm_seconds(look, trainer.device)
            if preview is not None:
                measured.preview_seconds = warm_seconds(partial(preview, Path(folder) / "preview"), trainer.device)


def warm_seconds(work: Callable[[], object], device: torch.device) -> float:
    """What a piece of work takes when it is not the first of its kind. On a card the first one loads and chooses kernels, and may take a
    hundred times as long as any other; on a CPU it is like the others."""
    if device.type != "cpu":
        work()
        precision.synchronise(device)
    start = time.monotonic()
    work()
    precision.synchronise(device)
    return time.monotonic() - start


def _look(stretches: list[_Stretch], trainer: Trainer, cycle: int, hurry: float) -> bool:
    """Whether small steps have to do, tried in each stretch: one of one example to warm up, one more unless that took many times `hurry`
    seconds, and if this did not one of as many as `hurry` is enough for. False where a cycle of whole ones takes no longer than `hurry`."""
    whole = trainer.settings
    if whole.batch <= 2 or whole.compile:  # nothing is smaller; or how long they are was seen before they were compiled
        return False
    if (
        trainer.device.type != "cpu"
    ):  # one example takes a card about as long as all of them, and the first step loads its kernels
        return False

    def take(examples: int) -> float:
        trainer.settings = trainer.micro_batches.settings = whole.model_copy(
            update={"batch": examples, "accumulate": 1}
        )
        took = _timed(trainer, cycle)
        trainer.settings = trainer.micro_batches.settings = whole
        return took

    for stretch in stretches:
        trainer.progress.borders = stretch.borders
        step, weight = trainer.step, float(trainer.weight)
        stretch.seconds, stretch.examples = [take(1)], 1
        if stretch.seconds[0] <= _FAR * hurry:
            stretch.seconds.append(take(1))
            size = max(int(hurry / stretch.seconds[1]), 2)
            if size >= whole.batch:
                break
            if stretch.seconds[1] <= hurry:
                step, weight = trainer.step, float(trainer.weight)
                stretch.seconds.append(take(size))
                stretch.examples = size
        stretch.weight_per_step = (float(trainer.weight) - weight) / (trainer.step - step)
    else:
        if sum(stretch.share * stretch.whole(whole.batch) for stretch in stretches) > hurry:
            return True
    for stretch in stretches:
        stretch.examples = None
    return False


def _steps(
    stretches: list[_Stretch], trainer: Trainer, cycle: int, seconds: float, at_most_steps: int, hurry: float | None
) -> None:
    """Whole steps of each stretch, some to warm up and then for its share of `seconds`."""
    for stretch in stretches:
        stretch.seconds = []
        _begin(stretch, trainer, cycle, hurry)
    for stretch in stretches:
        trainer.progress.borders = stretch.borders
        while sum(stretch.usual) < seconds * stretch.share and trainer.step < at_most_steps:
            stretch.seconds.append(_timed(trainer, cycle))


def _begin(stretch: _Stretch, trainer: Trainer, cycle: int, hurry: float | None) -> None:
    """Four cycles, the first two to warm up. What a step weighs is found after this fixed number of them: it decides how many steps a
    budget in tokens buys, and no clock may."""
    step, weight = trainer.step, float(trainer.weight)
    trainer.progress.borders = stretch.borders
    for number in range(4):
        if number >= 2 and hurry is not None and sum(stretch.seconds) > hurry:
            break
        stretch.seconds.append(_timed(trainer, cycle))
    stretch.weight_per_step = (float(trainer.weight) - weight) / (trainer.step - step)


def _timed(trainer: Trainer, steps: int) -> float:
    start = time.monotonic()
    for _ in range(steps):
        trainer.take_step()
    precision.synchronise(trainer.device)
    return time.monotonic() - start


def _typical(times: list[float]) -> float:
    """The mean of the faster half: what others do on the machine meanwhile is no part of a step. If they go on, the plan is revised to
    fewer steps; to more it never is."""
    return statistics.fmean(sorted(times)[: (len(times) + 1) // 2])


def peak_memory(device: torch.device) -> int:
    """The most memory that this process (CPU) or torch on the card has had since `_forget_peak`."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _forget_peak(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:  # not Linux, or not allowed: the peak since the process began is what there is
        return
