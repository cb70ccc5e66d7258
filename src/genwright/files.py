"""Files: their names, as people are shown them and as a shell takes them; and writing them, whole or not at all, nothing half written
left behind and every failure told with the place that it happened at."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unicodedata import category


def printable(path: str) -> str:
    """A path as a terminal may be shown it: control characters and what is not UTF-8 are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)


def legible(text: str) -> str:
    """A line of a text as a terminal may be shown it: as `printable`, and spaces of any kind, tabs and what joins letters as they look."""
    return "".join(c if c in _LOOKED_AT or category(c) == "Zs" else printable(c) for c in text.expandtabs(4))


_LOOKED_AT = "\u200c\u200d"
"""Joiners, which Persian, Indian scripts and emoji are written with."""


def quoted(path: str | Path) -> str:
    """A path as it is typed in a shell: one word on one line, whatever is in it, and never taken for an option."""
    text = str(path)
    text = f"./{text}" if text.startswith("-") else text
    return shlex.quote(text) if text.isprintable() else f"$'{''.join(map(_escaped, text))}'"


def _escaped(c: str) -> str:
    if c in "'\\":
        return f"\\{c}"
    return c if c.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(c))


_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")
"""How compiled libraries (safetensors, tokenizers) tell what the system refused, in errors of their own kinds."""


@contextmanager
def at(place: Path) -> Iterator[None]:
    """Within, an OSError that names no file gets `place`: a full disk is told where a file is written, which says not which it is.

    What a compiled library says of the system becomes an OSError too.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(place)
        raise
    except Exception as error:
        if not (said := _SYSTEM_ERROR.search(str(error))):
            raise
        number = int(said[1])
        raise OSError(number, os.strerror(number), str(place)) from error


@contextmanager
def whole(place: Path) -> Iterator[Path]:
    """A temporary path beside `place` for a file or a folder, which takes its place at the end; where anything goes wrong it is removed."""
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        with at(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            remove(temporary)
            yield temporary
            if temporary.is_dir():
                remove(place)
            temporary.replace(place)
    except OSError as error:
        if str(error.filename).startswith(str(temporary)):  # the user knows the name that it was to get
            error.filename = str(place) + str(error.filename)[len(str(temporary)) :]
            error.filename2 = None
        raise
    finally:
        with suppress(OSError):
            remove(temporary)


def share(file: Path) -> None:
    """Give a file the rights that a new one gets here. safetensors makes its own for their user alone, so that a service that runs as
    another user, or a colleague, could read all of a model but its weights."""
    mask = os.umask(0o077)
    os.umask(mask)
    file.chmod(0o666 & ~mask)


def remove(place: Path) -> None:
    """Remove a file, a link or a folder with all that is in it; one that is not there is no fault."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)


def read_regular(file: str | Path, most: int = -1) -> bytes:
    """The (first) bytes of a file, if it is one still: a link or a pipe put in its place is refused, not followed. Raises OSError."""
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(0, "not a regular file any more")
        return stream.read(most)
