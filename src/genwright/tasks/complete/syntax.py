"""Where program text can be cut: at lines, statements, bodies and brackets, and where its definitions begin.

Python is parsed (`ast`); other languages, and Python that does not parse, are read by their lines, indentation and brackets.
Offsets are characters of the text unless a name says bytes.
"""

from __future__ import annotations

import ast
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from genwright.metrics.syntax import tree_of

Span = tuple[int, int]

_OPEN, _CLOSE = "([{", ")]}"
_LONGEST_BRACKET = 2000


@dataclass(frozen=True)
class Spans:
    """Spans of a text that make sense by themselves, by kind; each is what a person might have left out."""

    lines: list[Span]
    """A line's content behind its indentation, without its end."""
    statements: list[Span]
    """Whole statements, from the first character behind the indentation."""
    bodies: list[Span]
    """What stands under a header (def, class, if, for ...), from the first character of its first line on."""
    brackets: list[Span]
    """What stands between two brackets."""

    def kinds(self) -> list[list[Span]]:
        return [spans for spans in (self.lines, self.statements, self.bodies, self.brackets) if spans]


def is_python(path: str) -> bool:
    return path.endswith((".py", ".pyi"))


def spans_of(text: str, python: bool) -> Spans:
    """All spans of a piece of a file."""
    tree, shift = parse_piece(text) if python else (None, 0)
    lines = line_spans(text)
    if tree is None:
        blocks = list(indented_blocks(text))
        return Spans(lines, [], blocks, bracket_spans(text))
    offsets = Offsets(text)
    statements, bodies = [], []
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.lineno > shift:
            statements.append(offsets.span(node, shift))
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(node, ast.stmt) and node.lineno > shift and isinstance(block, list) and block:
                start, stop = offsets.start(block[0], shift), offsets.stop(block[-1], shift)
                line = offsets.line_start(start)
                # A body on lines of its own begins with its indentation, so that a header alone is a prefix.
                bodies.append((line if not text[line:start].strip() else start, stop))
    return Spans(lines, statements, bodies, bracket_spans(text))


def parse_piece(text: str) -> tuple[ast.Module | None, int]:
    """The tree of a piece, and by how many lines its line numbers are too high (a piece of a class body gets a header)."""
    tree = tree_of(text)
    if tree is not None:
        return tree, 0
    first = next((line for line in text.split("\n") if line.strip()), "")
    if first[:1] in (" ", "\t"):
        return tree_of("class _:\n" + text), 1
    return None, 0


def line_spans(text: str) -> list[Span]:
    """Content of each line that is not blank, without indentation and trailing white space."""
    spans, start = [], 0
    for line in text.split("\n"):
        content = line.strip()
        if content:
            begin = start + len(line) - len(line.lstrip())
            spans.append((begin, begin + len(content)))
        start += len(line) + 1
    return spans


def indented_blocks(text: str) -> Iterator[Span]:
    """Runs of lines that are indented more than the line before them: bodies in most languages."""
    open_blocks: list[tuple[int, int]] = []
    start = end = 0
    before = None
    for line in text.split("\n"):
        if line.strip():
            indent = len(line) - len(line.lstrip())
            while open_blocks and indent < open_blocks[-1][0]:
                yield open_blocks.pop()[1], end
            if before is not None and indent > before:
                open_blocks.append((indent, start))
            before, end = indent, start + len(line.rstrip())
        start += len(line) + 1
    while open_blocks:
        yield open_blocks.pop()[1], end


def bracket_spans(text: str) -> list[Span]:
    """What stands between brackets that belong together; strings and comments are not told apart, which costs a few odd ones."""
    stack: list[tuple[str, int]] = []
    spans = []
    for place, character in enumerate(text):
        if character in _OPEN:
            stack.append((_CLOSE[_OPEN.index(character)], place + 1))
        elif stack and character == stack[-1][0]:
            start = stack.pop()[1]
            if 0 < place - start <= _LONGEST_BRACKET:
                spans.append((start, place))
    return spans


class Offsets:
    """From the lines and UTF-8 columns of `ast` to characters of the text."""

    def __init__(self, text: str):
        self.text = text
        self.lines = text.split("\n")
        self.starts = [0, *accumulate(len(line) + 1 for line in self.lines)]
        self._ascii = text.isascii()

    def place(self, line: int, column: int) -> int:
        if not self._ascii:
            column = len(self.lines[line - 1].encode()[:column].decode("utf-8", "ignore"))
        return self.starts[line - 1] + column

    def start(self, node: ast.stmt | ast.expr, shift: int = 0) -> int:
        """Where a statement begins, decorators included."""
        decorators = getattr(node, "decorator_list", [])
        if decorators:
            return self.place(decorators[0].lineno - shift, decorators[0].col_offset) - 1
        return self.place(node.lineno - shift, node.col_offset)

    def stop(self, node: ast.stmt | ast.expr, shift: int = 0) -> int:
        return self.place((node.end_lineno or node.lineno) - shift, node.end_col_offset or 0)

    def span(self, node: ast.stmt, shift: int = 0) -> Span:
        return self.start(node, shift), self.stop(node, shift)

    def line_start(self, place: int) -> int:
        return self.starts[bisect_right(self.starts, place) - 1]


def edges_of(text: str, python: bool) -> list[tuple[int, int]]:
    """Where a file may be cut, as (character, level): 0 before a top-level definition, 1 before one inside a class or a block
    after a blank line, 2 before any other line. Comments right above a definition go with it."""
    lines = text.split("\n")
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    levels = _levels_by_syntax(text, lines) if python else None
    if levels is None:
        levels = _levels_by_lines(lines)
    return [(starts[number], level) for number, level in enumerate(levels) if number]


def _levels_by_syntax(text: str, lines: list[str]) -> list[int] | None:
    tree = tree_of(text)
    if tree is None:
        return None
    levels = [2] * len(lines)

    def mark(block: list[ast.stmt], level: int) -> None:
        for node in block:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or level == 0:
                first = node.lineno - 1
                for decorator in getattr(node, "decorator_list", [])[:1]:
                    first = decorator.lineno - 1
                while first and lines[first - 1].lstrip().startswith("#"):
                    first -= 1
                levels[first] = min(levels[first], level)
            if isinstance(node, ast.ClassDef) or (level == 0 and isinstance(node, ast.If | ast.Try)):
                mark(node.body, 1)

    mark(tree.body, 0)
    return levels


def _levels_by_lines(lines: list[str]) -> list[int]:
    """A line that is not indented after a blank one begins something; so does, less so, any line after a blank one."""
    levels = [2] * len(lines)
    for number, line in enumerate(lines[1:], start=1):
        if line.strip() and not lines[number - 1].strip():
            levels[number] = 1 if line[:1] in (" ", "\t") else 0
    return levels
