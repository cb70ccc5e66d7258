"""From a budget and what a rehearsal measured to a number of steps, and what they will cost. Written down once per training."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from genwright.console import Printed, count, duration
from genwright.errors import RequestError
from genwright.hardware import device as devices
from genwright.recipe import Budget, TrainSettings
from genwright.training.base import Settings
from genwright.training.micro_batches import Cut
from genwright.training.mixture import Mixture
from genwright.training.pace import Expected, Revision
from genwright.training.rehearsal import Measured

_VALIDATED_SHARE = 0.15
"""Validation sees at most this share of the examples that training sees, in all: an example costs it a third of a step's."""
_PREVIEW_SHARE = 0.08
"""Share of a time budget that may go to previews."""
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
    mixture: Mixture | None = None
    """How old and new data are drawn from, once there is new data."""
    expected: Expected | None = None
    """None in plans of before."""
    revision: Revision | None = None
    """Fewer steps than `settings` has, once the machine turned out too slow for them."""
    cuts: list[Cut] = []
    """More micro-batches than `settings` has, from where the memory turned out too small for these."""

    @property
    def steps(self) -> int:
        return self.revision.steps if self.revision else self.settings.steps

    @property
    def examples(self) -> int:
        return self.steps * self.settings.batch

    @property
    def weight(self) -> float:
        return self.steps * self.measured.weight_per_step

    @property
    def passes(self) -> float:
        return self.examples / self.pass_examples

    @property
    def disk_bytes(self) -> int:
        """The checkpoints that are kept and the one being written, and two best weights."""
        kept = (self.settings.keep_checkpoints + 1) * self.measured.checkpoint_bytes + 2 * self.measured.best_bytes
        return round(kept * _CHECKPOINT_SLACK)


class Plan(Printed, BaseModel):
    """What `genwright plan` prints. `seconds` is the training from its start to its end, `stages` has all that a run does (but the report,
    which is a matter of a second or two), in seconds; evaluate at most that."""

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
    stages: dict[str, float] = {}
    new_data: str = ""
    """How data that came after a training finished would be mixed with the old."""

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
        yield (
            "device",
            f"{self.device}, {first.precision}, {'compiled' if first.compile else 'eager'}{', deterministic' * first.deterministic}",
        )
        yield "parameters", f"{self.parameters:,}"
        yield "memory", size_text(self.memory_bytes)
        yield (
            "disk",
            f"{size_text(self.disk_bytes)} ({first.keep_checkpoints} checkpoints, the best, and one being written)",
        )
        for name, part in self.parts.items():
            title = "a step" if len(self.parts) == 1 else f"a step of {name}"
            yield title, f"{_short(part.measured.seconds_per_step)} for {count(part.settings.batch, 'example')}"
        passes = ", ".join(f"{part.passes:,.1f}" for part in self.parts.values())
        yield "steps", f"{self.steps:,} ({count(self.examples, 'example')}, {passes} passes over the data)"
        yield "training", duration(self.seconds)
        if self.stages:
            parts = [f"{name} {'at most ' * (name == 'evaluate')}{duration(s)}" for name, s in self.stages.items()]
            yield "all stages", f"{duration(sum(self.stages.values()))}: {', '.join(parts)}"
        yield "the data", self.verdict
        if self.new_data:
            yield "new data", self.new_data


def plan_part(
    measured: Measured,
    settings: Settings,
    train: TrainSettings,
    budget: Budget,
    *,
    held_out_examples: int,
    pass_examples: int,
    spent_seconds: float = 0.0,
    most_passes: float = float("inf"),
) -> PartPlan:
    """Fix the number of steps and what is done between them.

    `measured.validation_seconds` is what one batch of validation costs; `spent_seconds` what planning took of a time budget, which
    may buy no more than `most_passes` over the data.
    """
    most = most_passes * pass_examples / settings.batch if budget.unit == "seconds" else float("inf")
    steps = int(max(min(steps_for(budget, measured, settings.batch), most), 1))
    total = budget.amount
    if budget.unit == "seconds":
        total = max(total - spent_seconds, total * _LEAST_LEARNING)
        looks = {
            "previews": _previews(measured, train.previews, total),
            "validate_times": _validations(measured, train.validate_times, total),
        }
        train = train.model_copy(update=looks)
    plan = _with_steps(steps, measured, settings, train, budget, held_out_examples, pass_examples)
    for _ in range(3 if budget.unit == "seconds" else 0):
        # What is done between the steps costs time that the steps then lack, and depends on their number.
        beside = plan.seconds - plan.settings.steps * measured.seconds_per_step
        affordable = max(total - beside, total * _LEAST_LEARNING) / measured.seconds_per_step
        steps = int(max(min(affordable, most), 1))
        plan = _with_steps(steps, measured, settings, train, budget, held_out_examples, pass_examples)
    beside = plan.seconds - plan.settings.steps * measured.seconds_per_step
    plan.expected = Expected(
        seconds=plan.seconds,
        seconds_per_step=measured.seconds_per_step,
        beside=beside,
        limit=total if budget.unit == "seconds" else None,
    )
    return plan


