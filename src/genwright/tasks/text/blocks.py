"""A text cut into contiguous blocks, for splits where there are too few texts to split by."""

from __future__ import annotations

from itertools import pairwise

BLOCKS = 400
"""So many that a twentieth of a text's blocks is enough to score by."""
_BLOCK_CHARACTERS = 2000


def blocks(text: str, count: int | None = BLOCKS, least: int = _BLOCK_CHARACTERS) -> list[tuple[int, int]]:
    """Contiguous spans of about a `count`th of a text, and at least `least` characters, that end at paragraphs or lines."""
    size = max(least, -(-len(text) // count) if count else 0)
    edges = [0]
    while len(text) - edges[-1] > 1.5 * size:
        edges.append(_edge(text, edges[-1] + size, size // 4))
    edges.append(len(text))
    return list(pairwise(edges)) if len(edges) > 2 else []


def _edge(text: str, target: int, reach: int) -> int:
    """The best place to cut near `target`: behind a blank line, else a line end, else a space, else there."""
    low, high = target - reach, target + reach
    for mark in ("\n\n", "\n", " "):
        before, after = text.rfind(mark, low, target), text.find(mark, target, high)
        found = [place + len(mark) for place in (before, after) if place >= 0]
        if found:
            return min(found, key=lambda place: abs(place - target))
    return target
