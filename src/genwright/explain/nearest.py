"""From a passage to the training documents nearest to it, and the longest run of characters that it shares with each.

Every window of n characters of the training texts is hashed and looked up among those of the passage. A window that few documents
have weighs more (inverse document frequency). A document's similarity is the weighted share of the passage's windows that stand in
the stretch of it (twice as long as the passage) where most of them do. The longest shared run is exact. Nothing is learned and
nothing is approximate but the choice of candidates, so what is found can be read again in the data.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel

from genwright.console import progress
from genwright.errors import RequestError
from genwright.explain.corpus import Corpus, text_of, units_of
from genwright.metrics.copying import longest_copy

MOST_CHARACTERS = 20_000
_SIZES = (5, 3, 2)
"""Windows that are tried in turn until some document has one; texts in Han, kana or Hangul begin with the second."""
_CANDIDATES = 100
_MOST_PAIRS = 8_000_000
"""Of (document, window) pairs that are held at once. Past that the windows that most documents have are let go: they tell least."""
_PIECE = 1 << 22
_TABLE_BITS = 20
_REACH = 1 << 20
"""How far around the stretch that is nearest the longest run is looked for."""
_CONTEXT = 60
_MULTIPLIERS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F], np.uint64)  # fmt: skip


class SharedRun(BaseModel):
    """A run of characters that stands in the passage and in the document letter by letter."""

    length: int
    text: str
    passage_start: int
    before: str
    """What stands before and behind it in the document."""
    after: str


class Neighbour(BaseModel):
    """A training document. `item` is its id in the ledger."""

    item: str
    similarity: float
    """0 to 1: the share of the passage's windows that stand together in the document, rare ones weighing more."""
    shared: float
    """The same without weights."""
    run: SharedRun
    same_run_in: list[str] = []
    """The ledger ids of other documents that have the same run."""


class Found(BaseModel):
    window: int
    """Characters of the windows that were compared."""
    documents: int
    characters: int
    neighbours: list[Neighbour]


