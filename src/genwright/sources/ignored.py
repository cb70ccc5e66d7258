"""What a folder of code holds that is not its owner's to learn from: what a .gitignore names, and other people's code."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pathspec import GitIgnoreSpec

from genwright.files import read_regular
from genwright.ledger import Drop
from genwright.media.text import decode

_VENDORED = frozenset(["node_modules", "bower_components", "site-packages", "__pycache__", "__pypackages__"])
_BESIDE_CODE = frozenset(
    ["vendor", "third_party", "third-party", "dist", "build", "target", "out", "venv", "env", "Pods"]
)
"""Other people's code, or what was built, where the folder is that of a program; elsewhere anything may be called so."""
_PROJECT = frozenset(
    [
        "package.json",
        "pyproject.toml",
        "setup.py",
        "setup.cfg",
        "requirements.txt",
        "Cargo.toml",
        "go.mod",
        "pom.xml",
        "build.gradle",
        "build.gradle.kts",
        "composer.json",
        "Gemfile",
        "Podfile",
        "CMakeLists.txt",
        "Makefile",
        ".git",
    ]
)


def is_program(names: Iterable[str]) -> bool:
    """Whether a folder that holds files of these names is that of a program."""
    return not _PROJECT.isdisjoint(names)


@dataclass(frozen=True)
class Ignoring:
    """The rules that hold in a folder: those of the folders above it, and its own."""

    rules: tuple[tuple[str, GitIgnoreSpec], ...] = ()
    """.gitignore files, each with the folder that it lies in ("" or "a/b/"), outermost first."""
    program: bool = False

    def inside(self, prefix: str, entries: Sequence[os.DirEntry[str]]) -> Ignoring:
        """The rules in a folder that holds these entries."""
        names = {entry.name: entry for entry in entries}
        rules = self.rules
        if ".gitignore" in names and (spec := _read(names[".gitignore"].path)):
            rules = (*rules, (prefix, spec))
        return Ignoring(rules, is_program(names))

    def drop(self, path: str) -> Drop | None:
        """Why a path (of a folder with "/" at its end) is left out."""
        name = path.rstrip("/").rpartition("/")[2]
        if path.endswith("/") and (name in _VENDORED or (self.program and name in _BESIDE_CODE)):
            return Drop("ignored", "other people's code, or what was built")
        for prefix, spec in reversed(self.rules):
            included = spec.check_file(path[len(prefix) :]).include
            if included is not None:
                return Drop("ignored", f"named in {prefix}.gitignore") if included else None
        return None


def _read(file: str) -> GitIgnoreSpec | None:
    try:
        text = decode(read_regular(file))
    except OSError:
        return None
    lines = [] if isinstance(text, Drop) else text.split("\n")
    return GitIgnoreSpec.from_lines(line for line in lines if _is_pattern(line))


def _is_pattern(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True
