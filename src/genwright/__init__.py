"""Genwright: train, score and serve a generative model of your own data.

>>> import genwright as gw
>>> run = gw.run("recipe.yaml")
>>> for number, made in enumerate(run.generate("To be", n=2, seed=1, max_tokens=20)):
...     made.save(f"made-{number}.txt")

All of it: docs/python.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Loaded now, because loading it later would put the module of this name in place of the function below.
import genwright.run  # noqa: F401
from genwright.errors import GenwrightError, RequestError, WorkError
from genwright.version import __version__

if TYPE_CHECKING:
    from genwright.api import Generator
    from genwright.training.forecast import Plan

if "OMP_WAIT_POLICY" not in os.environ:
    # Torch's threads wait for each other at the end of every operation. They spin for milliseconds before they sleep, which beside
    # another busy program is time that the thread waited for does not get: steps took many times as long. Read once, by libgomp,
    # when torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

__all__ = ["GenwrightError", "RequestError", "WorkError", "__version__", "load", "new", "plan", "run"]


def run(
    recipe: str | Path,
    *,
    run_dir: str | Path | None = None,
    overrides: Mapping[str, Any] | Sequence[str] | None = None,
    **options: Any,
) -> Generator:
    """Run all stages of a recipe file, or of a run folder to go on with it, and open what came of it. What is up to date is skipped.

    `run_dir`: the run folder; by default runs/<the recipe's name>. `overrides`: keys of the recipe with other values. `options`: those
    of `genwright run`: device, offline, fresh, refit, more, anyway.

    >>> import genwright as gw
    >>> run = gw.run("recipe.yaml", run_dir="runs/shorter", overrides={"train.budget": "4 steps"}, device="cpu")
    >>> longer = gw.run("runs/shorter", more="2 steps")

    Raises RequestError where the recipe or the data can't be used, WorkError where the work fails.
    """
    return _api().run(recipe, run_dir=run_dir, overrides=overrides, **options)


def load(folder: str | Path, device: str | None = None, **opening: Any) -> Generator:
    """Open a run or a model folder. The weights are read when they are first needed.

    `device`: cpu, cuda, cuda:1 or mps; by default the best there is. `opening`: how the model is held: `capacity` (requests that are
    worked on at once), and for text `weights="int8"`, ...

    >>> import genwright as gw
    >>> made = gw.load("runs/recipe/model", device="cpu", weights="int8").generate("To be", seed=1, max_tokens=5)

    Raises RequestError where the folder is neither.
    """
    return _api().load(folder, device, **opening)


def plan(
    recipe: str | Path,
    *,
    run_dir: str | Path | None = None,
    overrides: Mapping[str, Any] | Sequence[str] | None = None,
    **options: Any,
) -> Plan:
    """What a training would cost, measured by a few steps: `print` and a notebook show it as a table. Arguments as `run`'s.

    >>> import genwright as gw
    >>> plan = gw.plan("recipe.yaml", overrides={"train.budget": "9 steps"})
    >>> plan.steps, plan.parameters > 1000
    (9, True)
    """
    return _api().plan(recipe, run_dir=run_dir, overrides=overrides, **options)


def new(folder: str | Path, task: str | None = None, *, where: str | Path = ".", examples: bool = False) -> Path:
    """Look at a folder, print what is in it and what it is good for, and write a recipe for it into the folder `where`; its path.
    With `examples` also print three as the model will see them, for which torch is loaded.

    >>> import genwright as gw
    >>> recipe = gw.new("notes", "write")  # doctest: +ELLIPSIS
    /...notes: 2 files...
    >>> recipe.name
    'notes.yaml'

    Raises RequestError where nothing in it is usable.
    """
    return import_module("genwright.survey.command").new(Path(folder), task, where=Path(where), shown=examples)


def _api() -> Any:
    # Imported when it is asked for, so that `import genwright` and shell completion stay free of torch and numpy; by its name, because
    # whoever needs the version above must not seem to need all of this.
    return import_module("genwright.api")
