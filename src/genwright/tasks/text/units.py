"""What held-out text is counted by: whole texts, or blocks of them where too few are held out.

An interval is a bootstrap over things that are held out independently of each other. Tokens of one text are not; texts are, and so are
blocks that were picked by hash. Of fewer than 20 of these, pieces are drawn, which says how one part of this text differs from
another, and nothing of other texts; the protocol says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from genwright.console import count as number
from genwright.ledger import Item
from genwright.scores import ENOUGH

PIECE_TOKENS = 1000


def unit_edges(ids: Sequence[str], lengths: Sequence[int]) -> np.ndarray:
    """Where each unit begins in the tokens of some examples, one behind the other. `ids` are of the items that they are from."""
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1]
    there = [number for number, length in enumerate(lengths) if length]
    first = [
        number
        for before, number in zip([None, *there], there, strict=False)
        if before is None or ids[before] != ids[number]
    ]
    if len(first) >= ENOUGH or not first:
        return starts[first]
    ends = [*starts[first[1:]], sum(lengths)]
    return np.concatenate(
        [np.arange(starts[number], end, PIECE_TOKENS) for number, end in zip(first, ends, strict=True)]
    )


def units_told(ids: Sequence[str], items: Mapping[str, Item], count: int) -> str:
    """What the units are, for the protocol; `count` of them."""
    chosen = dict.fromkeys(ids)
    known = [items[name] for name in chosen if name in items]
    texts = len({item.parent or item.id for item in known}) or len(chosen)
    of = number(texts, "text")
    if len(chosen) < ENOUGH:
        return f"{number(count, 'piece')} of at most {PIECE_TOKENS:,} tokens of {of}: an interval over these says nothing of other texts"
    if any(item.parent is not None for item in known):
        return f"{number(count, 'block')} of {of}, other parts of which were learnt from"
    return of
