"""Fill-in-the-middle: a piece of a file with a hole, and what fills it put at its end (arXiv:2207.14255).

    PSM   <|fim_prefix|> prefix <|fim_suffix|> suffix <|fim_middle|> middle <|endoftext|>
    SPM   <|fim_prefix|> <|fim_suffix|> suffix <|fim_middle|> prefix middle <|endoftext|>

The names are those of Qwen2.5-Coder, which other programs know; SPM is the paper's second variant, in which prefix and middle
stand together. Holes are cut in characters and each part is encoded by itself, because that is how a request arrives: an editor's
cursor knows no tokens, and a model that only ever saw cuts between tokens fails inside a word.

A piece is a part of one file that fits into the context, so no hole is ever torn by the context's end, and each file of a row is
changed by itself ("context-level" in the paper's terms, which it found to be better than cutting up documents that have a hole).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from genwright.shards import Example
from genwright.tasks.complete.lead import without_lead
from genwright.tasks.complete.syntax import Span, is_python, spans_of
from genwright.tokens.tokenizer import Tokenizer

PREFIX, MIDDLE, SUFFIX, FILE = "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|file_sep|>"
SPECIAL = (PREFIX, MIDDLE, SUFFIX, FILE)

_ALSO_KNOWN_AS = {PREFIX: "<fim_prefix>", MIDDLE: "<fim_middle>", SUFFIX: "<fim_suffix>", FILE: "<file_sep>"}
"""StarCoder's names, which weights to start from may have instead."""

ALLOWANCE = 14
"""How many tokens longer a hole may make a piece: three marks, an end, and words that were one token and now are several. A hole
that costs more is not made."""

_NAMELESS = 0.1
"""Share of the rows of one piece that are shown without their path, because a request may come without one."""

_REST_OF_LINE = 0.5
"""Share of the holes in a line that begin somewhere inside it, as when someone is typing."""


def mark(facts: Tokenizer, name: str) -> int | None:
    """The id of one of the marks under either name; None where the vocabulary has none."""
    return facts.special.get(name, facts.special.get(_ALSO_KNOWN_AS[name]))


def can_fill(facts: Tokenizer) -> bool:
    """Whether a text can have a hole in this vocabulary: it has the marks, and encodes the parts of a text as they are."""
    return not facts.adds_space and all(mark(facts, name) is not None for name in SPECIAL)


def header(facts: Tokenizer, path: str) -> np.ndarray:
    """What stands above each piece of a file: a mark and its path, if it has one, on a line. Nothing where the vocabulary has no
    such mark."""
    file = mark(facts, FILE)
    if file is None:
        return np.empty(0, facts.dtype)
    return _joined(facts, [[file], facts.encode(path + "\n") if path else []])


def arranged(facts: Tokenizer, before: np.ndarray, after: np.ndarray, order: str) -> np.ndarray:
    """The tokens up to where the middle begins."""
    prefix, middle, suffix = ([mark(facts, name)] for name in (PREFIX, MIDDLE, SUFFIX))
    if order == "spm":
        return _joined(facts, [prefix, suffix, after, middle, before])
    return _joined(facts, [prefix, before, suffix, after, middle])


def _joined(facts: Tokenizer, parts: Sequence[Any]) -> np.ndarray:
    return np.concatenate([np.asarray(part, dtype=facts.dtype) for part in parts] or [np.empty(0, facts.dtype)])


def with_holes(example: Example, facts: Tokenizer, settings: Any, rng: np.random.Generator) -> Example:
    """A row of pieces, each with a hole at `settings.fim_rate`; "weight" is 0 for headers and marks, which nobody generates."""
    tokens, weight = example["tokens"], example["weight"]
    if not can_fill(facts):
        return example
    starts = np.flatnonzero(tokens == mark(facts, FILE))
    begin = slice(0, int(starts[0]) if len(starts) else None)
    found = []
    for start, stop in zip(starts, [*starts[1:], len(tokens)], strict=True):
        piece = tokens[start:stop], weight[start:stop]
        found.append(_hole(*piece, facts, settings, rng) if rng.random() < settings.fim_rate else piece)
    if len(found) == 1 and rng.random() < _NAMELESS:
        path = slice(1, int(weight.argmax()))
        found = [(np.delete(found[0][0], path), np.delete(found[0][1], path))]
    found.insert(0, (tokens[begin], weight[begin]))
    return {"tokens": np.concatenate([t for t, _ in found]), "weight": np.concatenate([w for _, w in found])}


def _hole(
    tokens: np.ndarray, weight: np.ndarray, facts: Tokenizer, settings: Any, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A piece with a hole, or as it was where it has no whole characters or would grow too long."""
    above = int(weight.argmax()) if weight.any() else len(weight)
    head, content = tokens[:above], tokens[above:]
    try:
        text = facts.to_bytes(content).decode()
        path = facts.to_bytes(head).decode().strip()
    except UnicodeDecodeError:
        return tokens, weight
    if len(text) < 2:
        return tokens, weight
    start, stop = choose_hole(text, is_python(path), settings.syntax_rate, rng)
    start = len(without_lead(text[:start])[0])
    order = "spm" if rng.random() < settings.spm_rate else "psm"
    shown = arranged(facts, facts.encode(text[:start]), facts.encode(text[stop:]), order)
    filled = _joined(facts, [head, shown, facts.encode(text[start:stop]), [facts.end_token]])
    if len(filled) > len(tokens) + ALLOWANCE:
        return tokens, weight
    counted = np.ones(len(filled), dtype=weight.dtype)
    counted[: len(head)] = 0
    counted[np.isin(filled, [mark(facts, name) or 0 for name in (PREFIX, MIDDLE, SUFFIX)])] = 0
    return filled, counted


def choose_hole(text: str, python: bool, syntax_rate: float, rng: np.random.Generator) -> Span:
    """Where the hole is: by syntax, each kind of span alike likely, or between two characters drawn at random."""
    if rng.random() < syntax_rate:
        kinds = spans_of(text, python).kinds()
        if kinds:
            number = int(rng.integers(len(kinds)))
            spans = kinds[number]
            start, stop = spans[int(rng.integers(len(spans)))]
            if number == 0 and rng.random() < _REST_OF_LINE:
                start += int(rng.integers(stop - start))
            return start, stop
    start, stop = sorted(int(place) for place in rng.integers(len(text) + 1, size=2))
    return start, stop
