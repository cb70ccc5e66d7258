"""What is known of a finished run, in one place for the pages that put runs beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from genwright import recipe as recipes
from genwright.errors import RequestError
from genwright.recipe import Recipe
from genwright.run import Run, open_run
from genwright.scores import ScoreSheet
from genwright.stages.train.record import Training, read_training


@dataclass(frozen=True)
class RunFacts:
    """A run that was evaluated."""

    run: Run
    recipe: Recipe
    data: str
    """The hash of the ledger: equal for runs on equal data."""
    device: str
    training: Training
    sheet: ScoreSheet

    @property
    def seed(self) -> int:
        return self.recipe.train.seed


def read_facts(folder: Path) -> RunFacts:
    """Raises RequestError when the folder is no run, or a run without scores."""
    run = open_run(folder)
    scores = run.stage("evaluate") / "scores.json"
    collected, trained = run.record("collect"), run.record("train")
    if trained is None or collected is None or run.record("evaluate") is None or not scores.exists():
        raise RequestError(
            f"{folder}: not evaluated yet, so there is nothing to compare; run `genwright evaluate` on it."
        )
    return RunFacts(
        run=run,
        recipe=recipes.load(run.recipe),
        data=collected.outputs,
        device=trained.device,
        training=read_training(trained.summary),
        sheet=ScoreSheet.read(scores),
    )
