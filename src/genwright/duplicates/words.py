"""Texts that are nearly the same, found by MinHash (Broder 1997) with locality-sensitive hashing, so that they share a side of the split.

A text is the set of its runs of five words (letters and digits, or single marks), whatever the white space between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rensa import RMinHash, RMinHashLSH  # type: ignore[attr-defined]  # built in Rust, without stubs

from genwright.duplicates.groups import Groups

_RUN = 5
_HASHES, _BANDS = 128, 16
_LEAST_RUNS = 20
"""Shorter texts are too short for an estimate; equal ones are duplicates anyway."""
_WORD = re.compile(r"\w+|[^\w\s]")


def clusters(texts: Iterable[str], threshold: float) -> list[int]:
    """For each text the first one that it belongs with, through any chain of texts that agree to `threshold` (Jaccard, estimated).

    Pairs are found by bands of hashes: at 0.7 about 60 % of the true pairs are found directly, at 0.8 95 %, at 0.9 all.
    """
    groups = Groups()
    index = RMinHashLSH(threshold=threshold, num_perm=_HASHES, num_bands=_BANDS)
    hashes: dict[int, RMinHash] = {}
    for text in texts:
        number, runs = groups.add(), _runs(text)
        if len(runs) < _LEAST_RUNS:
            continue
        own = RMinHash(num_perm=_HASHES, seed=0)
        own.update(sorted(runs))
        for other in index.query(own):
            if groups.first(other) != groups.first(number) and own.jaccard(hashes[other]) >= threshold:
                groups.join(number, other)
        index.insert(number, own)
        hashes[number] = own
    return groups.firsts()


def _runs(text: str) -> set[str]:
    words = _WORD.findall(text)
    return {" ".join(words[i : i + _RUN]) for i in range(len(words) - _RUN + 1)}
