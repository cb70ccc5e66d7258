"""Train: the parts of a model in order, each by the one loop, within the budget.

    train/
      recipe.json           the `model` and `train` sections that this training is of, and what was added to its budget
      plan.json             the size that was chosen, and why
      <part>/plan.json      steps and schedule, fixed before the part's first step
      <part>/outcome.json   what came of it, once the part has had its budget
      <part>/metrics.jsonl  checkpoints/  best/  previews/
      <part>/before/<data>/ the best weights as they were before the newest data came
      known-<data>.npy      what was known when the training last finished (new_data.py)

A training that was stopped goes on from its newest checkpoint. A larger `train.budget`, or `--more 30m`, continues a finished
one: its schedule is laid out anew over the new total. Where examples are new since, it learns for another budget, in which
they are drawn more often than their share and old ones beside them (training/mixture.py). Other changes of `model` and `train`
are refused unless --fresh.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genwright import device as devices
from genwright import recipe as recipes
from genwright.console import duration, say
from genwright.errors import RequestError
from genwright.families.base import Family
from genwright.model import Model
from genwright.model_folder import build_task
from genwright.recipe import Recipe
from genwright.run import Run, write_atomic
from genwright.stages.inputs import digest, stage_inputs
from genwright.stages.train import new_data
from genwright.stages.train.budgets import FREE_TO_CHANGE, Account, close_account, forget_if_refitted, open_account
from genwright.stages.train.jobs import Job, Workshop, folder_of
from genwright.stages.train.mixing import mixture_for, told
from genwright.stages.train.planning import Chosen, choose, plan, plan_job
from genwright.tasks.base import BaseTask
from genwright.training import checkpoint, forecast, tracking
from genwright.training.base import Outcome
from genwright.training.forecast import PartPlan
from genwright.training.trainer import Trainer

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
) -> dict[str, Any]:
    """Train all parts, or go on with them; with `refit`, from the start where the facts are others than before.

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
    run.reopen("train")
    chosen = _chosen(workshop, recipe, folder)
    plans: dict[str, PartPlan] = {}
    outcomes: dict[str, Outcome] = {}
    for job in workshop.jobs(chosen.config):
        place = folder_of(run, job.name)
        job.derive(place)
        plans[job.name] = _planned(job, recipe, account, place, clock)
        outcomes[job.name] = _train(job, recipe, run, account, plans[job.name], place)
        job.trained[job.name] = _load_part(job, _best(place))
        clock = time.monotonic()
    new_data.save(folder, data, workshop.splits, account.former)
    close_account(account, folder)
    summary = _summary(chosen, plans, outcomes)
    run.complete(
        "train",
        inputs=inputs,
        outputs=digest(
            {name: checkpoint.read_json(_best(folder_of(run, name)) / checkpoint.MANIFEST)["files"] for name in plans}
        ),
        seconds=time.monotonic() - started,
        device=devices.title(device),
        summary=summary,
    )
    return summary


def load_trained(run: Run, device: torch.device) -> Model:
    """The trained model with all its modules and the best (averaged) weights, for evaluate and export.

    Raises RequestError when nothing was trained here, or not to the end.
    """
    record = run.record("train")
    if record is None:
        raise RequestError(f"{run.folder}: its training is not finished; run `genwright train` on its recipe.")
    recipe = recipes.load(run.recipe)
    model = _load(recipe, run, device, lambda place: _best(place))
    model.about = {"recipe": recipe.hash(), "trained": record.summary, "train_outputs": record.outputs}
    return model


def load_before(run: Run, device: torch.device) -> tuple[Model, np.ndarray, PartPlan] | None:
    """The model as it was before the newest data came, the keys of the data that it knew, and the plan since then of the part that
    generates. None where no new data has come yet."""
    folder = run.stage("train")
    account = Account.model_validate_json((folder / "recipe.json").read_text(encoding="utf-8"))
    known = new_data.load(folder, account.former)
    if known is None:
        return None
    if not all((part.parent / "before" / account.former).is_dir() for part in folder.glob("*/outcome.json")):
        return None
    recipe = recipes.load(run.recipe)
    model = _load(recipe, run, device, lambda place: place / "before" / account.former)
    last = list(model.parts)[-1]
    plan_file = folder_of(run, last) / "plan.json"
    return model, known, PartPlan.model_validate_json(plan_file.read_text(encoding="utf-8"))


def _load(recipe: Recipe, run: Run, device: torch.device, weights_of: Callable[[Path], Path]) -> Model:
    """A model with the weights that stand where `weights_of` says for each part's folder."""
    task = build_task(recipe)
    workshop = Workshop.open(recipe, run, task, device)
    chosen = Chosen.model_validate_json((run.stage("train") / "plan.json").read_text(encoding="utf-8"))
    trained: dict[str, Family] = {}
    for job in workshop.jobs(chosen.config):
        trained = job.trained
        trained[job.name] = _load_part(job, weights_of(folder_of(run, job.name)))
    return Model(task, chosen.config, workshop.facts, trained, device)


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
    say("train: timing a few steps to choose the model's size and the number of steps ...")
    chosen = choose(workshop, recipe)
    write_atomic(file, chosen.model_dump_json(indent=1) + "\n")
    return chosen


