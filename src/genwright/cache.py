"""The user's cache folder: downloads, and what is dear to compute and the same for every run. Safe to delete at any time."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def folder(*parts: str) -> Path:
    """`GENWRIGHT_CACHE`, or the platform's own place for caches, with `parts` below it; the folder is made."""
    given = os.environ.get("GENWRIGHT_CACHE")
    if given:
        root = Path(given).expanduser()
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches" / "genwright"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genwright"
    place = root.joinpath(*parts)
    place.mkdir(parents=True, exist_ok=True)
    return place
