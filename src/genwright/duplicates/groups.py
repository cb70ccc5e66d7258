"""Items that belong together, so that they stay on one side of the split: groups that grow by pairs, and what each is called."""

from __future__ import annotations

from collections.abc import Collection, Sequence


class Groups:
    """Numbers from 0 on, each in a group of its own until two are joined; a group goes by its first number."""

    def __init__(self) -> None:
        self._parent: list[int] = []

    def __len__(self) -> int:
        return len(self._parent)

    def add(self) -> int:
        """A new number."""
        self._parent.append(len(self._parent))
        return len(self._parent) - 1

    def first(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.first(one), self.first(other)))
        self._parent[high] = low

    def firsts(self) -> list[int]:
        return [self.first(number) for number in range(len(self))]


def keys(own: Sequence[str], firsts: Sequence[int], known: Collection[str]) -> list[str]:
    """One key for each group: that of an item that was given a split before (which keeps its own), else of the first."""
    key_of = {first: own[first] for first in firsts}
    for key, first in zip(reversed(own), reversed(firsts), strict=True):
        if key in known:
            key_of[first] = key
    return [key if key in known else key_of[first] for key, first in zip(own, firsts, strict=True)]
