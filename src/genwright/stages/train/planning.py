"""The plan of a training: size, steps, time, memory and disk, by rehearsing a few real steps."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from genwright.console import count, duration, progress, say
from genwright.families.base import Family, compiles
from genwright.hardware import device as devices
from genwright.model import Model
from genwright.recipe import Recipe, TrainSettings
from genwright.run import SCRATCH, Run
from genwright.settings import Budget
from genwright.stages.train import sizes
from genwright.stages.train.decay import most_passes, with_decay
from genwright.stages.train.jobs import Job, Workshop
from genwright.stages.train.memory import within_memory
from genwright.stages.train.mixing import foretold
from genwright.stages.train.sizes import Chosen
from genwright.stages.train.taking import take
from genwright.tasks.base import BaseTask, Splits
from genwright.training import compilation, forecast, precision
from genwright.training.base import Settings
from genwright.training.forecast import PartPlan, Plan
from genwright.training.rehearsal import Measured, rehearse

_REHEARSAL_SECONDS = 3.0
_SHORTER = 0.9
"""A training that ends before this share of its budget is told of."""
_HURRY_SHARE = 0.05
"""Two cycles of phases must do for a rehearsal where they take longer than this share of a budget in minutes."""


def plan_job(job: Job, train: TrainSettings, budget: Budget, scratch: Path, started: float) -> PartPlan:
    """Rehearse a part and fix its steps within its share of the budget. `started`: when the budget's clock began; `scratch`: an existing folder.

    Raises RequestError when it would not fit in the memory or on the disk.
    """
    budget = budget.times(job.share)
    settings = sizes.first_settings(job, train)
    settings = within_memory(job, settings, train)
    building = time.monotonic()
    family = job.build()
    building = time.monotonic() - building
    measured = _rehearse(job, family, settings, train, budget, scratch)
    settings, measured = _compiled_or_not(job, settings, train, budget, measured, scratch)
    plan = forecast.plan_part(
        measured,
        settings,
        train,
        budget,
        held_out_examples=job.held_out_examples(),
        pass_examples=job.pass_examples(),
        # It is built twice more: to be trained, and to be handed on.
        spent_seconds=time.monotonic() - started + 2 * building,
        most_passes=most_passes(job, train, measured, settings.batch),
    )
    if plan.expected and plan.expected.limit and plan.seconds < _SHORTER * plan.expected.limit:
        say(
            f"train: {plan.passes:.0f} passes over the data take {duration(plan.seconds)} of the budget, and more would only learn them by "
            "heart (train.weight_decay: 0 takes them all the same)."
        )
    forecast.check_room([plan], scratch)
    return with_decay(plan, job, train, family.phases[0].optimizer)


Rest = Callable[[Model, Splits, Path], dict[str, float]]
"""Foretells the stages behind the training by an untrained model, in a folder for scratch: seconds by stage."""


def _nothing(model: Model, splits: Splits, scratch: Path) -> dict[str, float]:
    return {}


def plan(recipe: Recipe, run: Run, *, task: BaseTask, device: torch.device, rest: Rest = _nothing) -> Plan:
    """What `genwright plan` says: rehearsed in a scratch folder, nothing in the run is changed."""
    with precision.deterministic(recipe.train.deterministic == "on"):
        return _plan(recipe, run, task, device, rest)


def _plan(recipe: Recipe, run: Run, task: BaseTask, device: torch.device, rest: Rest) -> Plan:
    started = time.monotonic()
    say("plan: timing a few steps of the training ...")
    with progress("plan: choose a size"):
        workshop = Workshop.open(recipe, run, task, device)
        chosen = sizes.choose(workshop, recipe.train)
    plans: dict[str, PartPlan] = {}
    planning = 0.0
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=run.folder) as name:
        scratch, jobs = Path(name), workshop.jobs(chosen.config)
        take(jobs, scratch)
        for job in jobs:
            if job.taken is not None:
                job.finish(job.load(job.taken, job.done.families), None)
                continue
            with progress(f"plan: time a few steps of {job.name}"):
                job.derive_sample(scratch / job.name)
                plans[job.name] = plan_job(job, recipe.train, recipe.train.budget, scratch, started)
            planning += time.monotonic() - started
            job.finish(job.build(), None)
            started = time.monotonic()
        model = Model(task, chosen.config, workshop.facts, jobs[0].done.families, device, main=jobs[0].main)
        model.about = {"trained": {"steps": sum(part.steps for part in plans.values())}}
        stages = {name: record.seconds for name in ("collect", "prepare") if (record := run.record(name))}
        stages["train"] = planning + sum(part.seconds for part in plans.values())
        stages |= rest(model, workshop.splits, scratch)
    learner = [job for job in jobs if job.taken is None][-1]  # a finished training goes on with its last part alone
    later = foretold(learner, recipe, run, round(plans[learner.name].steps / learner.share))
    return summed_up(workshop, chosen, plans, learner.done.parameters).model_copy(
        update={"new_data": later, "stages": stages}
    )


def summed_up(workshop: Workshop, chosen: Chosen, plans: dict[str, PartPlan], parameters: int) -> Plan:
    parts = list(plans.values())
    steps = sum(part.steps for part in parts)
    return Plan(
        task=workshop.task.name,
        family=workshop.task.family,
        size=chosen.config.title,
        reason=chosen.reason,
        device=devices.title(workshop.device),
        verdict=_verdict(workshop, min(parts, key=lambda part: part.passes)),
        parameters=parameters,
        memory_bytes=max(part.measured.memory_bytes for part in parts),
        disk_bytes=sum(part.disk_bytes for part in parts),
        steps=steps,
        seconds_per_step=sum(part.measured.seconds_per_step * part.steps for part in parts) / steps,
        seconds=sum(part.seconds for part in parts),
        examples=sum(part.examples for part in parts),
        flops=sum(part.measured.flops_per_step * part.steps for part in parts),
        parts=plans,
        config=chosen.config.model_dump(mode="json"),
    )


def _verdict(workshop: Workshop, part: PartPlan) -> str:
    """A sentence on whether data and budget suit each other."""
    counts = {split: len(store) for split, store in workshop.splits.stores.items()}
    has = count(counts["train"], "training example")
    if part.pass_examples != counts["train"]:
        has += f" ({count(part.pass_examples, 'window')})"
    if not counts["validation"]:
        return f"{has} and none held out: nothing will tell when it only learns by heart; more data would."
    if part.passes < 1:
        return f"{has}; the budget sees {part.passes:.0%} of them once: a longer budget would learn more."
    if part.passes > 100:
        return f"{has}; the budget sees each {part.passes:,.0f} times: more data would do more than more time."
    return f"{has}; the budget sees each {part.passes:,.1f} times."


def _rehearse(
    job: Job, family: Family, settings: Settings, train: TrainSettings, budget: Budget, scratch: Path | None
) -> Measured:
    """A short training is rehearsed shortly; without `scratch` its steps alone."""
    looks = min(settings.batch, job.held_out_examples()) if train.validate_times else 0
    seconds = min(_REHEARSAL_SECONDS, budget.amount * 0.03 if budget.unit == "seconds" else _REHEARSAL_SECONDS)
    return rehearse(
        family,
        job.training(),
        settings,
        job.device,
        seconds,
        at_most_steps=round(budget.amount * 0.1) if budget.unit == "steps" else 10**9,
        validate=job.validate(family, settings, looks),
        preview=job.preview(family) if train.previews else None,
        scratch=scratch,
        hurry=budget.amount * _HURRY_SHARE if budget.unit == "seconds" else None,
    )


def _compiled_or_not(
    job: Job,
    settings: Settings,
    train: TrainSettings,
    budget: Budget,
    eager: Measured,
    scratch: Path,
) -> tuple[Settings, Measured]:
    """Try torch.compile where the budget may win its cost back, and keep it where it does.

    With a budget in minutes a clock tells, as it tells the number of steps. With one in steps, tokens or images the number of
    operations does, so that the same recipe is the same computation on a busy day.
    """
    steps, by_clock = forecast.steps_for(budget, eager, settings.batch), budget.unit == "seconds"
    if by_clock:
        long_enough = compilation.worth_seconds(steps * eager.seconds_per_step, job.device)
    else:
        long_enough = compilation.worth(steps * eager.flops_per_step, steps, job.device)
    if train.compile == "off" or (train.compile == "auto" and not long_enough):
        return settings, eager
    if not compilation.possible(job.device):
        compilation.say_eager(job.device.type)
        return settings, eager
    family = job.build()
    if not compiles(family, job.device.type, train.compile == "on"):
        if train.compile == "on":
            say(f"train: torch.compile can't take the objective of {job.config.family}, so it runs eagerly.")
        return settings, eager
    wanted = settings.model_copy(update={"compile": True})
    try:
        compiled = _rehearse(job, family, wanted, train, budget, None)
    except Exception as error:  # whatever the compiler could not do, the eager model can
        say(
            f"train: torch.compile can't take this model ({type(error).__name__}), so it runs eagerly; only the speed changes."
        )
        return settings, eager
    faster = compiled.seconds_per_step < eager.seconds_per_step  # the cost is paid by now
    beside = {name: getattr(eager, name) for name in ("checkpoint_seconds", "validation_seconds", "preview_seconds")}
    compiled = compiled.model_copy(update=beside)  # none of it is compiled
    if train.compile == "on" or not by_clock or faster:
        return wanted, compiled
    return settings, eager
