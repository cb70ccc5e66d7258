"""From a budget and what a rehearsal measured to a number of steps, and what they will cost. Written down once per training."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from genwright import device as devices
from genwright.console import duration
from genwright.errors import RequestError
from genwright.recipe import Budget, TrainSettings
from genwright.training.base import Settings
from genwright.training.rehearsal import Measured

_VALIDATION_SHARE = 0.06
_PREVIEW_SHARE = 0.08
"""Shares of a time budget that may go to looking instead of learning."""
_LEAST_LEARNING = 0.6
"""Share of a time budget that is learning, however long the planning took."""
_RECORDS = 400
_CHECKPOINT_SLACK = 1.1


class PartPlan(BaseModel):
    """The plan of one part, fixed before its first step (train/<part>/plan.json)."""

    settings: Settings
    budget: str
    measured: Measured
    validation_examples: int
    pass_examples: int
    seconds: float
    """The whole training of the part: steps, validation, previews, checkpoints."""
    added: int = 0
    """How many of the budgets that were added to the recipe's are in it."""

    @property
    def examples(self) -> int:
        return self.settings.steps * self.settings.batch

    @property
    def weight(self) -> float:
        return self.settings.steps * self.measured.weight_per_step

    @property
    def passes(self) -> float:
        return self.examples / self.pass_examples

    @property
    def disk_bytes(self) -> int:
        """The checkpoints that are kept and the one being written, and two best weights."""
        kept = (self.settings.keep_checkpoints + 1) * self.measured.checkpoint_bytes + 2 * self.measured.best_bytes
        return round(kept * _CHECKPOINT_SLACK)


class Plan(BaseModel):
    """What `genwright plan` prints. `seconds` is the training from its start to its end."""

    task: str
    family: str
    size: str
    reason: str
    device: str
    verdict: str
    parameters: int
    memory_bytes: int
    disk_bytes: int
    steps: int
    seconds_per_step: float
    seconds: float
    examples: int
    flops: float
    parts: dict[str, PartPlan]
    config: dict[str, Any]

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table(title=f"{self.task} by {self.family}: {self.size}", show_header=False, title_justify="left")
        table.add_column(style="bold")
        table.add_column()
        for name, value in self._rows():
            table.add_row(name, value)
        return table

    def _rows(self) -> Iterable[tuple[str, str]]:
        first = next(iter(self.parts.values())).settings
        yield "why this size", self.reason
        yield "device", f"{self.device}, {first.precision}, {'compiled' if first.compile else 'eager'}"
        yield "parameters", f"{self.parameters:,}"
        yield "memory", size_text(self.memory_bytes)
        yield (
            "disk",
            f"{size_text(self.disk_bytes)} ({first.keep_checkpoints} checkpoints, the best, and one being written)",
        )
        yield "a step", f"{self.seconds_per_step * 1000:,.3g} ms for {first.batch} examples"
        passes = ", ".join(f"{part.passes:,.1f}" for part in self.parts.values())
        yield "steps", f"{self.steps:,} ({self.examples:,} examples, {passes} passes over the data)"
        yield "time to the end", duration(self.seconds)
        yield "the data", self.verdict


