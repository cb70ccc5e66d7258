"""Genwright: train, score and serve a generative model of your own data.

import genwright as gw
run = gw.run("recipe.yaml")
for media in run.generate("a red fox"):
    media.save("fox.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["GenwrightError", "RequestError", "WorkError", "__version__", "load", "run"]

if TYPE_CHECKING:
    from genwright.api import load, run
    from genwright.errors import GenwrightError, RequestError, WorkError


def __getattr__(name: str) -> Any:
    # Lazy, so that `import genwright` and shell completion stay free of torch and numpy.
    from importlib import import_module

    if name in ("load", "run"):
        return getattr(import_module("genwright.api"), name)
    if name in ("GenwrightError", "RequestError", "WorkError"):
        return getattr(import_module("genwright.errors"), name)
    raise AttributeError(f"module 'genwright' has no attribute {name!r}")