@dataclass
class _Passage:
    """The windows of the passage: their hashes, sorted, and what each weighs."""

    size: int
    units: np.ndarray
    hashes: np.ndarray
    table: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.table = np.zeros(1 << _TABLE_BITS, dtype=bool)
        self.table[self.hashes >> np.uint64(64 - _TABLE_BITS)] = True

    @classmethod
    def of(cls, units: np.ndarray, size: int) -> _Passage:
        return cls(size, units, np.unique(_hashes(units, size)))

    def find(self, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(position, number of the window) wherever `units` have a window of the passage."""
        hashes = _hashes(units, self.size)
        maybe = np.flatnonzero(self.table[hashes >> np.uint64(64 - _TABLE_BITS)])
        number = np.minimum(np.searchsorted(self.hashes, hashes[maybe]), len(self.hashes) - 1)
        same = self.hashes[number] == hashes[maybe]
        return maybe[same], number[same]


def nearest(corpus: Corpus, text: str, n: int = 5) -> Found:
    """The `n` documents nearest to a passage, the nearest first; fewer where fewer share anything with it.

    Documents that share the very same run stand under the first of them. Raises RequestError when there is nothing to compare.
    """
    check(text)
    units = units_of(text)
    found = Found(window=0, documents=len(corpus), characters=int(corpus.starts[-1]) - len(corpus), neighbours=[])
    for size in _SIZES[1:] if _is_dense(text) else _SIZES:
        size = min(size, len(units))
        passage = _Passage.of(units, size)
        documents, numbers, dropped = _pairs(corpus, passage)
        if len(documents):
            frequency = np.bincount(numbers, minlength=len(passage.hashes))
            weights = np.where(dropped, 0.0, np.log1p(len(corpus) / np.maximum(frequency, 0.5)))
            scores = np.bincount(documents, weights[numbers])
            order = np.argsort(-scores, kind="stable")[:_CANDIDATES]
            close = sorted((_neighbour(corpus, int(d), passage, weights) for d in order if scores[d] > 0), key=_rank)
            return found.model_copy(update={"window": size, "neighbours": _folded(corpus, close, passage, documents, numbers)[:n]})  # fmt: skip
    return found


def check(text: str) -> None:
    """Raise RequestError where a passage has nothing to compare, or too much."""
    if not text.strip():
        raise RequestError("--nearest: the passage is empty; give the text whose sources are looked for.")
    if len(text) > MOST_CHARACTERS:
        raise RequestError(
            f"--nearest: the passage has {len(text):,} characters and {MOST_CHARACTERS:,} are the most; give a part of it."
        )


def _rank(neighbour: Neighbour) -> tuple[float, int]:
    return -neighbour.similarity, -neighbour.run.length


def _is_dense(text: str) -> bool:
    """Whether most letters are of a script in which a character is a word or a syllable."""
    letters = [c for c in text if c.isalpha()]
    return 2 * sum("\u2e80" <= c <= "\ud7ff" or c >= "\U00020000" for c in letters) > len(letters)


def _pairs(corpus: Corpus, passage: _Passage) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every (document, window of the passage that it has), once each; and bool[windows]: those that were let go."""
    keys: list[np.ndarray] = []
    count, windows = 0, len(passage.hashes)
    dropped = np.zeros(windows, dtype=bool)
    with progress("search the training texts", len(corpus.units)) as line:
        for start in range(0, len(corpus.units), _PIECE):
            place, number = passage.find(np.asarray(corpus.units[start : start + _PIECE + passage.size - 1]))
            kept = ~dropped[number]
            place, number = place[kept] + start, number[kept]
            document = np.searchsorted(corpus.starts, place, side="right") - 1
            keys.append(np.unique(document.astype(np.int64) * windows + number))
            count += len(keys[-1])
            if count > _MOST_PAIRS:
                whole = np.concatenate(keys)
                often = np.bincount(whole % windows, minlength=windows)
                dropped |= often >= np.sort(often)[-max(windows // 8, 1)]
                keys = [whole[~dropped[whole % windows]]]
                count = len(keys[0])
            line.update(start)
    whole = np.unique(np.concatenate(keys)) if keys else np.empty(0, np.int64)
    whole = whole[~dropped[whole % windows]] if len(whole) else whole
    return whole // windows, whole % windows, dropped


def _neighbour(corpus: Corpus, document: int, passage: _Passage, weights: np.ndarray) -> Neighbour:
    start, stop = corpus.span(document)
    units = np.asarray(corpus.units[start:stop])
    place, number = passage.find(units)
    # Stretches of twice the passage's length, each beginning in the middle of the one before.
    half = max(len(passage.units), 32)
    stretch = np.concatenate([place // half, place // half + 1])
    keys = np.unique(stretch * len(weights) + np.concatenate([number, number]))
    sums = np.bincount(keys // len(weights), weights[keys % len(weights)])
    best = int(sums.argmax())
    inside = np.unique(number[(place // half == best) | (place // half == best - 1)])
    low, high = max((best - 1) * half - _REACH, 0), min((best + 1) * half + _REACH, len(units))
    return Neighbour(
        item=corpus.ids[document],
        similarity=float(sums[best] / weights.sum()),
        shared=len(inside) / len(weights),
        run=_longest_run(passage, units[low:high]),
    )


def _longest_run(passage: _Passage, units: np.ndarray) -> SharedRun:
    text, source = text_of(passage.units), text_of(units)
    copy = longest_copy([text], source)
    stop = copy.source + copy.length
    return SharedRun(
        length=copy.length,
        text=source[copy.source : stop],
        passage_start=copy.start,
        before=source[max(copy.source - _CONTEXT, 0) : copy.source],
        after=source[stop : stop + _CONTEXT],
    )


def _folded(
    corpus: Corpus, close: list[Neighbour], passage: _Passage, documents: np.ndarray, numbers: np.ndarray
) -> list[Neighbour]:
    """Each run once: documents with a run that a nearer one has stand under it, those that were no candidates too."""
    kept: list[Neighbour] = []
    seen: set[str] = set()
    for neighbour in close:
        if neighbour.run.text in seen:
            continue
        seen.add(neighbour.run.text)
        neighbour.same_run_in = _with_run(corpus, neighbour, passage, documents, numbers)
        kept.append(neighbour)
    return kept


def _with_run(
    corpus: Corpus, neighbour: Neighbour, passage: _Passage, documents: np.ndarray, numbers: np.ndarray
) -> list[str]:
    run = units_of(neighbour.run.text)
    if len(run) < passage.size:
        return []
    wanted = np.intersect1d(np.searchsorted(passage.hashes, np.unique(_hashes(run, passage.size))), np.unique(numbers))
    holders, counts = np.unique(documents[np.isin(numbers, wanted)], return_counts=True)
    needle, found = run.tobytes(), []
    for document in holders[counts == len(wanted)]:
        start, stop = corpus.span(int(document))
        if corpus.ids[document] != neighbour.item and _stands_in(needle, corpus.units[start:stop]):
            found.append(corpus.ids[document])
    return found


def _stands_in(needle: bytes, units: np.ndarray) -> bool:
    haystack, place = np.asarray(units).tobytes(), -1
    while (place := haystack.find(needle, place + 1)) >= 0:
        if place % 2 == 0:
            return True
    return False


def _hashes(units: np.ndarray, size: int) -> np.ndarray:
    """A 64-bit multilinear hash of every window of `size` code units, good in its high bits."""
    if len(units) < size:
        return np.empty(0, np.uint64)
    count = len(units) - size + 1
    values = units.astype(np.uint64)
    with np.errstate(over="ignore"):
        total = values[:count] * _MULTIPLIERS[0]
        for place in range(1, size):
            total += values[place : place + count] * _MULTIPLIERS[place]
        return total ^ (total >> np.uint64(29))
