"""Repository-level order: rows are laid out so that one context holds code and the definitions that it imports.

Each file is cut into atoms, which are its definitions (long ones cut again, short ones together). Atoms are then joined
to bundles: first those of different files along their imports, the pairs that share most names first, then neighbours in their own
file, as long as a bundle fits into the context. Neighbours that stay together are one piece below a line with the file's path.
Within a bundle what is used stands before what uses it, as DeepSeek-Coder orders the files of a repository (arXiv:2401.14196,
section 2.2); here by definitions, because a context is shorter than most files. Every token stands in exactly one bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np

from genwright.console import track
from genwright.shards import Example, ExampleStore
from genwright.tasks.complete.fim import ALLOWANCE
from genwright.tokens.tokenizer import Tokenizer

_LEAST = 1 / 8
"""An atom has at least this share of a context, where its file has so much."""

Link = tuple[int, int, int]
"""Atom that uses, atom that defines, how many names."""


@dataclass(frozen=True)
class Atom:
    """Tokens `start` to `stop` of an example."""

    example: int
    start: int
    stop: int


class Bundles:
    """`packing.Documents` made of the atoms of a split's files. `room`: tokens of a row; `allowance`: what each piece may grow by;
    `begin`: tokens that each bundle begins with."""

    def __init__(self, store: ExampleStore, room: int, allowance: int = 0, begin: Sequence[int] = ()):
        room -= len(begin)
        self._store, self._room, self._begin = store, room, np.array(begin, dtype=np.int64)
        headers = np.minimum(store.lengths("header"), room // 4)
        self.atoms: list[Atom] = []
        for number in track(range(len(store)), "cut files", len(store)):
            example = store[number]
            spans = cut(
                len(example["tokens"]), example["edges"], room - int(headers[number]) - allowance, int(room * _LEAST)
            )
            self.atoms += [Atom(number, start, stop) for start, stop in spans]
        self._above = [int(headers[atom.example]) + allowance for atom in self.atoms]
        self.links = _links(store, self.atoms)
        sizes = [atom.stop - atom.start for atom in self.atoms]
        follows = [False, *(one.example == other.example for one, other in pairwise(self.atoms))]
        self.bundles = bundle(sizes, self._above, follows, self.links, room)
        self._lengths = np.array([self._length(its) for its in self.bundles], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.bundles)

    def lengths(self, name: str) -> np.ndarray:
        return self._lengths

    def last(self, name: str) -> np.ndarray:
        ends = [self.atoms[its[-1][-1]] for its in self.bundles]
        return np.array([self._store[atom.example]["tokens"][atom.stop - 1] for atom in ends], dtype=np.int64)

    def __getitem__(self, index: int) -> Example:
        tokens, weights = [self._begin], [np.zeros(len(self._begin), np.uint8)]
        for piece in self.bundles[index]:
            first, last = self.atoms[piece[0]], self.atoms[piece[-1]]
            example = self._store[first.example]
            above = example["header"][: self._room // 4]
            tokens += [above, example["tokens"][first.start : last.stop]]
            weights += [np.zeros(len(above), np.uint8), np.ones(last.stop - first.start, np.uint8)]
        return {"tokens": np.concatenate(tokens), "weight": np.concatenate(weights)}

    def together(self) -> tuple[int, int]:
        """How many atoms use definitions of other files of the split, and how many of those stand in a bundle with one of them."""
        bundle_of = {atom: number for number, its in enumerate(self.bundles) for piece in its for atom in piece}
        using = {user for user, _, _ in self.links}
        near = {user for user, used, _ in self.links if bundle_of[user] == bundle_of[used]}
        return len(using), len(near)

    def _length(self, pieces: Sequence[Sequence[int]]) -> int:
        return len(self._begin) + sum(
            self._above[its[0]] + self.atoms[its[-1]].stop - self.atoms[its[0]].start for its in pieces
        )


def cut(length: int, edges: np.ndarray, room: int, least: int) -> list[tuple[int, int]]:
    """Spans of at most `room` tokens that end before the first definition behind `least` tokens; where there is none
    within the room, at the last line, else anywhere.

    `edges`: int[E, 2], token and level of each place a file may be cut at (`complete_syntax.edges_of`), in order.
    """
    spans, start = [], 0
    while start < length:
        low, high = np.searchsorted(edges[:, 0], [start + least, start + room + 1])
        places, levels = edges[low:high, 0], edges[low:high, 1]
        if len(top := places[levels <= 1]):
            stop = int(top[0])
        elif length - start <= room:
            stop = length
        else:
            stop = int(places[-1]) if len(places) else start + room
        if length - stop < least and length - start <= room:
            stop = length
        spans.append((start, stop))
        start = stop
    return spans


def _links(store: ExampleStore, atoms: Sequence[Atom]) -> list[Link]:
    """The links between atoms of different files."""
    first = np.searchsorted([a.example for a in atoms], np.arange(len(store) + 1))
    starts = np.array([a.start for a in atoms], dtype=np.int64)

    def atom_of(number: int, tokens: np.ndarray) -> np.ndarray:
        low, high = first[number], first[number + 1]
        return low + np.maximum(np.searchsorted(starts[low:high], tokens, side="right") - 1, 0)

    defined: dict[int, tuple[int, int]] = {}
    for number in range(len(store)):
        rows = store[number]["defines"]
        if len(rows) and first[number] < first[number + 1]:
            for (_, name, rank), piece in zip(rows.tolist(), atom_of(number, rows[:, 0]).tolist(), strict=True):
                if name not in defined or rank < defined[name][0]:
                    defined[name] = (rank, piece)
    counts: dict[tuple[int, int], int] = {}
    for number in track(range(len(store)), "follow imports", len(store)):
        rows = store[number]["uses"]
        if not len(rows) or first[number] == first[number + 1]:
            continue
        names = {
            (user, name) for (_, name), user in zip(rows.tolist(), atom_of(number, rows[:, 0]).tolist(), strict=True)
        }
        for user, name in sorted(names):
            used = defined.get(name, (0, -1))[1]
            if used >= 0 and atoms[used].example != number:
                counts[user, used] = counts.get((user, used), 0) + 1
    return [(user, used, count) for (user, used), count in sorted(counts.items())]


def bundle(
    sizes: Sequence[int], above: Sequence[int], follows: Sequence[bool], links: Sequence[Link], room: int
) -> list[list[list[int]]]:
    """Join atoms to bundles of pieces that fit into `room`, what is used before what uses it.

    `sizes`: tokens of each atom; `above`: what each piece costs beside them, by its first atom; `follows`: whether an atom goes on
    where the one before it ends.
    """
    groups = _Groups(sizes, above, follows, room)
    for user, used, _ in sorted(links, key=lambda link: (-link[2], sizes[link[0]] + sizes[link[1]], link)):
        groups.join(user, used)
    for atom, goes_on in enumerate(follows):
        if goes_on:
            groups.join(atom - 1, atom)
    needs: dict[int, list[int]] = {}
    for user, used, _ in links:
        needs.setdefault(user, []).append(used)
    return [_ordered(groups.pieces(members), needs) for members in groups.members.values()]


class _Groups:
    """Sets of atoms with what they cost together."""

    def __init__(self, sizes: Sequence[int], above: Sequence[int], follows: Sequence[bool], room: int):
        self._above, self._follows, self._room = above, follows, room
        self._of = list(range(len(sizes)))
        self._cost = {atom: size + above[atom] for atom, size in enumerate(sizes)}
        self.members = {atom: [atom] for atom in range(len(sizes))}

    def join(self, one: int, other: int) -> None:
        a, b = sorted((self._of[one], self._of[other]))
        if a == b:
            return
        small, large = (a, b) if len(self.members[a]) < len(self.members[b]) else (b, a)
        saved = sum(self._saved(atom, large) for atom in self.members[small])
        cost = self._cost[a] + self._cost[b] - saved
        if cost > self._room:
            return
        self.members[a] += self.members.pop(b)
        self._cost[a] = cost
        del self._cost[b]
        for atom in self.members[a]:
            self._of[atom] = a

    def _saved(self, atom: int, group: int) -> int:
        """What is saved because an atom goes on where one of a group ends, or ends where one begins: a header each time."""
        before = self._follows[atom] and self._of[atom - 1] == group
        after = atom + 1 < len(self._of) and self._follows[atom + 1] and self._of[atom + 1] == group
        return before * self._above[atom] + after * self._above[min(atom + 1, len(self._of) - 1)]

    def pieces(self, members: Sequence[int]) -> list[list[int]]:
        """Members that go on one from the other, together."""
        found: list[list[int]] = []
        for atom in sorted(members):
            if found and self._follows[atom] and found[-1][-1] == atom - 1:
                found[-1].append(atom)
            else:
                found.append([atom])
        return found


def _ordered(pieces: list[list[int]], needs: dict[int, list[int]]) -> list[list[int]]:
    """Depth first, what a piece needs before it; a circle is broken where it is entered."""
    piece_of = {atom: number for number, its in enumerate(pieces) for atom in its}
    done: dict[int, None] = {}
    entered: set[int] = set()

    def visit(number: int) -> None:
        if number in entered:
            return
        entered.add(number)
        for used in (used for atom in pieces[number] for used in needs.get(atom, ())):
            if used in piece_of:
                visit(piece_of[used])
        done[number] = None

    for number in range(len(pieces)):
        visit(number)
    return [pieces[number] for number in done]


_bundles: WeakKeyDictionary[ExampleStore, dict[tuple[int, bool], Bundles]] = WeakKeyDictionary()
"""A training asks for the same batches several times, and laying out the pieces of many files takes a while."""


def bundles_of(store: ExampleStore, context: int, training: bool, facts: Tokenizer) -> Bundles:
    known = _bundles.setdefault(store, {})
    if (context, training) not in known:
        known[context, training] = Bundles(store, context, ALLOWANCE if training else 0, facts.begin_tokens)
    return known[context, training]
