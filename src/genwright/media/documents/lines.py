"""Lines of a page put together to paragraphs by where they stand, which is all that a PDF says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

HYPHEN = "\x02"
"""A hyphen at the end of a line, which may be the word's own or only where it was cut."""

_GAP = 1.3
"""Lines further apart than so many times the usual are two paragraphs."""
_SIZES = 0.15
"""Letters that differ more in size are a heading's and its text's."""
_BULLET = re.compile(r"[•·▪◦‣●○■\uf0b7][\s]*")
_MAYBE_BULLET = re.compile(r"([-–*]|\(?(\d{1,3}|[a-z])[.)])\s+(?=\S)")


@dataclass(frozen=True)
class Line:
    """A line of text and where it stands, in points from the lower left corner; `size` is how high its letters' boxes are."""

    text: str
    left: float
    right: float
    bottom: float
    size: float
    first_word: float
    """How wide its first word is."""


def usual_pitch(pages: Iterable[Sequence[Line]]) -> float:
    """How far apart the lines of a document are, in sizes of its letters."""
    pairs = (pair for page in pages for pair in pairwise(page))
    found = [pitch for a, b in pairs if 0.5 < (pitch := (a.bottom - b.bottom) / max(a.size, 1)) < 2.6]
    return median(found) if found else 1.0


def paragraphs(lines: Sequence[Line], pitch: float) -> list[str]:
    """The paragraphs of a page; what stands on lines of its own (verse, a list, a table) keeps its lines."""
    blocks: list[list[Line]] = []
    for line in lines:
        if blocks and not _apart(blocks[-1][-1], line, pitch):
            blocks[-1].append(line)
        else:
            blocks.append([line])
    return [text for block in blocks for text in _of_block(block)]


def _apart(a: Line, b: Line, pitch: float) -> bool:
    size = max(a.size, b.size, 1)
    return abs(a.size - b.size) > _SIZES * size or not 0.3 * size < a.bottom - b.bottom <= _GAP * pitch * size


def _of_block(block: Sequence[Line]) -> list[str]:
    hard = _hard_breaks(block)
    verse = 2 * sum(hard) > len(hard)
    texts = [_marked(block[0].text)]
    for (a, b), is_hard in zip(pairwise(block), hard, strict=True):
        bullet = _BULLET.match(b.text) or (is_hard and _MAYBE_BULLET.match(b.text))
        if bullet or verse or "\t" in a.text + b.text:
            texts[-1] += f"\n{_marked(b.text)}"
        elif is_hard:
            texts.append(b.text)
        else:
            texts[-1] += b.text if a.text.endswith(HYPHEN) else f" {b.text}"
    return texts


def _hard_breaks(block: Sequence[Line]) -> list[bool]:
    """Whether each line but the last ends because the writer ended it: the next word would have fitted, or what follows is indented."""
    left, right = min(line.left for line in block), max(line.right for line in block)
    at_left = sum(line.left < left + 0.3 * line.size for line in block)
    indents = 2 * at_left > len(block)
    return [
        not a.text.endswith(HYPHEN)
        and (
            a.right + 0.3 * a.size + b.first_word < right - 0.5 * a.size
            or (indents and a.left < left + 0.3 * a.size and b.left > left + 0.8 * b.size)
        )
        for a, b in pairwise(block)
    ]


def _marked(text: str) -> str:
    """A line with the mark of a list's item as plain text writes it."""
    bullet = _BULLET.match(text)
    return f"- {text[bullet.end() :]}" if bullet else text
