"""`train --profile`: some real steps under torch's profiler, which leave no trace in the training: a Chrome trace and one table."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch.profiler import ProfilerActivity, record_function

from genwright.console import Printed, size
from genwright.families.base import Family
from genwright.training import compilation, phases, precision
from genwright.training.base import NOT_PLANNED, Batches, Settings
from genwright.training.profiling import peaks
from genwright.training.profiling.breakdown import KINDS, Breakdown, Kind, breakdown
from genwright.training.profiling.trace import WINDOW, read
from genwright.training.trainer import Trainer

_WARM, _STEPS = 4, 5


class Profile(Printed, BaseModel):
    """What the table shows. Seconds are of one step; rates are a second."""

    how: str
    steps: int
    seconds: float
    """Without the profiler."""
    profiled_seconds: float
    by_kind: dict[Kind, float]
    """Of `profiled_seconds`."""
    flops: float
    """Of the matrix products of a step, the optimizer's left out."""
    peak_flops: float
    memory_rate: float | None
    copy_rate: float

    @property
    def products_of_peak(self) -> float:
        """The rate of the products and attention, while they run, as a share of the peak."""
        busy = self.by_kind["products"] + self.by_kind["attention"]
        return self.flops / busy / self.peak_flops if busy else 0.0

    @property
    def step_of_peak(self) -> float:
        """The same over the whole step: what is called model FLOP utilisation, beside a measured peak."""
        return self.flops / self.seconds / self.peak_flops

    @property
    def memory_of_copy(self) -> float | None:
        return None if self.memory_rate is None else self.memory_rate / self.copy_rate

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table(title=f"where a step goes: {self.how}", show_header=False, title_justify="left")
        table.add_column(style="bold")
        table.add_column(justify="right")
        table.add_column(justify="right")
        table.add_column()
        for row in self._rows():
            table.add_row(*row)
        return table

    def _rows(self) -> Iterable[tuple[str, ...]]:
        yield "a step", _ms(self.seconds), "", f"{_ms(self.profiled_seconds)} under the profiler, mean of {self.steps}"
        for kind, title in KINDS.items():
            seconds = self.by_kind[kind]
            yield title, _ms(seconds), f"{seconds / self.profiled_seconds:.0%}", self._beside(kind)
        yield "the whole step", "", f"{self.step_of_peak:.0%}", "of the peak, by its products"

    def _beside(self, kind: Kind) -> str:
        if kind == "products" and self.by_kind[kind]:
            return f"with attention at {self.products_of_peak:.0%} of the peak measured here, {self.peak_flops / 1e12:,.4g} TFLOP/s"
        if kind == "memory" and self.memory_of_copy is not None:
            return f"at about {self.memory_of_copy:.0%} of the rate of copying measured here, {size(self.copy_rate)} a second"
        return ""


def profile(
    family: Family, batches: Batches, settings: Settings, device: torch.device, file: Path, how: str
) -> Profile:
    """Profile steps of a training in a trainer of their own, in the longest stretch in which the same phases run; `file` gets the trace.

    The family's weights are changed, the global random state is put back. `how`: what runs, in words.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        endless = settings.model_copy(
            update={"steps": NOT_PLANNED}
        )  # a short training has fewer steps than are profiled
        trainer = Trainer(family, batches, endless, device)
        _, trainer.progress.borders = max(
            phases.stretches(family.phases, endless.steps), key=lambda stretch: stretch[0]
        )
        cycle = math.lcm(*(phase.every for phase in family.phases))
        with contextlib.closing(trainer.stream):
            flops = family.flops({k: v.to(device) for k, v in batches.batch(0, settings.batch).items()})
            found = profile_steps(trainer.take_step, device, file, flops, settings.precision, how, cycle)
        if settings.compile:
            compilation.remove(family.modules)
        return found


def profile_steps(
    step: Callable[[], Any],
    device: torch.device,
    file: Path,
    flops: float,
    computed_in: precision.Precision,
    how: str,
    cycle: int = 1,
) -> Profile:
    """The same of any function that takes a step of `flops` operations; every `cycle` of them make a whole."""
    steps = _STEPS * cycle
    for _ in range(_WARM * cycle):
        step()
    seconds = _timed(step, steps, device)
    split = _traced(step, steps, device, file)
    return Profile(
        how=how,
        steps=steps,
        seconds=seconds,
        profiled_seconds=split.seconds,
        by_kind=split.by_kind,
        flops=flops,
        peak_flops=peaks.product_rate(device, computed_in),
        memory_rate=split.memory_rate,
        copy_rate=peaks.copy_rate(device),
    )


def _timed(step: Callable[[], Any], steps: int, device: torch.device) -> float:
    precision.synchronise(device)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    precision.synchronise(device)
    return (time.perf_counter() - start) / steps


def _traced(step: Callable[[], Any], steps: int, device: torch.device, file: Path) -> Breakdown:
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it would tell on the terminal when it begins and ends
    on_card = [ProfilerActivity.CUDA] if device.type == "cuda" else []
    with torch.profiler.profile(activities=[ProfilerActivity.CPU, *on_card], record_shapes=True) as profiler:
        step()  # the profiler's own first step is like no other
        precision.synchronise(device)
        with record_function(WINDOW):
            for _ in range(steps):
                step()
            precision.synchronise(device)
    file.unlink(missing_ok=True)
    profiler.export_chrome_trace(str(file))
    return breakdown(read(file), steps)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f} ms"
