"""What lies in a folder, seen without opening anything: links are not followed, pipes and devices are never touched."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genwright.errors import RequestError
from genwright.ledger import Drop
from genwright.sources.ignored import Ignoring

_LEFT_BEHIND = re.compile(r"~\$.*|Thumbs\.db|ehthumbs\.db|desktop\.ini|Icon\r", re.IGNORECASE)
"""What systems and Office leave in folders, and hide there."""


def is_left_behind(name: str) -> bool:
    """Whether a name is one that no user gave."""
    return _LEFT_BEHIND.fullmatch(name) is not None


@dataclass(frozen=True)
class Entry:
    """A path inside a source: a file with its size, or why it can't be one."""

    path: str
    file: str | None = None
    bytes: int | None = None
    drop: Drop | None = None

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rpartition("/")[2]


def walk(root: Path, *, ignoring: bool = False) -> Iterator[Entry]:
    """Every path below a folder, in the order of their bytes. A folder that can't be read, or isn't, is one entry.

    `ignoring` leaves out, as entries of their own, what a .gitignore names and folders of other people's code. Raises RequestError when `root` itself is no folder that can be read.
    """
    try:
        top = os.scandir(root)
    except FileNotFoundError as error:
        raise RequestError(f"{root}: there is no such folder; check `folder` in the recipe.") from error
    except NotADirectoryError as error:
        raise RequestError(
            f"{root}: not a folder; use `archive` for a zip or tar file, `table` for a table."
        ) from error
    except OSError as error:
        raise RequestError(f"{root}: the folder can't be read ({error.strerror}).") from error
    status = root.stat()
    yield from _level(_sorted(top), {(status.st_dev, status.st_ino)}, ignoring)


def _level(top: list[os.DirEntry[str]], above: set[tuple[int, int]], ignoring: bool) -> Iterator[Entry]:
    # An explicit stack: a folder may be deeper than Python's own.
    stack = [(iter(top), "", Ignoring().inside("", top) if ignoring else None)]
    while stack:
        entries, prefix, rules = stack[-1]
        found = next(entries, None)
        if found is None:
            stack.pop()
            continue
        path = prefix + found.name
        try:
            status = found.stat(follow_symlinks=False)
        except OSError as error:
            yield Entry(path, drop=Drop("unreadable", error.strerror or "can't be looked at"))
            continue
        if stat.S_ISLNK(status.st_mode):
            yield Entry(path, drop=Drop("link", _target(found.path)))
        elif stat.S_ISREG(status.st_mode):
            drop = (
                Drop("hidden")
                if found.name.startswith(".") or is_left_behind(found.name)
                else rules.drop(path)
                if rules
                else None
            )
            yield Entry(path, found.path, status.st_size, drop)
        elif not stat.S_ISDIR(status.st_mode):
            yield Entry(path, drop=Drop("special_file", _special(status.st_mode)))
        elif found.name.startswith("."):
            yield Entry(path + "/", drop=Drop("hidden"))
        elif (status.st_dev, status.st_ino) in above:
            yield Entry(path + "/", drop=Drop("link", "the folder itself again"))
        elif _is_run(found.path):
            yield Entry(path + "/", drop=Drop("output"))
        elif rules and (drop := rules.drop(path + "/")):
            yield Entry(path + "/", drop=drop)
        else:
            try:
                below = _sorted(os.scandir(found.path))
                stack.append((iter(below), path + "/", rules.inside(path + "/", below) if rules else None))
            except OSError as error:
                yield Entry(path + "/", drop=Drop("unreadable", error.strerror or ""))
                continue
            above.add((status.st_dev, status.st_ino))


def _sorted(scan: Iterator[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
    return sorted(scan, key=lambda entry: os.fsencode(entry.name))


def _target(path: str) -> str:
    try:
        return f"to {os.readlink(path)}"  # noqa: PTH115
    except OSError:
        return ""


def _special(mode: int) -> str:
    tests = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISBLK, "a device"))
    return next((name for test, name in tests if test(mode)), "a device")


def _is_run(folder: str) -> bool:
    return all(os.path.isfile(os.path.join(folder, name)) for name in ("recipe.yaml", "lock"))  # noqa: PTH113, PTH118
