"""A model to try before it is whole: of a training that is still going on, was killed, or was never exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from genwright import recipe as recipes
from genwright.console import say
from genwright.errors import RequestError
from genwright.families.base import Family
from genwright.files import quoted
from genwright.model import Model
from genwright.model_folder import build_task
from genwright.run import Run, read_json
from genwright.stages.train.jobs import Job, Workshop, folder_of
from genwright.stages.train.outcomes import OUTCOME, best_of, finish, load_trained
from genwright.stages.train.sizes import Chosen
from genwright.training import checkpoint, phases
from genwright.training.optimizers import Ema, TensorState


def load_newest(run: Run, device: torch.device) -> Model:
    """The model as far as it is trained; says how far that is. Raises RequestError where there is nothing to try yet."""
    if run.record("prepare") is None or not (run.stage("train") / "plan.json").exists():
        raise RequestError(_nothing(run, "its training has not begun"))
    if run.record("train") is not None:
        say(
            f"{run.folder}: trained and not exported yet; `genwright export {quoted(run.folder)}` writes its model folder."
        )
        return load_trained(run, device)
    recipe = recipes.load(run.recipe)
    chosen = Chosen.model_validate(read_json(run.stage("train") / "plan.json"))
    workshop = Workshop.open(recipe, run, build_task(recipe), device)
    jobs = workshop.jobs(chosen.config)
    for job in jobs:
        place = folder_of(run, job.name)
        if (place / OUTCOME).exists():
            finish(job, best_of(place))
        else:
            _finish_newest(run, job, place)
    return Model(
        workshop.task,
        chosen.config,
        workshop.facts,
        jobs[0].done.families,
        device,
        {"recipe": recipe.hash()},
        main=jobs[0].main,
    )


def _finish_newest(run: Run, job: Job, place: Path) -> None:
    """Hand the part on as its newest checkpoint has it, the averages of its weights where it keeps any."""
    found = checkpoint.newest(place / "checkpoints")
    if found is None:
        raise RequestError(_nothing(run, f"`{job.name}` has no checkpoint yet"))
    newest, weights, state = found
    family = job.build()
    try:
        checkpoint.load_weights(family.modules, weights, strict=False)
        for name, average in _averages(family, state).items():
            family.modules[name].load_state_dict(average, strict=False)
    except (ValueError, KeyError) as error:
        raise RequestError(f"{newest}: does not fit this model ({error}); train again with --fresh.") from error
    family.load_extra_state(state["extra"])
    say(
        f"{run.folder}: its training is not finished; this is step {state['step']:,} of {state['steps']:,}"
        f"{f' of `{job.name}`' if job.later or len(job.done.families) else ''}, its newest checkpoint."
    )
    job.finish(family, None)


def _averages(family: Family, state: dict[str, Any]) -> dict[str, TensorState]:
    """The averages of a checkpoint that stand for the weights of a module, as in the training's own previews."""
    averages: dict[str, Ema] = {}
    for phase in family.phases:
        if phase.name in state["averages"]:
            averages[phase.name] = Ema({name: family.modules[name] for name in phase.trains}, halflife=1.0)
            averages[phase.name].load_state_dict(state["averages"][phase.name])
    whole = {phase.name: (0, state["steps"]) for phase in family.phases}
    borders = {name: phases.Span(*span) for name, span in state.get("borders", whole).items()}
    return phases.standing_averages(family.phases, borders, averages, state["step"] - 1)


def _nothing(run: Run, why: str) -> str:
    return f"{run.folder}: {why}, so there is nothing to try; go on with `genwright run {quoted(run.folder)}`."
