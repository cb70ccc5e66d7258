"""The baseline that copies: what stands at the same place in the most similar function that was learned from."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rapidfuzz import fuzz, process

from genwright.console import track
from genwright.metrics.syntax import tree_of
from genwright.tasks.complete.holes import File, Hole, body_span
from genwright.tasks.complete.syntax import Offsets, indented_blocks, is_python

_NEAREST = 20
"""Functions whose lines are looked through for the line that stands where the hole is."""


@dataclass(frozen=True)
class _Function:
    head: str
    """Its header and docstring: what is compared."""
    body: str


class Nearest:
    """The functions of the training files, by how they begin."""

    def __init__(self, files: Sequence[File]):
        self._functions = [function for file in files for function in _functions(file)]
        self._heads = [function.head for function in self._functions]

    def __len__(self) -> int:
        return len(self._functions)

    def fill_all(self, holes: Sequence[Hole]) -> list[str]:
        return [self.fill(hole) for hole in track(holes, "copy the nearest", len(holes))]

    def fill(self, hole: Hole) -> str:
        """The body of the nearest function, moved to the hole's indentation; for a line, the one after the line most like the one
        before the hole, in the nearest functions."""
        if not self._functions:
            return ""
        if hole.kind == "body":
            near = self._near(_head_before(hole.text, hole.start), 1)
            return _moved(near[0].body, hole.original)
        before = hole.text[: hole.start].rstrip().rpartition("\n")[2].strip()
        head = _enclosing_head(hole.text, hole.start)
        best, found = -1.0, ""
        for function in self._near(head, _NEAREST):
            lines = [line.strip() for line in (function.head + function.body).split("\n") if line.strip()]
            for line, following in pairwise(lines):
                if (likeness := fuzz.ratio(line, before)) > best:
                    best, found = likeness, following
        return found

    def _near(self, head: str, count: int) -> list[_Function]:
        matches = process.extract(head, self._heads, scorer=fuzz.ratio, limit=count)
        return [self._functions[index] for _, _, index in matches]


def _functions(file: File) -> list[_Function]:
    tree = tree_of(file.text) if is_python(file.path) else None
    if tree is None:
        spans = list(indented_blocks(file.text)) if not is_python(file.path) else []
        return [_Function(_head_before(file.text, start), file.text[start:stop]) for start, stop in spans]
    offsets, found = Offsets(file.text), []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (span := body_span(file.text, node)):
            start = offsets.place(node.lineno, node.col_offset)
            found.append(_Function(file.text[start : span[0]], file.text[span[0] : span[1]]))
    return found


def _head_before(text: str, place: int) -> str:
    """From the last line that begins a function on, else the line before."""
    start = max(text.rfind("def ", 0, place), 0)
    if not start:
        start = text.rstrip().rfind("\n", 0, max(place - 1, 0)) + 1
    return text[start:place]


def _enclosing_head(text: str, place: int) -> str:
    start = text.rfind("def ", 0, place)
    return text[start : text.find("\n", start)] if start >= 0 else ""


def _moved(body: str, original: str) -> str:
    have, want = (len(text) - len(text.lstrip()) for text in (body, original))
    lines = body.split("\n")
    shift = want - have
    return "\n".join(
        " " * shift + line if shift > 0 else line[min(-shift, len(line) - len(line.lstrip())) :] for line in lines
    )
