"""Which of the task's sizes a budget is best spent on."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

from genwright.errors import RequestError
from genwright.families.base import Family, compiles
from genwright.model import ModelConfig
from genwright.recipe import TrainSettings
from genwright.shards import Selection
from genwright.stages.train import rate as rates
from genwright.stages.train.jobs import Job, Workshop
from genwright.stages.train.memory import within_memory
from genwright.stages.train.rate import Rate
from genwright.stages.train.sizing import VALUES_PER_PARAMETER, Cost, first_guess
from genwright.tasks.base import main_part
from genwright.training import forecast, precision
from genwright.training.base import Batches, Settings
from genwright.training.rehearsal import rehearse

_LOOK_SECONDS = 0.4
_HURRY_SHARE = 0.02
_TIME_SHARE = 0.08
"""Share of a budget in minutes in which a size is looked for."""
_FEW = 64
"""Examples by which it is told how many values one has."""
_TOO_SHORT = "the smallest there is, and the budget is short even for it"
_NO_TIME = "the largest of the sizes that there was time to try"
_NO_MORE = "the largest size that this much data is good for"


class Chosen(BaseModel):
    """train/plan.json: the size that was chosen, and why."""

    config: ModelConfig
    reason: str


@dataclass
class _Tried:
    """What a budget makes of a size: steps, and values seen for each parameter."""

    config: ModelConfig
    steps: int
    per_parameter: float

    @property
    def enough(self) -> bool:
        return self.steps >= self.config.least_steps and self.per_parameter >= VALUES_PER_PARAMETER

    @property
    def shortfall(self) -> str:
        few = self.steps < self.config.least_steps
        return (
            f"stepped only {self.steps:,} times" if few else f"shown only {self.per_parameter:.1f} values a parameter"
        )


@dataclass
class _Expected:
    """What is known of the sizes before one is tried: which to try first, and by which rate."""

    configs: list[ModelConfig]
    first: int = 0
    costs: list[Cost] | None = None
    rate: Rate | None = None
    """Both where there is a first guess."""


def choose(workshop: Workshop, train: TrainSettings) -> Chosen:
    """The largest candidate that the budget still teaches well: it is stepped often enough and sees enough for its size.

    The first that is tried is the smallest, or on a card the one that arithmetic gives; then its neighbours.
    """
    candidates = workshop.task.candidates(workshop.facts, workshop.splits, workshop.device)
    if not candidates:
        raise RequestError("model: the task has no size for this data; give the model's settings in the recipe.")
    expected = _expected(workshop, candidates, train)
    if len(candidates) == 1:
        return Chosen(config=expected.configs[0], reason="the size that the recipe and the data ask for")
    until = time.monotonic() + _TIME_SHARE * train.budget.amount if train.budget.unit == "seconds" else float("inf")
    number = expected.first
    tried = _tried(workshop, expected, number, train)
    up = tried.enough
    while True:
        number += 1 if up else -1
        if not 0 <= number < len(candidates):
            return Chosen(config=tried.config, reason=_NO_MORE if up else _TOO_SHORT)
        if time.monotonic() > until:
            return Chosen(config=tried.config if up else expected.configs[number], reason=_NO_TIME)
        other = _tried(workshop, expected, number, train)
        if other.enough != up:
            kept, above = (tried, other) if up else (other, tried)
            reason = f"the largest of {len(candidates)} sizes that the budget teaches well: {above.config.title} would be {above.shortfall}"
            return Chosen(config=kept.config, reason=reason)
        tried = other


def _expected(workshop: Workshop, candidates: list[ModelConfig], train: TrainSettings) -> _Expected:
    """On a card, with the batches that keep it busy."""
    kind = precision.choose(train.precision, workshop.device)
    rate = rates.known(workshop.device, kind)
    costs = [_cost(workshop, config, train) for config in candidates] if rate is not None else []
    found = [cost for cost in costs if cost is not None]
    if rate is None or len(found) < len(candidates):
        return _Expected(candidates)
    if train.budget.unit == "seconds":
        rate = rates.measured(workshop.device, kind)
    first, batches = first_guess(found, rate, train.budget)
    part = main_part(workshop.task.parts(candidates[0], workshop.facts))
    configs = [
        config.model_copy(update={"batches": {part: batch}}) for config, batch in zip(candidates, batches, strict=True)
    ]
    return _Expected(configs, first, found, rate)


def _cost(workshop: Workshop, config: ModelConfig, train: TrainSettings) -> Cost | None:
    """None of a model of several parts, and where the task has no say in how large a batch may be."""
    parts, most = workshop.task.parts(config, workshop.facts), workshop.task.most_batch(config, workshop.splits)
    if len(parts) > 1 or most is None:
        return None
    with torch.device("meta"):
        family = parts[0].build({})
    store = workshop.splits["train"]
    few = Selection(store, np.linspace(0, len(store) - 1, min(_FEW, len(store))).round())  # all take long to pack
    batches = workshop.jobs(config)[0].batches(few, training=True)
    one = {k: v.to("meta") if isinstance(v, Tensor) else v for k, v in batches.batch(0, 1).items()}
    sides = [(p.numel(), min(len(p), p.numel() // len(p))) for p in family.modules.parameters() if p.ndim > 1]
    least = train.batch or parts[0].batch
    return Cost(
        parameters=sum(p.numel() for p in family.modules.parameters()),
        flops=family.flops(one),
        modules=sum(not list(m.children()) for m in family.modules.modules()) * len(family.phases),
        width=sum(count * side for count, side in sides) / sum(count for count, _ in sides),
        values=values_of(batches),
        least=least,
        most=train.batch or max(most, least),
        least_steps=config.least_steps,
        compiles=train.compile != "off" and compiles(family, workshop.device.type, train.compile == "on"),
    )


def _tried(workshop: Workshop, expected: _Expected, number: int, train: TrainSettings) -> _Tried:
    """A size timed by a few steps of each part: of the part that gets the fewest, for a model is no better than its weakest."""
    config, reached = expected.configs[number], list[tuple[int, float]]()
    with tempfile.TemporaryDirectory(prefix="genwright-") as scratch:
        for job in workshop.jobs(config):
            try:
                family = job.build()
                if job.part.source is None:
                    job.derive_sample(Path(scratch) / job.name)
                    reached.append(_reach(job, family, expected, number, train))
            except (RequestError, torch.OutOfMemoryError):  # larger than the memory
                return _Tried(config, 0, 0.0)
            job.finish(family, None)
    return _Tried(config, min(steps for steps, _ in reached), min(values for _, values in reached))


def _reach(job: Job, family: Family, expected: _Expected, number: int, train: TrainSettings) -> tuple[int, float]:
    """(steps, values seen for each parameter) of a part within its share of the budget."""
    batches, settings = job.training(), first_settings(job, train)
    if expected.costs is not None:
        settings = within_memory(job, settings, train, tell=False)
    hurry = train.budget.amount * _HURRY_SHARE if train.budget.unit == "seconds" else None
    measured = rehearse(family, batches, settings, job.device, _LOOK_SECONDS, hurry=hurry)
    if expected.costs is not None and expected.rate is not None:
        eager = measured.seconds_per_step
        measured.seconds_per_step = expected.costs[number].once_compiled(eager, settings.batch, expected.rate)
    steps = forecast.steps_for(train.budget.times(job.share), measured, settings.batch)
    return steps, steps * settings.batch * values_of(batches) / measured.parameters


def first_settings(job: Job, train: TrainSettings) -> Settings:
    """What is known of a training before anything was measured."""
    return Settings(
        part=job.name,
        seed=train.seed,
        batch=train.batch or job.part.batch,
        accumulate=1 if train.accumulate == "auto" else train.accumulate,
        precision=precision.choose(train.precision, job.device),
        deterministic=train.deterministic == "on",
        checkpoint_activations=train.checkpoint_activations == "on",
        learning_rate=train.learning_rate,
        matrix_learning_rate=train.matrix_learning_rate,
        weight_decay=None if train.weight_decay == "auto" else train.weight_decay,
        keep_checkpoints=train.keep_checkpoints,
        patience=train.patience,
    )


def values_of(batches: Batches) -> int:
    """How many values (tokens, pixels by channel) an example has."""
    tensors = [value for value in batches.batch(0, 1).values() if isinstance(value, Tensor)]
    return max(value.numel() for value in tensors)
