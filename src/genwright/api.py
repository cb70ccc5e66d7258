"""The same from Python: `gw.run("recipe.yaml")` makes a run, `gw.load("runs/x")` opens one; both generate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from genwright import device as devices
from genwright import model_folder as models
from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.media.base import Media
from genwright.model import Model
from genwright.request import Blob, checked, positional, request_class
from genwright.run import Run, is_unfinished, model_folder
from genwright.scores import ScoreSheet
from genwright.stages.pipeline import Options, run_stages
from genwright.stages.start import recipe_and_run


class Generator:
    """A loaded model that answers requests."""

    def __init__(self, folder: Path, device: str | None = None, capacity: int = Model.capacity, **opening: Any):
        """`capacity`: requests that are worked on at once. `opening`: fields of the family's `Opening` (weights="int8").

        Raises RequestError naming the option that is wrong, or that can't be had here.
        """
        self.folder = folder
        self.model = _model(folder, devices.choose(device))
        self.model.capacity = capacity
        self.model.opening = checked(self.model.family.Opening, opening)
        self.engine = Engine()

    def generate(self, prompt: str | Blob = "", **options: Any) -> Iterator[Media]:
        """Check a request and answer it: `prompt` is what the command line takes behind the run, a text or a file of the medium that
        the task works on; `options` are the request's other fields (n, seed, temperature, ...).

        Raises RequestError naming the option that is wrong.
        """
        schema = request_class(self.model.task.name, self.model.task.family)
        if prompt != "":
            name = positional(schema)
            if name is None:
                raise RequestError(
                    f"`{self.model.task.name}` takes no prompt; there are {', '.join(schema.model_fields)}."
                )
            options[name] = prompt
        return self.answer(checked(schema, options))

    def answer(self, request: BaseModel) -> Iterator[Media]:
        """Answer a request that was checked (`request.checked`). The one door for command line, Python and server."""
        return self.model.task.answer(self.model, request, self.engine)

    @property
    def scores(self) -> ScoreSheet:
        """The score sheet of the run. Raises RequestError when it was not evaluated or this is a model folder alone."""
        file = self.folder / "evaluate" / "scores.json"
        if not file.exists():
            raise RequestError(f"{self.folder}: no scores here; run `genwright evaluate` on its recipe.")
        return ScoreSheet.read(file)


def _model(folder: Path, device: torch.device) -> Model:
    """Of a model folder, or of a run, which may be one that is not finished."""
    if is_unfinished(folder):
        from genwright.stages.train.unfinished import load_newest

        return load_newest(Run(folder), device)
    return models.load(model_folder(folder), device)


def run(
    recipe: str | Path, *, run_dir: str | Path | None = None, overrides: list[str] | None = None, **options: Any
) -> Generator:
    """Run all stages of a recipe file and open what came of it; `options` are those of `stages.pipeline.Options`."""
    loaded, made = recipe_and_run(Path(recipe), overrides, Path(run_dir) if run_dir else None)
    chosen = Options(**options)
    run_stages(loaded, made, chosen)
    return Generator(made.folder, chosen.device)


def load(folder: str | Path, device: str | None = None, **opening: Any) -> Generator:
    """Open a run or a model folder; `opening` as in `Generator`."""
    return Generator(Path(folder), device, **opening)


__all__ = ["Generator", "Run", "load", "run"]
