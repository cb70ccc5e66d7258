"""Which held-out pictures scores are measured on."""

from __future__ import annotations

from genwright.tasks.base import Splits

_ENOUGH = 100


def held_out_splits(splits: Splits) -> list[str]:
    """`test`, and `validation` beside it where the test split is small: neither was trained on, and the scores choose nothing."""
    names = ["test"] if len(splits["test"]) >= _ENOUGH else ["test", "validation"]
    return [name for name in names if len(splits[name])]
