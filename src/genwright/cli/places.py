"""Names of the files that a command makes: one that is made up here never takes the place of a file that is there."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from genwright.errors import RequestError

STANDARD_OUTPUT = Path("-")
_LONGEST = 40
"""Characters of the words that a name begins with."""


class Places:
    """The files of `n` outputs in `out`: the file itself where `out` is plainly one and there is one output, else files of a number of
    their own, from the first that none of their name has yet.

    `suffixes` are those that the file may have, the usual one first. Raises RequestError, before anything is made, where `out` is no such file or can't be written to.
    """

    def __init__(self, out: Path, n: int, suffixes: Sequence[str], like: Path | None = None):
        self.out, self.n = out, n
        self.suffix = (like.suffix if like else "") or suffixes[0]
        self._first: dict[str, int] = {}
        self.is_file, self.folder = False, out
        if out == STANDARD_OUTPUT:
            return
        try:
            self.is_file = bool(out.suffix and not out.is_dir()) or out.is_file()
            self.folder = out.parent if self.is_file else out
            above = next(place for place in (self.folder, *self.folder.absolute().parents) if place.exists())
        except OSError as error:
            raise _refused(out, error) from error
        if self.is_file and out.suffix.lower() not in (*suffixes, self.suffix.lower()):
            raise RequestError(
                f"--out {out}: what is made is a {' or '.join(suffixes)} file; name it so, or name a folder."
            )
        if not above.is_dir() or not os.access(above, os.W_OK):
            raise RequestError(f"--out {out}: {above} is no folder that can be written to; name another place.")

    def of(self, words: str, index: int) -> Path:
        """The file of an output that was made of some words."""
        if self.is_file and self.n == 1:
            return self._made(self.out)
        stem = self.out.stem if self.is_file else _slug(words)
        return self._numbered(stem, index)

    def beside(self, name: str) -> Path:
        """A file for something about all of them."""
        return self._numbered(f"{self.out.stem}-{name}" if self.is_file else name, 0)

    def _numbered(self, stem: str, index: int) -> Path:
        suffix = self.out.suffix if self.is_file else self.suffix
        if stem not in self._first:
            taken = re.compile(rf"{re.escape(stem)}-(\d{{4,}})\.\w+")
            there = self.folder.iterdir() if self.folder.is_dir() else ()
            numbers = (int(found[1]) for file in there if (found := taken.fullmatch(file.name)))
            self._first[stem] = max(numbers, default=-1) + 1
        return self._made(self.folder / f"{stem}-{self._first[stem] + index:04d}{suffix}")

    def _made(self, file: Path) -> Path:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(self.out, error) from error
        return file


def _slug(words: str) -> str:
    return re.sub(r"[^\w]+", "-", words.lower()).strip("-")[:_LONGEST].rstrip("-") or "sample"


def _refused(out: Path, error: OSError) -> RequestError:
    return RequestError(f"--out {out}: can't be made ({error.strerror}); name a place that can be written to.")
