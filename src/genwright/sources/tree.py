"""What lies in a folder, seen without opening anything: links are not followed, pipes and devices are never touched."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genwright.errors import RequestError
from genwright.ledger import Drop


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


def walk(root: Path) -> Iterator[Entry]:
    """Every path below a folder, in the order of their bytes. A folder that can't be read, or isn't, is one entry.

    Raises RequestError when `root` itself is no folder that can be read.
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
    yield from _level(top, "", {(status.st_dev, status.st_ino)})


def _level(scan: Iterator[os.DirEntry[str]], prefix: str, above: set[tuple[int, int]]) -> Iterator[Entry]:
    # An explicit stack: a folder may be deeper than Python's own.
    stack = [(iter(_sorted(scan)), prefix)]
    while stack:
        entries, prefix = stack[-1]
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
            hidden = Drop("hidden") if found.name.startswith(".") else None
            yield Entry(path, found.path, status.st_size, hidden)
        elif not stat.S_ISDIR(status.st_mode):
            yield Entry(path, drop=Drop("special_file", _special(status.st_mode)))
        elif found.name.startswith("."):
            yield Entry(path + "/", drop=Drop("hidden"))
        elif (status.st_dev, status.st_ino) in above:
            yield Entry(path + "/", drop=Drop("link", "the folder itself again"))
        elif _is_run(found.path):
            yield Entry(path + "/", drop=Drop("output"))
        else:
            try:
                stack.append((iter(_sorted(os.scandir(found.path))), path + "/"))
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


def read_regular(file: str | Path, most: int = -1) -> bytes:
    """The (first) bytes of a file, if it is one still: a link or a pipe put in its place is refused, not followed. Raises OSError."""
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(0, "not a regular file any more")
        return stream.read(most)
