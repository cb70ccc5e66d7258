"""What trainings left behind, read back: a part's outcome and best weights, the whole trained model, the model before new data."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from genwright import recipe as recipes
from genwright.errors import RequestError
from genwright.model import Model
from genwright.model_folder import build_task
from genwright.run import Run, read_json
from genwright.stages.train import new_data
from genwright.stages.train.budgets import Account
from genwright.stages.train.jobs import Job, Workshop, folder_of
from genwright.stages.train.sizes import Chosen
from genwright.tasks.base import Splits
from genwright.training import checkpoint
from genwright.training.base import Outcome
from genwright.training.forecast import PartPlan

OUTCOME = "outcome.json"


class Before(NamedTuple):
    """The model as it was before the newest data came."""

    model: Model
    known: np.ndarray
    """Keys of the items that were known then."""
    plan: PartPlan
    """Of the part that learns from the new data, `plan.settings.part`, since then."""
    splits: Splits
    """What that part learns from and is measured on."""


def outcome_of(place: Path) -> Outcome | None:
    file = place / OUTCOME
    return Outcome.model_validate_json(file.read_text(encoding="utf-8")) if file.exists() else None


def best_of(place: Path) -> Path:
    """The best checkpoint of a part. Raises RequestError when it is not there yet."""
    outcome = outcome_of(place)
    if outcome is None or outcome.best_step is None:
        raise RequestError(f"{place}: this part's training is not finished; run `genwright train` on the recipe.")
    return place / "best" / checkpoint.name_of(outcome.best_step)


def finish(job: Job, best: Path) -> None:
    """Hand a trained part to those after it, known by the hashes of its weights' files."""
    family = job.load(best, job.done.families)
    job.finish(family, read_json(best / checkpoint.MANIFEST)["files"])


def load_trained(run: Run, device: torch.device) -> Model:
    """The trained model with all its modules and the best (averaged) weights, for evaluate and export.

    Raises RequestError when nothing was trained here, or not to the end.
    """
    record = run.record("train")
    if record is None:
        raise RequestError(f"{run.folder}: its training is not finished; run `genwright train` on its recipe.")
    jobs = _jobs(run, device)
    for job in jobs:
        finish(job, best_of(folder_of(run, job.name)))
    model = _model(jobs)
    recipe = recipes.load(run.folder / "recipe.yaml")
    model.about = {"recipe": recipe.hash(), "trained": record.summary, "train_outputs": record.outputs}
    return model


def load_before(run: Run, device: torch.device) -> Before | None:
    """None where no new data has come yet."""
    folder = run.stage("train")
    account = Account.model_validate(read_json(folder / "recipe.json"))
    known = new_data.load(folder, account.former)
    if known is None:
        return None
    jobs = _jobs(run, device)
    learner = [job for job in jobs if job.part.source is None][-1]  # those before it stay as they were
    kept = folder / learner.name / "before" / account.former
    if not kept.is_dir():
        return None
    for job in jobs:
        if job is learner:
            job.derive(folder / job.name)
        finish(job, kept if job is learner else best_of(folder / job.name))
    plan = PartPlan.model_validate(read_json(folder / learner.name / "plan.json"))
    return Before(_model(jobs), known, plan, learner.splits)


def _jobs(run: Run, device: torch.device) -> list[Job]:
    recipe = recipes.load(run.folder / "recipe.yaml")
    chosen = Chosen.model_validate(read_json(run.stage("train") / "plan.json"))
    return Workshop.open(recipe, run, build_task(recipe), device).jobs(chosen.config)


def _model(jobs: list[Job]) -> Model:
    """Of jobs that are all finished."""
    job, shop = jobs[0], jobs[0].workshop
    return Model(shop.task, job.config, shop.facts, job.done.families, shop.device, main=job.main)
