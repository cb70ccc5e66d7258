"""The same from Python: `gw.run("recipe.yaml")` makes a run, `gw.load("runs/x")` opens one; both generate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from genwright import device as devices
from genwright import model_folder as models
from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.media.base import Media
from genwright.model import Model
from genwright.request import request_class
from genwright.run import Run, model_folder
from genwright.scores import ScoreSheet
from genwright.stages.pipeline import Options, run_stages
from genwright.stages.start import recipe_and_run


class Generator:
    """A loaded model that answers requests. The one door for command line and Python."""

    def __init__(self, folder: Path, device: str | None = None, capacity: int = Model.capacity, **opening: Any):
        """`capacity`: requests that are worked on at once. `opening`: fields of the family's `Opening` (weights="int8").

        Raises RequestError naming the option that is wrong, or that can't be had here.
        """
        self.folder = folder
        self.model = models.load(model_folder(folder), devices.choose(device))
        self.model.capacity = capacity
        self.model.opening = _checked(
            self.model.family.Opening, opening, f"a model of the family {self.model.task.family}"
        )
        self.engine = Engine()

    def generate(self, prompt: str = "", **options: Any) -> Iterator[Media]:
        """Answer a request; `options` are the request's fields (n, seed, temperature, ...).

        Raises RequestError naming the option that is wrong.
        """
        schema = request_class(self.model.task.name, self.model.task.family)
        request = _checked(schema, {"prompt": prompt, **options}, "a request")
        return self.model.task.answer(self.model, request, self.engine)

    @property
    def scores(self) -> ScoreSheet:
        """The score sheet of the run. Raises RequestError when it was not evaluated or this is a model folder alone."""
        file = self.folder / "evaluate" / "scores.json"
        if not file.exists():
            raise RequestError(f"{self.folder}: no scores here; run `genwright evaluate` on its recipe.")
        return ScoreSheet.read(file)


def _checked(schema: type[BaseModel], given: dict[str, Any], whose: str) -> Any:
    """Raises RequestError naming the option that is wrong."""
    try:
        return schema.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name, known = ".".join(map(str, first["loc"])), ", ".join(schema.model_fields)
        hint = f"options are {known}" if known else f"{whose} has no such options, leave it out"
        raise RequestError(f"`{name}`: {first['msg']}; {hint}.") from error


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
