"""Tables of numbers, which look like text and are none that one could learn to write from."""

from __future__ import annotations

import re
from collections import Counter

_LINES = 60
"""Lines that are looked at, from all over a text."""
_LEAST_ROWS = 4
_MOSTLY = 0.5
_ALIKE = 0.9
"""So many lines must have as many cells as most of them have."""
_LONGEST_CELL = 40
"""Letters of a cell, on average; longer ones are sentences."""
_NUMBER = re.compile(
    r'"?[-+(]?[$€£]?\s?\d[\d.,:/\s_-]*([eE][-+]?\d+)?\s?[%€$£)TZ]*"?|"?(nan|null|none|n/?a|true|false|-+)?"?',
    re.IGNORECASE,
)
_SPACES = "spaces"


def share_of_numbers(text: str) -> float:
    """The share of numbers, dates and empty cells among the cells of a text that is a table, where that is half of them or more;
    0 for what is no table, or one of words."""
    lines = [line for line in text[:200_000].split("\n") if line.strip()]
    if len(lines) < _LEAST_ROWS or not any(map(str.isdigit, text[:2000])):
        return 0.0
    rows = lines[1 :: max(1, len(lines) // _LINES)][:_LINES]
    return max((_share(rows, delimiter) for delimiter in (",", ";", "\t", "|", _SPACES)), default=0.0)


def _share(rows: list[str], delimiter: str) -> float:
    split = [row.split() if delimiter == _SPACES else row.split(delimiter) for row in rows]
    size, count = Counter(map(len, split)).most_common(1)[0]
    if count < _ALIKE * len(split) or (size < 2 and delimiter != _SPACES):
        return 0.0
    cells = [cell.strip() for row in split for cell in row]
    words = [cell for cell in cells if not _NUMBER.fullmatch(cell)]
    share = 1 - len(words) / len(cells)
    if share < _MOSTLY or sum(map(len, words)) > _LONGEST_CELL * len(words) or (delimiter == _SPACES and words):
        return 0.0
    return share
