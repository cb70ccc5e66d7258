"""Files opened so that nothing put in their place is followed."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_regular(file: str | Path, most: int = -1) -> bytes:
    """The (first) bytes of a file, if it is one still: a link or a pipe put in its place is refused, not followed. Raises OSError."""
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(0, "not a regular file any more")
        return stream.read(most)
