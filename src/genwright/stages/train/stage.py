"""Train: the parts of a model in order, each by the one loop, within the budget.

    train/
      recipe.json           the `model` and `train` sections that this training is of, and what was added to its budget
      plan.json             the size that was chosen, and why
      <part>/plan.json      steps and schedule, fixed before the part's first step
      <part>/outcome.json   what came of it, once the part has had its budget
      <part>/metrics.jsonl  checkpoints/  best/  previews/
      <part>/profile.json.gz   with --profile: a Chrome trace of a few steps
      <part>/derived/       examples that the parts before it made for this one, by the hash of their weights
      <part>/before/<data>/ the best weights as they were before the newest data came
      known-<data>.npy      what was known when the training last finished (new_data.py)

A training that was stopped goes on from its newest checkpoint. A larger `train.budget`, or `--more 30m`, continues a finished
one: its schedule is laid out anew over the new total. Where examples are new since, it learns for another budget, in which
they are drawn more often than their share and old ones beside them (training/mixture.py). A part that a later one was begun
with is never trained again: what is added goes to those that still learn. Other changes of `model` and `train`
are refused unless --fresh.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import torch

from genwright.console import count, duration, say
from genwright.hardware import device as devices
from genwright.recipe import Recipe
from genwright.run import Run, read_json, read_json_lines, write_atomic
from genwright.stages.inputs import digest, stage_inputs
from genwright.stages.train import new_data, tracking
from genwright.stages.train.budgets import FREE_TO_CHANGE, Account, close_account, forget_if_refitted, open_account
from genwright.stages.train.jobs import Job, Workshop, folder_of
from genwright.stages.train.mixing import mixture_for, told
from genwright.stages.train.outcomes import OUTCOME, best_of, finish, load_before, load_trained, outcome_of
from genwright.stages.train.planning import plan, plan_job
from genwright.stages.train.sizes import Chosen, choose
from genwright.stages.train.summary import summary_of
from genwright.stages.train.taking import take
from genwright.tasks.base import BaseTask
from genwright.training import checkpoint, forecast, precision
from genwright.training.base import Outcome
from genwright.training.forecast import PartPlan
from genwright.training.micro_batches import Cut
from genwright.training.pace import Revision
from genwright.training.profiling import step as profiling
from genwright.training.trainer import Trainer

PROFILE = "profile.json.gz"

__all__ = ["load_before", "load_trained", "plan", "run"]


def run(
    recipe: Recipe,
    run: Run,
    *,
    task: BaseTask,
    device: torch.device,
    fresh: bool = False,
    more: str | None = None,
    refit: bool = False,
    profile: bool = False,
) -> dict[str, Any]:
    """Train all parts, or go on with them; with `refit`, from the start where the facts are others than before. `profile`: show
    first where a step's time goes.

    Raises RequestError when the recipe no longer fits what stands in the run.
    """
    started = clock = time.monotonic()
    inputs = stage_inputs("train", recipe, run, task)
    folder = run.stage("train")
    prepared = run.record("prepare")
    assert prepared is not None
    facts, data = prepared.summary["facts"], prepared.outputs
    if refit:
        forget_if_refitted(folder, facts)
    workshop = Workshop.open(recipe, run, task, device)
    account = open_account(
        recipe, folder, facts=facts, data=data, more=more, count_new=lambda former: _count_new(workshop, folder, former)
    )
    workshop.known = new_data.load(folder, account.former)
    earlier = _earlier_seconds(run)
    run.reopen("train")
    with precision.deterministic(recipe.train.deterministic == "on"):
        chosen = _chosen(workshop, recipe, folder)
        jobs, plans, outcomes = workshop.jobs(chosen.config), dict[str, PartPlan](), dict[str, Outcome]()
        take(jobs, folder)
        for job in jobs:
            place = folder_of(run, job.name)
            if job.taken is not None:
                outcomes[job.name] = _outcome(place)
            elif any((folder_of(run, other.name) / "plan.json").exists() for other in job.later):
                plans[job.name], outcomes[job.name] = _settled(job, account, place)
            else:
                job.derive(place)
                plans[job.name] = _planned(job, jobs, recipe, account, plans, place, clock)
                if profile:
                    _profile(job, plans[job.name], place)
                outcomes[job.name] = _train(job, recipe, run, account, plans[job.name], place)
            finish(job, best_of(place))
            clock = time.monotonic()
    new_data.save(folder, data, workshop.splits, account.former)
    close_account(account, folder)
    summary = summary_of(chosen, jobs, plans, outcomes)
    run.complete(
        "train",
        inputs=inputs,
        outputs=digest(jobs[0].done.weights),
        seconds=earlier + time.monotonic() - started,
        device=devices.title(device),
        summary=summary,
    )
    return summary


def _earlier_seconds(run: Run) -> float:
    """What the sittings before this one took: as was written down when the last one was finished, else as far as the logs of its parts tell."""
    if (record := run.record("train")) is not None:
        return record.seconds
    logs = [read_json_lines(file) for file in run.stage("train").glob("*/metrics.jsonl")]
    return sum(log[-1].get("seconds", 0.0) for log in logs if log)


def _count_new(workshop: Workshop, folder: Path, former: str) -> int | None:
    known = new_data.load(folder, former)
    if known is None:
        return None
    return int(new_data.is_new(workshop.splits["train"], workshop.splits.items, known).sum())


def _chosen(workshop: Workshop, recipe: Recipe, folder: Path) -> Chosen:
    """The size of the model: as it was written down, or chosen now and written down."""
    file = folder / "plan.json"
    if file.exists():
        return Chosen.model_validate_json(file.read_text(encoding="utf-8"))
    say("train: timing a few steps to plan the training ...")
    chosen = choose(workshop, recipe.train)
    write_atomic(file, chosen.model_dump_json(indent=1) + "\n")
    return chosen


def _settled(job: Job, account: Account, place: Path) -> tuple[PartPlan, Outcome]:
    """A part that a later one was begun with: it is never trained again, for the later one knows it as it is."""
    part = _part_plan(place)
    if len(account.added) > part.added:
        say(f"train {job.name}: stays as it is, because `{job.later[0].name}` was begun with it.")
    return part, _outcome(place)


def _planned(
    job: Job,
    jobs: list[Job],
    recipe: Recipe,
    account: Account,
    plans: dict[str, PartPlan],
    place: Path,
    started: float,
) -> PartPlan:
    """The part's plan: as it was written down, with what was added to the budget since; or made now and written down. `plans` are
    those of the parts before it."""
    file = place / "plan.json"
    if file.exists():
        part = _part_plan(place)
    else:
        place.mkdir(parents=True, exist_ok=True)
        part = plan_job(job, recipe.train, account.budget, place, started)
    finished = outcome_of(place)
    for number, budget in enumerate(account.added[part.added :], part.added):
        # What a part before it had no part in, because it was settled already, goes to those that still learn.
        settled = {name for name, plan in plans.items() if plan.added <= number}
        share = job.share / sum(other.share for other in jobs if other.name not in settled)
        done, spent = (finished.steps, finished.seconds) if finished else (part.steps, part.seconds)
        part = forecast.extended(part, done, budget.times(share), spent)
        finished = None
    if account.former and (part.mixture is None or part.mixture.data != account.data):
        part = _with_new_data(job, recipe, account, part, place)
    kept = {
        "keep_checkpoints": recipe.train.keep_checkpoints,
        "deterministic": recipe.train.deterministic == "on",
    }
    part = part.model_copy(update={"settings": part.settings.model_copy(update=kept)})
    write_atomic(file, part.model_dump_json(indent=1) + "\n")
    return part


def _with_new_data(job: Job, recipe: Recipe, account: Account, part: PartPlan, place: Path) -> PartPlan:
    """Lay down how old and new data are mixed from the newest checkpoint on, and keep the weights as they are."""
    kept = place / "before" / account.former
    if not kept.exists():
        temporary = kept.with_name(f".{kept.name}")
        shutil.rmtree(place / "before", ignore_errors=True)
        shutil.copytree(best_of(place), temporary)
        temporary.rename(kept)
    found = checkpoint.newest(place / "checkpoints")
    state: dict[str, Any] = found[2] if found else {"step": 0, "position": {"train": 0}}
    done, start = state["step"], state["position"]["train"]
    mixture = mixture_for(job, recipe, account, start, done, part.steps - done)
    if mixture is not None:
        say(f"train {job.name}: {told(mixture, job)}.")
    return forecast.with_mixture(part, mixture, job.held_out_examples(), job.pass_examples())


def _train(job: Job, recipe: Recipe, run: Run, account: Account, part: PartPlan, place: Path) -> Outcome:
    finished = outcome_of(place)
    if finished is not None and finished.planned_steps == part.steps:
        return finished
    family, settings = job.build(), part.settings
    done = next((checkpoint.about(kept)["step"] for kept in checkpoint.finished_in(place / "checkpoints")), 0)
    going_on = f" from step {done:,} on" if done else ""
    say(
        f"train {job.name}: {job.config.title}, {part.measured.parameters:,} parameters, {count(part.steps, 'step')} of "
        f"{count(settings.batch, 'example')}, about {duration(part.seconds * (1 - done / part.steps))}{going_on} ({settings.precision}, {'compiled' if settings.compile else 'eager'}{', deterministic' * settings.deterministic})"
    )
    values = {"task": recipe.task, "family": recipe.family, **settings.model_dump()}
    with tracking.tracker(recipe.train.track, place, run.name, job.name, values) as listeners:
        outcome = Trainer(
            family,
            job.training(part.mixture),
            settings,
            job.device,
            place,
            validate=job.validate(family, settings, part.validation_examples),
            preview=job.preview(family),
            listeners=listeners,
            recipe_hash=digest(
                account.model,
                _steady(account.train),
                account.facts,
                read_json(run.stage("train") / "plan.json")["config"],
            ),
            data_hash=account.data,
            title=f"train {job.name}" if job.later or job.done.families else "train",
            expected=part.expected,
            revision=part.revision,
            write_revision=lambda revision: _revise(part, revision, place),
            cuts=part.cuts,
            write_cut=lambda cut: _cut(part, cut, place),
        ).run()
    write_atomic(place / OUTCOME, outcome.model_dump_json(indent=1) + "\n")
    if outcome.stopped_early:
        say(
            f"train: stopped at step {outcome.steps:,}: the held-out loss has not fallen since step {outcome.best_step:,}."
        )
    return outcome


def _profile(job: Job, part: PartPlan, place: Path) -> None:
    family, settings, file = job.build(), part.settings, place / PROFILE
    how = f"{job.name}, {job.config.title}, batch {settings.batch}, {settings.precision}, {'compiled' if settings.compile else 'eager'}"
    found = profiling.profile(family, job.training(part.mixture), settings, job.device, file, how)
    for line in str(found).splitlines():
        say(line)
    say(f"The trace: {file} (for chrome://tracing or ui.perfetto.dev).")


def _revise(part: PartPlan, revision: Revision, place: Path) -> None:
    """The plan with fewer steps, on the disk before they are taken: whoever follows it takes the same ones."""
    part.revision = revision
    write_atomic(place / "plan.json", part.model_dump_json(indent=1) + "\n")
    say(
        f"train: the machine is slower than when the plan was made, so {count(revision.steps, 'step')} instead of {part.settings.steps:,} are "
        f"taken, to keep to {part.budget}."
    )


def _cut(part: PartPlan, cut: Cut, place: Path) -> None:
    """The plan with smaller micro-batches, on the disk before they are taken."""
    part.cuts.append(cut)
    write_atomic(place / "plan.json", part.model_dump_json(indent=1) + "\n")
    size = part.settings.micro_batches(cut.accumulate)[0]
    say(
        f"train: the device's memory was too small at step {cut.at + 1:,}, so from there on a batch is taken {count(size, 'example')} at a "
        "time; a step takes longer, nothing is lost."
    )


def _steady(train: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in train.items() if key not in FREE_TO_CHANGE}


def _outcome(place: Path) -> Outcome:
    outcome = outcome_of(place)
    assert outcome is not None
    return outcome


def _part_plan(place: Path) -> PartPlan:
    return PartPlan.model_validate(read_json(place / "plan.json"))
