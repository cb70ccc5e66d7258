"""Texts that are the same lines in another edition."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from genwright.duplicates.groups import Groups

_ENDS = re.compile(r"[\n.,;:!?…。，、；：！？]+")
_LEAST_CHARACTERS = 5
_MOST_TEXTS = 50
"""A line that stands in more texts than this is a formula, and says nothing about two of them."""


def lines_of(text: str) -> set[str]:
    """What stands between marks of punctuation, without white space; very short ones are left out."""
    lines = ("".join(part.split()) for part in _ENDS.split(text))
    return {line for line in lines if len(line) >= _LEAST_CHARACTERS}


def clusters(texts: Iterable[str], share: float) -> list[int]:
    """For each text the first one it belongs with: they share two lines or more, and at least `share` of the lines of the shorter,
    through any chain of texts. Exact; a text of a single line belongs only with texts that have it as their only line."""
    # By hash: the lines of some hundred thousand texts themselves would fill the memory.
    hashed = [tuple(map(hash, lines_of(text))) for text in texts]
    frequency = Counter(line for lines in hashed for line in lines)
    groups, holders = Groups(), defaultdict[int, list[int]](list)
    for lines in hashed:
        number = groups.add()
        telling = [line for line in lines if 1 < frequency[line] <= _MOST_TEXTS]
        shared = Counter(other for line in telling for other in holders[line])
        for other, common in shared.items():
            sizes = sorted((len(lines), len(hashed[other])))
            if common >= max(share * sizes[0], min(2, sizes[1])):
                groups.join(number, other)
        for line in telling:
            holders[line].append(number)
    return groups.firsts()
