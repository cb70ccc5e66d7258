"""The rows of a file that holds many conversations at once (a JSON list, a CSV), and where each begins, so that it can be divided."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from genwright.errors import RequestError
from genwright.sources.csv_rows import read_csv_places
from genwright.sources.json_values import array, is_conversation

_BLOCKS = 100


@lru_cache(maxsize=2)
def placed_rows(text: str, suffix: str) -> Sequence[tuple[int, Any]] | None:
    """Rows and the characters at which they begin; None where the file is no such list of rows, or can't be read as one."""
    try:
        if suffix in (".csv", ".tsv"):
            return list(read_csv_places(text, f"the table{suffix}"))
        found = array(text)
    except (RequestError, ValueError, RecursionError):
        return None
    return None if found is None or is_conversation([value for _, value in found]) else found


def rows_between(text: str, suffix: str, start: int, stop: int) -> list[Any] | None:
    """The rows that begin within some characters; one that is cut stays whole, with its beginning."""
    found = placed_rows(text, suffix)
    return None if found is None else [value for place, value in found if start <= place < stop]


def row_blocks(text: str, suffix: str) -> list[tuple[int, int]]:
    """About a hundred spans of whole rows; [] where there are too few to divide."""
    places = [place for place, _ in placed_rows(text, suffix) or ()]
    if len(places) < 3:
        return []
    cuts = places[:: max(1, len(places) // _BLOCKS)]
    return list(pairwise([0, *cuts[1:], len(text)]))
