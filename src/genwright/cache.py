"""The user's cache folder: downloads, and what is dear to compute and the same for every run. Safe to delete at any time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from genwright.errors import RequestError


def folder(*parts: str) -> Path:
    """`GENWRIGHT_CACHE`, or the platform's own place for caches, with `parts` below it; the folder is made. Raises RequestError when it can't be."""
    given = os.environ.get("GENWRIGHT_CACHE")
    if given:
        root = Path(given).expanduser()
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches" / "genwright"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genwright"
    place = root.absolute().joinpath(*parts)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"{place}: the cache folder can't be made ({error.strerror}); name another with GENWRIGHT_CACHE."
        ) from error
    return place
