"""How a step's examples fit into the memory: in micro-batches, or with activations computed again."""

from __future__ import annotations

import time

import torch

from genwright.console import say
from genwright.recipe import TrainSettings
from genwright.stages.train.jobs import Job
from genwright.training import forecast
from genwright.training.base import Settings
from genwright.training.rehearsal import memory_of_one_step

_SMALL_BATCH = 16
"""Examples that are simply tried on a CPU, because the two small batches by which memory is foretold are not much smaller."""
_LONG_SECONDS = 2.0
"""Where a step of one example takes longer, memory is foretold by a smaller second one."""
_LEAST_AT_ONCE = 4
"""Where fewer fit, activations are computed again before the step is cut: a device is not kept busy by so few."""


def within_memory(job: Job, settings: Settings, train: TrainSettings, tell: bool = True) -> Settings:
    """Cut the step into micro-batches or save memory where it is short and that is allowed, and say so.

    Raises RequestError for a batch that can't fit all the same.
    """
    if job.device.type == "cpu" and settings.micro_batches()[0] < _SMALL_BATCH:
        return settings
    parameters, an_example = _memory(job, settings)
    fits = forecast.examples_that_fit(parameters, an_example, job.device)
    if settings.micro_batches()[0] <= fits:
        return settings
    cut = train.accumulate == "auto"
    if train.checkpoint_activations == "auto" and not (cut and fits >= _LEAST_AT_ONCE):
        settings, an_example = _computed_again(job, settings, an_example, tell)
        fits = forecast.examples_that_fit(parameters, an_example, job.device)
    if cut and 0 < fits < settings.batch:
        settings = settings.model_copy(update={"accumulate": -(-settings.batch // fits)})
        if tell:
            say(
                f"train: {settings.batch} examples of {forecast.size_text(an_example)} do not fit at once, so a step is made of "
                f"{settings.accumulate} micro-batches; same result, less memory (train.accumulate)."
            )
    forecast.check_activations(parameters, settings.batch, an_example, settings.accumulate, job.device)
    return settings


def _computed_again(job: Job, settings: Settings, needed: float, tell: bool) -> tuple[Settings, float]:
    """With activations computed again, where that takes less memory; and what an example needs then."""
    thrifty = settings.model_copy(update={"checkpoint_activations": True})
    _, an_example = _memory(job, thrifty)
    if an_example >= needed:
        return settings, needed
    if tell:
        say(
            f"train: an example needs {forecast.size_text(needed)}, too much for a batch, so activations are computed again in the "
            f"backward pass ({forecast.size_text(an_example)}); same result, longer steps (train.checkpoint_activations)."
        )
    return thrifty, an_example


def _memory(job: Job, settings: Settings) -> tuple[int, float]:
    """(parameters, bytes that an example needs), by steps of two small batches. Where a card has no room for the second, an example is taken to
    need all there is; where it has none for the first, more than that."""
    batches, parameters = job.training(), 0

    def memory(size: int) -> int:
        nonlocal parameters
        family = job.build()
        parameters = sum(parameter.numel() for parameter in family.modules.parameters())
        small = settings.model_copy(update={"batch": size, "accumulate": 1})
        return memory_of_one_step(family, batches, small, job.device)

    one, start = 0, time.monotonic()
    try:
        one = memory(1)
        several = 5 if time.monotonic() - start < _LONG_SECONDS else 2
        return parameters, max(memory(several) - one, 0) / (several - 1)
    except torch.OutOfMemoryError:
        return parameters, forecast.room_for_examples(parameters, job.device) * (1 if one else 2)
