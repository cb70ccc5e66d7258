"""Which of the task's sizes a budget is best spent on."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from pydantic import BaseModel
from torch import Tensor

from genwright.errors import RequestError
from genwright.model import ModelConfig
from genwright.recipe import TrainSettings
from genwright.stages.train.jobs import Job, Workshop
from genwright.training import forecast, precision
from genwright.training.base import Batches, Settings
from genwright.training.rehearsal import rehearse

_VALUES_PER_PARAMETER = 3.0
"""A model that sees less than this of its weight (tokens, or pixels) for each parameter is better smaller."""
_LOOK_SECONDS = 0.4
_HURRY_SHARE = 0.02
_TIME_SHARE = 0.08
"""Share of a budget in minutes in which a size is looked for."""
_TOO_SHORT = "the smallest there is, and the budget is short even for it"


class Chosen(BaseModel):
    """train/plan.json: the size that was chosen, and why."""

    config: ModelConfig
    reason: str


def choose(workshop: Workshop, train: TrainSettings) -> Chosen:
    """The largest candidate that the budget still teaches well: it is stepped often enough and sees enough for its size."""
    candidates = workshop.task.candidates(workshop.facts, workshop.splits, workshop.device)
    if not candidates:
        raise RequestError("model: the task has no size for this data; give the model's settings in the recipe.")
    if len(candidates) == 1:
        return Chosen(config=candidates[0], reason="the size that the recipe and the data ask for")
    chosen: Chosen | None = None
    started = time.monotonic()
    for config in candidates:
        if (
            chosen is not None
            and train.budget.unit == "seconds"
            and time.monotonic() - started > _TIME_SHARE * train.budget.amount
        ):
            chosen.reason = "the largest of the sizes that there was time to try"
            return chosen
        steps, per_parameter = _reach(workshop, config, train)
        enough = steps >= config.least_steps and per_parameter >= _VALUES_PER_PARAMETER
        if enough or chosen is None:
            reason = "the largest size that this much data is good for" if enough else _TOO_SHORT
            chosen = Chosen(config=config, reason=reason)
            if enough:
                continue
            return chosen
        limit = (
            f"stepped only {steps:,} times"
            if steps < config.least_steps
            else f"shown only {per_parameter:.1f} values a parameter"
        )
        chosen.reason = (
            f"the largest of {len(candidates)} sizes that the budget teaches well: {config.title} would be {limit}"
        )
        return chosen
    assert chosen is not None
    return chosen


def _reach(workshop: Workshop, config: ModelConfig, train: TrainSettings) -> tuple[int, float]:
    """(steps, values seen for each parameter) of a size within the budget, by timing a few steps of each part: of the part that
    gets the fewest, for a model is no better than its weakest."""
    reached: list[tuple[int, float]] = []
    hurry = train.budget.amount * _HURRY_SHARE if train.budget.unit == "seconds" else None
    with tempfile.TemporaryDirectory(prefix="genwright-") as scratch:
        for job in workshop.jobs(config):
            try:
                family = job.build()
            except RequestError:  # larger than the memory
                return 0, 0.0
            if job.part.source is None:
                job.derive_sample(Path(scratch) / job.name)
                batches, settings = job.training(), first_settings(job, train)
                measured = rehearse(family, batches, settings, workshop.device, _LOOK_SECONDS, hurry=hurry)
                steps = forecast.steps_for(train.budget.times(job.share), measured, settings.batch)
                reached.append((steps, steps * settings.batch * values_of(batches) / measured.parameters))
            job.finish(family, None)
    return min(steps for steps, _ in reached), min(values for _, values in reached)


def first_settings(job: Job, train: TrainSettings) -> Settings:
    """What is known of a training before anything was measured."""
    return Settings(
        part=job.name,
        seed=train.seed,
        batch=train.batch or job.part.batch,
        accumulate=train.accumulate,
        precision=precision.choose(train.precision, job.device),
        deterministic=train.deterministic == "on",
        checkpoint_activations=train.checkpoint_activations == "on",
        learning_rate=train.learning_rate,
        matrix_learning_rate=train.matrix_learning_rate,
        keep_checkpoints=train.keep_checkpoints,
        patience=train.patience,
    )


def values_of(batches: Batches) -> int:
    """How many values (tokens, pixels by channel) an example has."""
    tensors = [value for value in batches.batch(0, 1).values() if isinstance(value, Tensor)]
    return max(value.numel() for value in tensors)