def _with_steps(
    steps: int,
    measured: Measured,
    settings: Settings,
    train: TrainSettings,
    budget: Budget,
    held_out_examples: int,
    pass_examples: int,
) -> PartPlan:
    planned = settings.model_copy(
        update={
            "steps": steps,
            "log_every": max(1, steps // _RECORDS),
            "checkpoint_every": steps_for(train.checkpoint_every, measured, settings.batch),
            "validate_times": min(train.validate_times if held_out_examples else 0, steps),
            "previews": min(train.previews, steps),
        }
    )
    held_out = _validated(planned, held_out_examples)
    beside = _beside_steps(planned, measured, held_out, held_out_examples)
    return PartPlan(
        settings=planned,
        budget=str(budget),
        measured=measured,
        validation_examples=held_out,
        pass_examples=pass_examples,
        seconds=beside + steps * measured.seconds_per_step,
    )


def _validated(settings: Settings, there: int) -> int:
    """How many held-out examples each validation measures: all, or as many as keep its cost small beside the training's."""
    if not settings.validate_times or not there:
        return 0
    affordable = int(_VALIDATED_SHARE * settings.steps * settings.batch / settings.validate_times)
    return min(there, max(affordable, settings.batch))


def _beside_steps(settings: Settings, measured: Measured, held_out: int, there: int) -> float:
    """Seconds of all that is not steps: validation, previews, checkpoints. (What the rehearsal compiled is used again.)"""
    an_example = measured.validation_seconds / max(min(settings.batch, there), 1)
    checkpoints = 1 + settings.steps // settings.checkpoint_every
    bests = settings.validate_times * 0.6  # most validations of a training that goes well are the best so far
    share = measured.best_bytes / max(measured.checkpoint_bytes, 1)
    return (
        settings.validate_times * held_out * an_example
        + settings.previews * (measured.preview_seconds or 0.0)
        + (checkpoints + bests * share) * measured.checkpoint_seconds
    )


def _previews(measured: Measured, times: int, total: float) -> int:
    """As many as fit their share of the time; one at least, the last, unless that alone took twice the share."""
    if measured.preview_seconds is None:
        return 0
    affordable = int(total * _PREVIEW_SHARE / max(measured.preview_seconds, 1e-9))
    one = measured.preview_seconds <= 2 * total * _PREVIEW_SHARE
    return min(times, max(affordable, int(one)))


def _validations(measured: Measured, times: int, total: float) -> int:
    """As many as fit their share of the time, each of a batch at least; one in any case, which tells how good the end is."""
    affordable = int(total * _VALIDATED_SHARE / max(measured.validation_seconds, 1e-9))
    return min(times, max(affordable, 1))


def steps_for(budget: Budget, measured: Measured, batch: int) -> int:
    """How many steps a budget buys."""
    each = {
        "seconds": measured.seconds_per_step,
        "steps": 1.0,
        "examples": float(batch),
        "tokens": measured.weight_per_step,
    }[budget.unit]
    return max(1, round(budget.amount / each))


def extended(part: PartPlan, done: int, more: Budget, spent: float) -> PartPlan:
    """The plan for going on past step `done`, after `spent` seconds. The schedule is laid out anew over the new total, so the rate, if it had
    fallen already, rises again before it falls at the new end. What is added costs what steps at the end cost."""
    measured = part.measured
    beside = max(part.seconds / part.settings.steps - measured.seconds_per_step, 0.0)
    of_step = measured.last_seconds_per_step or measured.seconds_per_step
    seconds_a_step = beside + of_step
    weight = measured.last_weight_per_step or measured.weight_per_step
    measured = measured.model_copy(update={"seconds_per_step": seconds_a_step, "weight_per_step": weight})
    added = steps_for(more, measured, part.settings.batch)
    steps = done + added
    settings = part.settings.model_copy(update={"steps": steps, "log_every": max(1, steps // _RECORDS)})
    seconds = part.seconds * done / part.steps + added * seconds_a_step
    limit = spent + more.amount if more.unit == "seconds" else None
    expected = Expected(
        seconds=spent + added * seconds_a_step, seconds_per_step=of_step, beside=beside * steps, limit=limit
    )
    changed = {"settings": settings, "seconds": seconds, "added": part.added + 1}
    changed |= {"expected": expected, "revision": None}
    return part.model_copy(update={**changed, "budget": f"{part.budget} + {more}"})


def with_mixture(part: PartPlan, mixture: Mixture | None, held_out_examples: int, pass_examples: int) -> PartPlan:
    """The plan for going on with other data than it was made for."""
    held_out = _validated(part.settings, held_out_examples)
    changed = {"mixture": mixture, "validation_examples": held_out, "pass_examples": pass_examples}
    return part.model_copy(update=changed)


def check_room(parts: Iterable[PartPlan], folder: Path) -> None:
    """Raises RequestError with advice when the checkpoints would not fit on the disk of `folder`."""
    for part in parts:
        free = shutil.disk_usage(folder).free
        if part.disk_bytes > free:
            raise RequestError(
                f"train.keep_checkpoints: the checkpoints of `{part.settings.part}` need {size_text(part.disk_bytes)} and {folder} has "
                f"{size_text(free)} free; make room, choose another --run-dir or a smaller model."
            )


@contextmanager
def memory_guard(device: torch.device, title: str) -> Iterator[None]:
    """Refuse a network as soon as the parameters made so far, with gradients, moments and averages, are more than there is
    memory for: a machine that runs out kills the process without a word. Raises RequestError."""
    there = devices.memory_bytes(device)
    made = 0

    def note(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal made
        made += parameter.numel() if parameter is not None else 0
        if least_memory(made) > there:
            raise RequestError(
                f"model: {title} needs more than {size_text(least_memory(made))} before any example, and {device} has "
                f"{size_text(there)} free; make the model smaller (`model.width`, `model.layers`)."
            )

    handle = register_module_parameter_registration_hook(note)
    try:
        yield
    finally:
        handle.remove()


def check_activations(parameters: int, batch: int, example_bytes: float, accumulate: int, device: torch.device) -> None:
    """Refuse a batch that would not fit beside the model, saying which `accumulate` would make it fit."""
    fits, micro = examples_that_fit(parameters, example_bytes, device), -(-batch // accumulate)
    if micro <= fits:
        return
    there = max(room_for_examples(parameters, device), 0)
    if fits < 1:
        raise RequestError(
            f"model: one example alone needs {size_text(example_bytes)} and {device} has {size_text(there)} left beside the "
            "model; make the model or its context smaller."
        )
    raise RequestError(
        f"train.batch: {micro} examples at once need {size_text(micro * example_bytes)} and {device} has {size_text(there)} left beside "
        f"the model; set train.accumulate={-(-batch // fits)} (same result, less memory) or a smaller train.batch."
    )


def room_for_examples(parameters: int, device: torch.device) -> float:
    """Bytes that are left beside the model. On a card a tenth is kept free: what torch has given back lies there in pieces."""
    share = 1.0 if device.type == "cpu" else 0.9
    return share * devices.memory_bytes(device) - least_memory(parameters)


def examples_that_fit(parameters: int, example_bytes: float, device: torch.device) -> int:
    """How many examples have room beside the model at once."""
    there = room_for_examples(parameters, device)
    return int(there // example_bytes) if example_bytes else (1 << 30 if there >= 0 else 0)


def least_memory(parameters: int) -> int:
    """Bytes for weights, gradients, two moments and an average in fp32."""
    return parameters * 4 * 5


def _short(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


def size_text(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:,.0f} {unit}" if unit in ("bytes", "kB") else f"{size:,.1f} {unit}"
        size /= 1000
    raise AssertionError
