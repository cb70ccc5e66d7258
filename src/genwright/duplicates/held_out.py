"""Texts to learn from that are nearly the same as a held-out one: left in, they would let a model that learns by heart look good.

Candidates are found by MinHash with locality-sensitive hashing (Broder 1997) and then compared exactly, so nothing is dropped by an
estimate. A text is the set of its runs of four characters, white space apart; script and line breaks do not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from genwright.console import progress
from genwright.files import printable
from genwright.ledger import Drop, Item
from genwright.media import text as medium

_RUN = 4
_HASHES, _BANDS = 128, 32
"""Bands of four hashes: a pair that agrees to 0.5 is found in 87 of 100 cases, to 0.6 in 99, to 0.8 always."""
_LEAST_RUNS = 8
"""Shorter texts are all near one another; of those only exact copies count."""


def drop_near_duplicates(rows: Sequence[Item], threshold: float) -> int:
    """Drop training rows whose Jaccard index with a held-out row is `threshold` or more; returns how many."""
    rensa: Any = import_module("rensa")  # its classes come out of an extension module that no type checker can read
    leaves = [row for row in rows if row.kept and row.split]
    held_out = [row for row in leaves if row.split != "train"]
    training = [row for row in leaves if row.split == "train"]
    index = rensa.RMinHashLSH(threshold=threshold, num_perm=_HASHES, num_bands=_BANDS)
    known: list[frozenset[str]] = []
    dropped: list[Item] = []

    def signature(runs: frozenset[str]) -> Any:
        made = rensa.RMinHash(num_perm=_HASHES, seed=0)
        made.update(list(runs))
        return made

    with progress("look for near-duplicates", len(leaves)) as line:
        for number, row in enumerate(held_out):
            known.append(_runs(row))
            if len(known[-1]) >= _LEAST_RUNS:
                index.insert(number, signature(known[-1]))
            line.update(number)
        for number, row in enumerate(training, start=len(held_out)):
            runs = _runs(row)
            if len(runs) >= _LEAST_RUNS:
                near = ((_jaccard(runs, known[other]), other) for other in index.query(signature(runs)))
                share, other = max(near, default=(0.0, -1))
                if share >= threshold:
                    row.drop(Drop("near_duplicate", f"{share:.0%} the same as {_named(held_out[other])}"))
                    dropped.append(row)
            line.update(number)
    _drop_parents(rows, dropped)
    return len(dropped)


def _runs(row: Item) -> frozenset[str]:
    text = "".join(_text(row).split())
    return frozenset(text[i : i + _RUN] for i in range(len(text) - _RUN + 1))


def _text(row: Item) -> str:
    if "text" in row.fields:
        text = row.fields["text"]
    else:
        text = _decoded(row.file) if row.file is not None else ""
    return text[row.start : row.stop]


@lru_cache(maxsize=2)
def _decoded(file: str) -> str:
    try:
        text = medium.decode(Path(file).read_bytes())
    except OSError:  # it went away since it was read
        return ""
    return "" if isinstance(text, Drop) else text


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    both = len(a & b)
    return both / (len(a) + len(b) - both)


def _named(row: Item) -> str:
    number = f" row {row.row}" if row.row is not None else ""
    return f"{printable(row.path)}{number}, which is held out for {row.split}"


def _drop_parents(rows: Sequence[Item], dropped: Sequence[Item]) -> None:
    """An item that was divided is dropped when no block of it is left."""
    pieces: dict[str, list[Item]] = {}
    for row in rows:
        if row.parent is not None:
            pieces.setdefault(row.parent, []).append(row)
    of = {row.parent for row in dropped if row.parent is not None}
    for row in rows:
        if row.id in of and not any(piece.kept for piece in pieces[row.id]):
            row.drop(Drop("near_duplicate", pieces[row.id][0].detail))
