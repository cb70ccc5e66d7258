"""Texts that belong together, so that they stay on one side of the split: equal in some fields, or the same lines in another edition."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence

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
    parent = list(range(len(hashed)))
    holders: dict[int, list[int]] = defaultdict(list)

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for number, lines in enumerate(hashed):
        telling = [line for line in lines if 1 < frequency[line] <= _MOST_TEXTS]
        shared = Counter(other for line in telling for other in holders[line])
        for other, common in shared.items():
            sizes = sorted((len(lines), len(hashed[other])))
            if common >= max(share * sizes[0], min(2, sizes[1])) and root(other) != root(number):
                low, high = sorted((root(other), root(number)))
                parent[high] = low
        for line in telling:
            holders[line].append(number)
    return [root(number) for number in range(len(parent))]


def keys(own: Sequence[str], roots: Sequence[int], known: Collection[str]) -> list[str]:
    """One key for each cluster: that of a text that was given a split before (which keeps its own), else of the first."""
    key_of = {root: own[root] for root in roots}
    for key, root in zip(reversed(own), reversed(roots), strict=True):
        if key in known:
            key_of[root] = key
    return [key if key in known else key_of[root] for key, root in zip(own, roots, strict=True)]
