"""Genwright: train, score and serve a generative model of your own data.

import genwright as gw
run = gw.run("recipe.yaml")
for media in run.generate("a red fox"):
    media.save("fox.png")
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Loaded now, because loading it later would put the module of this name in place of the function below.
import genwright.run  # noqa: F401
from genwright.errors import GenwrightError, RequestError, WorkError
from genwright.version import __version__

if TYPE_CHECKING:
    from genwright.api import Generator

__all__ = ["GenwrightError", "RequestError", "WorkError", "__version__", "load", "run"]


def run(recipe: str | Path, **options: Any) -> Generator:
    """Run all stages of a recipe file and open what came of it; see `genwright.api.run`."""
    return _api().run(recipe, **options)


def load(folder: str | Path, **options: Any) -> Generator:
    """Open a run or a model folder; see `genwright.api.load`."""
    return _api().load(folder, **options)


def _api() -> Any:
    # Imported when it is asked for, so that `import genwright` and shell completion stay free of torch and numpy; by its name, because
    # whoever needs the version above must not seem to need all of this.
    return import_module("genwright.api")
