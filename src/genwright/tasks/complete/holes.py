"""Holes in held-out files, and what fills them: the model, an n-gram, or the nearest function that was learned from."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from genwright.console import track
from genwright.engine.engine import Engine
from genwright.metrics.behaviour import Recording
from genwright.metrics.ngrams import KneserNey
from genwright.metrics.syntax import tree_of
from genwright.model import Model
from genwright.tasks.base import Splits
from genwright.tasks.complete import options as complete_options
from genwright.tasks.complete.lead import beginning
from genwright.tasks.complete.prompt import lay_out
from genwright.tasks.complete.syntax import Span, is_python, line_spans, spans_of
from genwright.tasks.text.samples import continue_all
from genwright.tasks.text.task import item_text
from genwright.tokens.tokenizer import Tokenizer

Kind = Literal["line", "body"]
MOST_TOKENS: dict[str, int] = {"line": 48, "body": 192}
_LEAST_CHARACTERS = 4
_MOST_BODY_LINES = 15


@dataclass(frozen=True)
class File:
    path: str
    text: str
    package: str = ""
    """Where relative imports of the file may go: only for the running Python's own library."""


@dataclass(frozen=True)
class Hole:
    """Characters `start` to `stop` of a held-out file, to be filled. `recording`: what the function around it does."""

    path: str
    text: str
    start: int
    stop: int
    kind: Kind
    recording: Recording | None = None

    @property
    def original(self) -> str:
        return self.text[self.start : self.stop]

    def filled(self, fill: str) -> str:
        return self.text[: self.start] + fill + self.text[self.stop :]


def held_out_files(splits: Splits, split: str) -> list[File]:
    """The files of a split (of one that was divided, the blocks)."""
    found = []
    for number in dict.fromkeys(splits[split].ids):
        item = splits.items[number]
        text = item_text(item)
        if isinstance(text, str):
            path = item.path.partition("#")[0]
            package = path.rpartition("/")[0].replace("/", ".") if item.source.startswith("python:") else ""
            found.append(File(path, text, package))
    return found


def line_holes(files: Sequence[File], most: int) -> list[Hole]:
    """Lines spread evenly over the files: their content behind the indentation. Comments and very short ones are left out."""
    return [Hole(file.path, file.text, *span, "line") for file, span in _evenly(files, _lines, most)]


def body_holes(files: Sequence[File], most: int) -> list[Hole]:
    """Bodies of functions (of any block that is indented, where the language is not Python), of at most 15 lines."""
    return [Hole(file.path, file.text, *span, "body") for file, span in _evenly(files, _bodies, most)]


def _evenly(files: Sequence[File], spans: Any, most: int) -> list[tuple[File, Span]]:
    found = [(file, span) for file in files for span in spans(file)]
    count = min(most, len(found))
    return [found[(2 * i + 1) * len(found) // (2 * count)] for i in range(count)]


def _lines(file: File) -> list[Span]:
    marks = ("#", "//", "/*", "*", "--")
    return [
        (start, stop)
        for start, stop in line_spans(file.text)
        if stop - start >= _LEAST_CHARACTERS and not file.text.startswith(marks, start)
    ]


def _bodies(file: File) -> list[Span]:
    tree = tree_of(file.text) if is_python(file.path) else None
    if tree is None:
        spans = spans_of(file.text, python=False).bodies if not is_python(file.path) else []
    else:
        nodes = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        spans = [span for node in nodes if (span := body_span(file.text, node)) is not None]
    return sorted(s for s in spans if file.text.count("\n", *s) < _MOST_BODY_LINES)


def body_span(text: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Span | None:
    """A function's body behind its docstring, from its indentation on; None where it stands on the line of its header."""
    from genwright.tasks.complete.syntax import Offsets

    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not body:
        return None
    offsets = Offsets(text)
    first = offsets.line_start(offsets.start(body[0]))
    if text[first : offsets.start(body[0])].strip():
        return None
    return first, offsets.stop(body[-1])


def fill_by_model(model: Model, engine: Engine, holes: Sequence[Hole], seed: int, title: str) -> list[str]:
    """The likeliest filling of each hole (temperature 0). A line ends where the line ends; a body where the model ends it.
    `title` is of the progress line."""
    context = model.config.network["max_position_embeddings"]
    order = model.task.order()  # type: ignore[attr-defined]
    fills = [""] * len(holes)
    for kind, most in MOST_TOKENS.items():
        chosen = [i for i, hole in enumerate(holes) if hole.kind == kind]
        if not chosen:
            continue
        laid = []
        for i in chosen:
            hole = holes[i]
            asked = complete_options.Hole(hole.text[: hole.start], hole.text[hole.stop :], hole.path)
            laid.append(lay_out(model.facts, asked, "", context=context, max_tokens=most, order=order))
        controls = model.family.Controls.model_validate({"max_tokens": min(most, context // 2), "temperature": 0})
        prompts = [np.array(one.tokens) for one in laid]
        guides = [beginning(model.facts, one.lead, model.config.network["vocab_size"]) for one in laid]
        answers = continue_all(model, engine, prompts, controls, seed, f"{title}: {kind}", guides)
        for i, one, answer in zip(chosen, laid, answers, strict=True):
            fills[i] = trimmed(model.facts.decode(answer)[len(one.lead) :], holes[i])
    return fills


def fill_by_ngram(baseline: KneserNey, facts: Tokenizer, holes: Sequence[Hole]) -> list[str]:
    """The likeliest next token again and again, from what stands before the hole; an n-gram knows no suffix and no end of a middle,
    so a line ends where the line ends, and a body before a line that is indented less than its first.

    The white space just before the hole is generated anew, held to what it was: in the texts that were counted it is part of the
    next token, and would be unlike them if it were cut off.
    """
    fills = []
    for hole in track(holes, "fill by n-gram", len(holes)):
        before = hole.text[: hole.start][-200:]
        known = before.rstrip(" \t") if hole.kind == "line" else before
        owed = before[len(known) :].encode()
        tokens = [facts.end_token, *facts.encode(known).tolist()]
        start = len(tokens)
        for _ in range(MOST_TOKENS[hole.kind]):
            likely = baseline.distribution(np.array(tokens[-(baseline.order - 1) :]))
            made = facts.to_bytes(tokens[start:])
            if len(made) < len(owed):
                rest = owed[len(made) :]
                likely = likely * [bool(b) and (b.startswith(rest) or rest.startswith(b)) for b in facts.token_bytes]
            token = int(likely.argmax())
            if token in facts.end_tokens:
                break
            tokens.append(token)
            if _ended(facts.to_bytes(tokens[start:])[len(owed) :].decode("utf-8", "replace"), hole):
                break
        made = facts.to_bytes(tokens[start:])[len(owed) :].decode("utf-8", "replace")
        fills.append(trimmed(_dedented(made, hole), hole))
    return fills


def trimmed(fill: str, hole: Hole) -> str:
    return fill.partition("\n")[0].rstrip() if hole.kind == "line" else fill.rstrip()


def _ended(text: str, hole: Hole) -> bool:
    return "\n" in text if hole.kind == "line" else len(_dedented(text, hole)) < len(text.rstrip())


def _dedented(text: str, hole: Hole) -> str:
    if hole.kind == "line":
        return text
    indent = len(hole.original) - len(hole.original.lstrip())
    kept = []
    for line in text.split("\n"):
        if line.strip() and len(line) - len(line.lstrip()) < indent:
            break
        kept.append(line)
    return "\n".join(kept)
