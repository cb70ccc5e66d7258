"""The part of a pictures' model that has only one, and how many examples its steps take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from genwright.families.base import Family
from genwright.model import ModelConfig
from genwright.tasks.base import Part, Splits
from genwright.tasks.image.networks import Drawn, family_of

BATCH = 32
_LEAST_STEPS_A_PASS = 16
"""Of a pass over the pictures: fewer steps of more would see hardly more variety each."""


def one_part(
    config: ModelConfig, drawn: Drawn, settings: Any, initial: Callable[[Family], None] | None = None
) -> list[Part]:
    """`settings` is the recipe's `model` section, `initial` what is done to a family before it learns."""

    def build(trained: object) -> Family:
        return family_of(config, drawn, settings)

    return [Part("model", build, batch=config.batches.get("model", BATCH), initial=initial)]


def most_batch(splits: Splits) -> int:
    """What the data bears."""
    return len(splits["train"]) // _LEAST_STEPS_A_PASS
