"""Parts that are taken from another run or a model folder (`from` in a part's section) instead of being trained.

Their weights are copied to train/<part>/best, beside an outcome of no steps, so the run stays whole when the other one goes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from genwright.errors import RequestError
from genwright.families.base import Family
from genwright.model_folder import WEIGHTS
from genwright.run import model_folder, read_json, write_atomic
from genwright.stages.train.budgets import changed_keys
from genwright.stages.train.jobs import Job
from genwright.stages.train.outcomes import OUTCOME, best_of, outcome_of
from genwright.training import checkpoint, phases
from genwright.training.base import Outcome


def take(jobs: list[Job], folder: Path) -> None:
    """Bring the parts that have a `source` into `folder`/<part>. Raises RequestError where one is not there or does not fit."""
    built: dict[str, Family] = {}
    for job in jobs:
        if not any(other.part.source for other in (job, *job.later)):
            return
        place = folder / job.name
        built[job.name] = job.workshop.build(job.part, built, job.config.title)
        if job.part.source is None:
            continue
        if not (place / OUTCOME).exists():
            try:
                _take(job, built[job.name], Path(job.part.source), place)
            except RequestError as error:
                raise RequestError(f"`model.{job.name}.from`: {error}") from error
        job.taken = best_of(place)


def _take(job: Job, family: Family, source: Path, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)  # what a kill left behind
    there = source / "train" / job.name
    if (outcome := outcome_of(there)) is not None:
        _check_settings(job, source, read_json(source / "train" / "recipe.json")["model"])
        best, networks = best_of(there), phases.trained_networks(family)
        with _fitting(best):
            checkpoint.load_weights(networks, checkpoint.read(best)[0], without=phases.not_trained(networks))
        shutil.copytree(best, place / "best" / best.name)
    else:
        folder = model_folder(source)
        _check_settings(job, source, read_json(folder / "config.json")["genwright"]["model"])
        missing = ", ".join(name for name in family.modules if name not in family.exported)
        if missing:
            raise RequestError(f"{folder} has this part without its {missing}; name the run that it was exported from.")
        with _fitting(folder / job.name / WEIGHTS) as file:
            family.load_tensors(load_file(file))
        best = place / "best" / checkpoint.name_of(0)
        checkpoint.write(best, checkpoint.weights_of(family.modules), {"extra": family.extra_state()})
    taken = Outcome(
        steps=0,
        planned_steps=0,
        examples=0,
        weight=0,
        seconds=0,
        stopped_early=False,
        best_step=int(best.name.rpartition("-")[2]),
        best_loss=outcome.best_loss if outcome else None,
    )
    write_atomic(place / OUTCOME, taken.model_dump_json(indent=1) + "\n")


def _check_settings(job: Job, source: Path, theirs: dict[str, Any]) -> None:
    """Both must say the same of the part."""
    whole = job.workshop.task.model.model_dump(mode="json")
    ours, found = whole[job.name], theirs.get(job.name)
    if not isinstance(found, dict):
        raise RequestError(f"{source} has no part `{job.name}`; name a run or model folder of the same task.")
    for key in job.part.alike:
        if whole[key] != theirs.get(key):
            raise RequestError(
                f"`model.{key}` is {whole[key]!r} here and {theirs.get(key)!r} in {source}; say the same here, or leave `from` out."
            )
    for key in changed_keys({**found, "from": None}, {**ours, "from": None}, f"model.{job.name}"):
        name = key.rpartition(".")[2]
        raise RequestError(
            f"`{key}` is {ours.get(name)!r} here and {found.get(name)!r} in {source}; say the same here, or leave `from` out."
        )


@contextmanager
def _fitting(file: Path) -> Iterator[Path]:
    try:
        yield file
    except (OSError, RuntimeError, KeyError, ValueError, SafetensorError) as error:
        raise RequestError(
            f"{file} is of another size than this model or damaged ({error}); ask for the same size here, or leave `from` out."
        ) from error
