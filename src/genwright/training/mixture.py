"""New data mixed with old: which of the two each example of a continued training is drawn from.

A model that goes on with new data alone forgets the old; with all of it in proportion it hardly sees the new. So new examples are
drawn more often than their share of the data, as in replay for continual pre-training (arXiv:2403.08763, section 6). What stands at
a position is a function of the position alone, so a resumed training draws what an uninterrupted one would have drawn.
"""

from __future__ import annotations

from pydantic import BaseModel

from genwright.families.base import Batch
from genwright.training.base import Stackable

_MOST = 0.5
"""New examples are at most this share of what is drawn, unless they are more than that of the data."""


class Mixture(BaseModel):
    """How a training draws from old and new data, from a position on; part of its plan, so it stays while it is being trained."""

    data: str
    """Hash of the data that `new` was told by."""
    former: str
    """Hash of the data that was known when the training last finished."""
    start: int
    """Examples that had been drawn before; from there on the two are mixed."""
    share: float
    """Share of new examples among those that are drawn."""
    fair: float
    """Their share of the data."""
    new: int
    """How many examples a pass over the new data has."""

    @property
    def factor(self) -> float:
        """How many times as often as its share new data is drawn."""
        return self.share / self.fair

    def text(self) -> str:
        times = f"{self.factor:.2g} times as often as" if abs(self.factor - 1) >= 0.05 else "as often as"
        return (
            f"{self.share:.1%} of what is drawn is new, {times} its share of the data ({self.fair:.1%}); the rest is old data, "
            "so that it is not forgotten"
        )


def fair_share(old: int, new: int) -> float:
    return new / (old + new)


def share_for(fair: float, drawn: int, to_draw: int) -> float:
    """The share by which new examples will have been seen as often as old ones when the training ends.

    `drawn` examples of the old data were drawn before and `to_draw` of both will be. With N examples of which n are new, a share s
    gives each new one s * to_draw / n passes and each old one (drawn + (1 - s) * to_draw) / (N - n): equal for s = n / N * (1 + drawn
    / to_draw). At most half of what is drawn is new, unless more than half of the data is.
    """
    return min(fair * (1 + drawn / max(to_draw, 1)), max(_MOST, fair))


class Mixed:
    """`Batches` that take each example from the new or the old ones, spread evenly, as a `Mixture` says."""

    def __init__(self, old: Stackable, new: Stackable, mixture: Mixture):
        self.old, self.new, self.mixture = old, new, mixture
        self.pass_examples = old.pass_examples + new.pass_examples

    def batch(self, position: int, size: int) -> Batch:
        """The old examples of the batch, then the new ones."""
        first, last = self._taken(position), self._taken(position + size)
        new = last - first
        return self.old.stack(self.old.examples(position - first, size - new) + self.new.examples(first, new))

    def _taken(self, position: int) -> int:
        """How many new examples stand before a position; the old ones go on where the training before had come to."""
        return int(max(position - self.mixture.start, 0) * self.mixture.share)
