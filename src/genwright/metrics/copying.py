"""Was it copied? Runs of characters that stand in the training text letter by letter.

Exact: windows are found by rolling hashes of 64 bits, and each candidate is compared with the text itself. The training text
is passed over in pieces, so memory does not grow with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_PIECE = 1 << 20
_BASE = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so it has an inverse modulo 2**64, which is what all arithmetic here is done in."""
_INVERSE = np.uint64(pow(int(_BASE), -1, 1 << 64))
_TABLE_BITS = 22


@dataclass(frozen=True)
class Copy:
    """The longest run: `length` characters of `texts[text]` from `start`, at `source` in the training text."""

    length: int
    text: int = 0
    start: int = 0
    source: int = 0


def longest_copy(texts: Sequence[str], training: str, longest: int = 100_000) -> Copy:
    """The longest run of characters in any of `texts` that stands in `training`. Found by halving: a run contains shorter ones."""
    source = code_points(training)
    codes = [code_points(text) for text in texts]
    low, high = 0, min(max((len(c) for c in codes), default=0), len(source), longest)
    best = Copy(0)
    while low < high:
        length = (low + high + 1) // 2
        found = _first_copy(codes, texts, source, training, length)
        if found is None:
            high = length - 1
        else:
            low, best = length, found
    return best


def copied_windows(texts: Sequence[str], training: str, window: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """For each text, how many of its windows of `window` characters stand in `training`, and how many it has."""
    codes = [code_points(text) for text in texts]
    totals = np.array([max(len(c) - window + 1, 0) for c in codes])
    hashes = np.concatenate([_window_hashes(c, window) for c in codes] or [np.empty(0, np.uint64)])
    if len(hashes) == 0 or len(training) < window:
        return np.zeros(len(texts), int), totals
    unique, inverse = np.unique(hashes, return_inverse=True)
    place = np.full(len(unique), -1, dtype=np.int64)
    for index, where in _matches(unique, code_points(training), window):
        place[index] = where
    owner = np.repeat(np.arange(len(texts)), totals)
    start = np.arange(len(hashes)) - np.repeat(np.cumsum(totals) - totals, totals)
    hits = np.zeros(len(texts), dtype=int)
    for i in np.flatnonzero(place[inverse] >= 0):
        at, text, source = start[i], texts[owner[i]], place[inverse[i]]
        hits[owner[i]] += text[at : at + window] == training[source : source + window]
    return hits, totals


def code_points(text: str) -> np.ndarray:
    """A string as uint32 code points, one a character."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _first_copy(
    codes: Sequence[np.ndarray], texts: Sequence[str], source: np.ndarray, training: str, length: int
) -> Copy | None:
    owners = [np.full(max(len(c) - length + 1, 0), i) for i, c in enumerate(codes)]
    hashes = np.concatenate([_window_hashes(c, length) for c in codes])
    owner = np.concatenate(owners)
    start = np.concatenate([np.arange(len(o)) for o in owners])
    unique, first = np.unique(hashes, return_index=True)
    for indexes, places in _matches(unique, source, length):
        for index, place in zip(indexes, places, strict=True):
            i = first[index]
            text, at = int(owner[i]), int(start[i])
            if texts[text][at : at + length] == training[place : place + length]:
                return Copy(length, text, at, int(place))
    return None


def _matches(wanted: np.ndarray, source: np.ndarray, length: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pieces of (index into the sorted hashes `wanted`, position in `source`) where the hashes agree."""
    # A table of bits turns nearly every window of the source away before the search.
    table = np.zeros(1 << _TABLE_BITS, dtype=bool)
    shift = np.uint64(64 - _TABLE_BITS)
    table[wanted >> shift] = True
    for begin in range(0, len(source) - length + 1, _PIECE):
        hashes = _window_hashes(source[begin : begin + _PIECE + length - 1], length)
        maybe = np.flatnonzero(table[hashes >> shift])
        index = np.minimum(np.searchsorted(wanted, hashes[maybe]), len(wanted) - 1)
        same = wanted[index] == hashes[maybe]
        if same.any():
            yield index[same], begin + maybe[same]


def _window_hashes(codes: np.ndarray, length: int) -> np.ndarray:
    """A 64-bit hash of every window of `length` characters: sum of mixed(code) * base**i, shifted back to the window's start."""
    if len(codes) < length or length == 0:
        return np.empty(0, dtype=np.uint64)
    with np.errstate(over="ignore"):
        powers = _powers(_BASE, len(codes))
        sums = np.cumsum(_mix(codes) * powers, dtype=np.uint64)
        windows = sums[length - 1 :].copy()
        windows[1:] -= sums[: len(sums) - length]
        return _mix(windows * _powers(_INVERSE, len(windows)))


def _powers(base: np.uint64, count: int) -> np.ndarray:
    factors = np.full(count, base, dtype=np.uint64)
    factors[0] = 1
    return np.multiply.accumulate(factors)


def _mix(values: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser, so that similar characters and low bits are no weakness."""
    x = values.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