def _planned(job: Job, recipe: Recipe, account: Account, place: Path, started: float) -> PartPlan:
    """The part's plan: as it was written down, with what was added to the budget since; or made now and written down."""
    file = place / "plan.json"
    if file.exists():
        part = PartPlan.model_validate_json(file.read_text(encoding="utf-8"))
    else:
        place.mkdir(parents=True, exist_ok=True)
        part = plan_job(job, recipe.train.model_copy(update={"budget": account.budget}), place, started)
    finished = _outcome(place)
    for budget in account.added[part.added :]:
        more = budget.model_copy(update={"amount": budget.amount * job.share})
        part = forecast.extended(part, finished.steps if finished else part.settings.steps, more)
        finished = None
    if account.former and (part.mixture is None or part.mixture.data != account.data):
        part = _with_new_data(job, recipe, account, part, place)
    kept = {"keep_checkpoints": recipe.train.keep_checkpoints}
    part = part.model_copy(update={"settings": part.settings.model_copy(update=kept)})
    write_atomic(file, part.model_dump_json(indent=1) + "\n")
    return part


def _with_new_data(job: Job, recipe: Recipe, account: Account, part: PartPlan, place: Path) -> PartPlan:
    """Lay down how old and new data are mixed from the newest checkpoint on, and keep the weights as they are."""
    kept = place / "before" / account.former
    if not kept.exists():
        temporary = kept.with_name(f".{kept.name}")
        shutil.rmtree(place / "before", ignore_errors=True)
        shutil.copytree(_best(place), temporary)
        temporary.rename(kept)
    found = checkpoint.newest(place / "checkpoints")
    state: dict[str, Any] = found[2] if found else {"step": 0, "position": {"train": 0}}
    done, start = state["step"], state["position"]["train"]
    mixture = mixture_for(job, recipe, account, start, done, part.settings.steps - done)
    if mixture is not None:
        say(f"train {job.name}: {told(mixture, *map(len, job.old_and_new()))}.")
    return forecast.with_mixture(part, mixture, job.held_out_examples(), job.training().pass_examples)


def _train(job: Job, recipe: Recipe, run: Run, account: Account, part: PartPlan, place: Path) -> Outcome:
    finished = _outcome(place)
    if finished is not None and finished.planned_steps == part.settings.steps:
        return finished
    family, settings = job.build(), part.settings
    say(
        f"train {job.name}: {job.config.title}, {part.measured.parameters:,} parameters, {settings.steps:,} steps of "
        f"{settings.batch} examples, about {duration(part.seconds)} ({settings.precision}, {'compiled' if settings.compile else 'eager'})"
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
                account.model, _steady(account.train), account.facts, job.config.model_dump(mode="json")
            ),
            data_hash=account.data,
            title=f"train {job.name}" if len(job.workshop.task.parts(job.config, job.workshop.facts)) > 1 else "train",
        ).run()
    write_atomic(place / "outcome.json", outcome.model_dump_json(indent=1) + "\n")
    if outcome.stopped_early:
        say(
            f"train: stopped at step {outcome.steps:,}: the held-out loss has not fallen since step {outcome.best_step:,}."
        )
    return outcome


def _steady(train: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in train.items() if key not in FREE_TO_CHANGE}


def _outcome(place: Path) -> Outcome | None:
    file = place / "outcome.json"
    return Outcome.model_validate_json(file.read_text(encoding="utf-8")) if file.exists() else None


def _best(place: Path) -> Path:
    outcome = _outcome(place)
    if outcome is None or outcome.best_step is None:
        raise RequestError(f"{place}: this part's training is not finished; run `genwright train` on the recipe.")
    return place / "best" / checkpoint.name_of(outcome.best_step)


def _load_part(job: Job, best: Path) -> Family:
    family = job.build()
    try:
        weights, state = checkpoint.read(best)
        checkpoint.load_weights(family.modules, weights, strict=False)
    except (ValueError, KeyError) as error:
        raise RequestError(f"{best}: the best weights can't be read ({error}); train again with --fresh.") from error
    family.load_extra_state(state["extra"])
    family.modules.eval().requires_grad_(False)
    return family


def _summary(chosen: Chosen, plans: dict[str, PartPlan], outcomes: dict[str, Outcome]) -> dict[str, Any]:
    """What the stage wants to be remembered for. Totals are over the parts, `best_*` are the last one's."""
    first, last = next(iter(plans.values())), list(outcomes.values())[-1]
    flops = sum(plans[name].measured.flops_per_step * outcome.steps for name, outcome in outcomes.items())
    seconds = sum(outcome.seconds for outcome in outcomes.values())
    examples = sum(outcome.examples for outcome in outcomes.values())
    return {
        "title": chosen.config.title,
        "reason": chosen.reason,
        "parameters": sum(plan.measured.parameters for plan in plans.values()),
        "steps": sum(outcome.steps for outcome in outcomes.values()),
        "planned_steps": sum(outcome.planned_steps for outcome in outcomes.values()),
        "seconds": round(seconds, 3),
        "examples": examples,
        "weight": sum(outcome.weight for outcome in outcomes.values()),
        "passes": round(examples / max(1, first.pass_examples), 3),
        "examples_per_second": round(examples / max(seconds, 1e-9), 3),
        "flops": flops,
        "flops_per_second": flops / max(seconds, 1e-9),
        "stopped_early": any(outcome.stopped_early for outcome in outcomes.values()),
        "best_step": last.best_step,
        "best_loss": last.best_loss,
        "precision": first.settings.precision,
        "compiled": any(plan.settings.compile for plan in plans.values()),
        "config": chosen.config.model_dump(mode="json"),
        "parts": {
            name: {**outcome.model_dump(), "settings": plans[name].settings.model_dump(), "budget": plans[name].budget}
            for name, outcome in outcomes.items()
        },
    }
