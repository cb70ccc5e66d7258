"""Runs and model folders that an older Genwright made (tests/assets/runs)."""

from __future__ import annotations

import tarfile
from pathlib import Path

from genwright.run import Run
from helpers import ASSETS

OLD = ASSETS / "runs" / "484daea"
_PLACE = "/@DATA@"


def old_run(name: str, folder: Path) -> Run:
    """A run as the older code left it, with the place of its data filled in."""
    with tarfile.open(OLD / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    data = OLD / "data" if name in ("chat", "complete") else ASSETS
    for recipe in (folder / f"{name}.yaml", folder / name / "recipe.yaml"):
        recipe.write_text(recipe.read_text(encoding="utf-8").replace(_PLACE, str(data)), encoding="utf-8")
    return Run(folder / name)
