"""Debian's machine-readable `copyright`: which licence each file of a package has (the format of DEP-5).

Its patterns are of the source package, whose folders are not those that are installed: `abstract/Silk.png` becomes
`usr/share/backgrounds/mate/abstract/Silk.png`, and `16.04/Bridge.jpg` becomes `usr/share/backgrounds/Bridge.jpg`. So a pattern that
names a file is compared by that name, and one that names a folder holds for what lies in such a folder.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from email import message_from_string
from fnmatch import fnmatchcase
from typing import NamedTuple

from genwright.rights.names import spdx

_FORMAT = re.compile(r"^Format:\s*\S*copyright-format", re.MULTILINE | re.IGNORECASE)
_ANYTHING = re.compile(r"[*?]+(\.\w+)?")
"""A name that says nothing of a file but perhaps its kind."""
_INSTALLED = re.compile(r"^(usr/)?share/doc/[^/]+/copyright$")


class Stanza(NamedTuple):
    patterns: tuple[str, ...]
    licence: str


def is_machine_readable(text: str) -> bool:
    return _FORMAT.search(text[:2000]) is not None


def is_of_package(path: str) -> bool:
    """Whether a notice stands where Debian puts that of a whole package."""
    return _INSTALLED.match(path) is not None


class Copyright:
    """What a machine-readable `copyright` says, file by file."""

    def __init__(self, text: str):
        self.stanzas = list(_stanzas(text))

    def of(self, path: str) -> str | None:
        """The licence of an installed file; None where no pattern is for it. A pattern that names the file counts before others, and
        of those the last."""
        found: tuple[int, str] | None = None
        for stanza in self.stanzas:
            near = max((_nearness(pattern, path) for pattern in stanza.patterns), default=0)
            if near and (found is None or near >= found[0]):
                found = near, stanza.licence
        return found[1] if found else None


def _stanzas(text: str) -> Iterator[Stanza]:
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n")):
        fields = message_from_string(block.strip("\n"))
        if "Files" in fields and "License" in fields:
            patterns = tuple(re.split(r"[\s]+", str(fields["Files"]).strip()))
            yield Stanza(patterns, spdx(str(fields["License"]).strip().splitlines()[0]))


def _nearness(pattern: str, path: str) -> int:
    """0: the pattern is not for the file; 1: it is for every file; 2: for files of such a folder; 3: for a file of this name; and more
    for each folder above it that is the same."""
    pattern = pattern.removeprefix("./")
    if pattern == "*":
        return 1
    folder, name = posixpath.split(pattern)
    if _ANYTHING.fullmatch(name):
        inside = f"/{posixpath.dirname(path)}/"
        return 2 if fnmatchcase(posixpath.basename(path), name) and f"/{folder}/" in inside else 0
    if not fnmatchcase(posixpath.basename(path), name):
        return 0
    wanted, there = folder.split("/") if folder else [], posixpath.dirname(path).split("/")
    same = 0
    while same < min(len(wanted), len(there)) and fnmatchcase(there[-1 - same], wanted[-1 - same]):
        same += 1
    return 3 + same