def plan_part(
    measured: Measured,
    settings: Settings,
    train: TrainSettings,
    budget: Budget,
    *,
    held_out_examples: int,
    pass_examples: int,
    spent_seconds: float = 0.0,
) -> PartPlan:
    """Fix the number of steps and what is done between them.

    `measured.validation_seconds` is what one batch of validation costs; `spent_seconds` what planning took of a time budget.
    """
    step_seconds = measured.seconds_per_step
    total = budget.amount if budget.unit == "seconds" else steps_for(budget, measured, settings.batch) * step_seconds
    if budget.unit == "seconds":
        total = max(total - spent_seconds, total * _LEAST_LEARNING)
    times, held_out, validating = _validation(measured, train.validate_times, held_out_examples, settings.batch, total)
    previews, previewing = _previews(measured, train.previews, total)
    compiling = measured.first_step_seconds if settings.compile else 0.0
    best = times * measured.checkpoint_seconds * 0.3
    fixed = validating + previewing + compiling + best + measured.checkpoint_seconds
    every = Budget.parse(train.checkpoint_every)
    if every.unit == "seconds":
        share = 1 + measured.checkpoint_seconds / every.amount
    else:
        share = 1 + measured.checkpoint_seconds / (steps_for(every, measured, settings.batch) * step_seconds)
    if budget.unit == "seconds":
        steps = max(1, int(max(total - fixed, total * _LEAST_LEARNING) / (step_seconds * share)))
    else:
        steps = steps_for(budget, measured, settings.batch)
    planned = settings.model_copy(
        update={
            "steps": steps,
            "log_every": max(1, steps // _RECORDS),
            "checkpoint_every": _checkpoint_steps(every, measured, settings.batch),
            "validate_times": min(times, steps),
            "previews": min(previews, steps),
        }
    )
    return PartPlan(
        settings=planned,
        budget=budget_text(budget),
        measured=measured,
        validation_examples=held_out,
        pass_examples=pass_examples,
        seconds=fixed + steps * step_seconds * share,
    )


def steps_for(budget: Budget, measured: Measured, batch: int) -> int:
    """How many steps a budget buys."""
    each = {
        "seconds": measured.seconds_per_step,
        "steps": 1.0,
        "examples": float(batch),
        "tokens": measured.weight_per_step,
    }[budget.unit]
    return max(1, round(budget.amount / each))


def extended(part: PartPlan, done: int, more: Budget) -> PartPlan:
    """The plan for going on past step `done`. The schedule is laid out anew over the new total, so the rate, if it had
    fallen already, rises again before it falls at the new end."""
    seconds_a_step = max(part.seconds / part.settings.steps, part.measured.seconds_per_step)
    measured = part.measured.model_copy(update={"seconds_per_step": seconds_a_step})
    added = steps_for(more, measured, part.settings.batch)
    steps = done + added
    settings = part.settings.model_copy(update={"steps": steps, "log_every": max(1, steps // _RECORDS)})
    seconds = part.seconds * done / part.settings.steps + added * seconds_a_step
    return part.model_copy(
        update={"settings": settings, "seconds": seconds, "budget": f"{part.budget} + {budget_text(more)}"}
    )


def check_room(parts: Iterable[PartPlan], folder: Path) -> None:
    """Raises RequestError with advice when the checkpoints would not fit on the disk of `folder`."""
    for part in parts:
        free = shutil.disk_usage(folder).free
        if part.disk_bytes > free:
            raise RequestError(
                f"train.keep_checkpoints: the checkpoints of `{part.settings.part}` need {size_text(part.disk_bytes)} and {folder} has "
                f"{size_text(free)} free; make room, choose another --run-dir or a smaller model."
            )


def check_memory(parameters: int, device: torch.device, title: str) -> None:
    """Refuse a model whose weights, gradients, moments and averages alone are more than there is, before it is built."""
    needed, there = least_memory(parameters), devices.memory_bytes(device)
    if needed > there:
        raise RequestError(
            f"model: {title} has {parameters:,} parameters and needs {size_text(needed)} before any example, and {device} has "
            f"{size_text(there)} free; make the model smaller (`model.width`, `model.layers`)."
        )


def check_activations(parameters: int, batch: int, example_bytes: float, accumulate: int, device: torch.device) -> None:
    """Refuse a batch that would not fit beside the model, saying which `accumulate` would make it fit."""
    there = devices.memory_bytes(device) - least_memory(parameters)
    micro = -(-batch // accumulate)
    if micro * example_bytes <= there:
        return
    fits = int(there // example_bytes) if example_bytes else batch
    if fits < 1:
        raise RequestError(
            f"model: one example alone needs {size_text(example_bytes)} and {device} has {size_text(max(there, 0))} left beside the "
            "model; make the model or its context smaller."
        )
    raise RequestError(
        f"train.batch: {micro} examples at once need {size_text(micro * example_bytes)} and {device} has {size_text(there)} left beside "
        f"the model; set train.accumulate={-(-batch // fits)} (same result, less memory) or a smaller train.batch."
    )


def least_memory(parameters: int) -> int:
    """Bytes for weights, gradients, two moments and an average in fp32."""
    return parameters * 4 * 5


def size_text(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:,.0f} {unit}" if unit in ("bytes", "kB") else f"{size:,.1f} {unit}"
        size /= 1000
    raise AssertionError


def budget_text(budget: Budget) -> str:
    return duration(budget.amount) if budget.unit == "seconds" else f"{budget.amount:,.0f} {budget.unit}"


def _validation(measured: Measured, times: int, examples: int, batch: int, total: float) -> tuple[int, int, float]:
    """(how often, on how many examples, seconds in all): as much as fits its share of the time, 5 times at least."""
    if not times or not examples:
        return 0, 0, 0.0
    an_example = measured.validation_seconds / min(batch, examples)
    affordable = total * _VALIDATION_SHARE
    times = max(min(times, 5), min(times, int(affordable / max(measured.validation_seconds, 1e-9))))
    held_out = max(min(batch, examples), min(examples, int(affordable / times / max(an_example, 1e-12))))
    return times, held_out, times * held_out * an_example


def _previews(measured: Measured, times: int, total: float) -> tuple[int, float]:
    affordable = int(total * _PREVIEW_SHARE / max(measured.preview_seconds, 1e-9))
    times = max(min(times, 2), min(times, affordable))
    return times, times * measured.preview_seconds


def _checkpoint_steps(every: Budget, measured: Measured, batch: int) -> int:
    return steps_for(every, measured, batch)
