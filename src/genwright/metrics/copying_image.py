"""Whether a model hands out its training pictures: how near each sample comes to the training set, beside held-out pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genwright.metrics.image import Estimate, share

PERCENTILE = 5.0
SENTENCE = (
    "Share of pictures that come nearer to a training picture than 95 % of the held-out pictures do, by distance of features; "
    "held-out pictures themselves, one half measured by the other, show the natural rate of about 5 %."
)
FEWEST = 20
"""Held-out pictures that a 5th percentile needs to mean anything."""
_HALVINGS = 50


@dataclass(frozen=True)
class CopyThreshold:
    """Below `distance` from the nearest training picture a picture counts as copied; `natural` is how often held-out ones do."""

    distance: float
    natural: Estimate


def threshold(
    held_out_N: NDArray[np.floating], rng: np.random.Generator, percentile: float = PERCENTILE
) -> CopyThreshold:
    """From the distances of held-out pictures to their nearest training picture.

    The threshold is their `percentile`. Measured on the same pictures the natural rate would be that percentile by
    construction; so the halves of 50 random halvings each give a threshold by which the other half is counted.

    Raises ValueError with fewer than FEWEST held-out pictures.
    """
    if len(held_out_N) < FEWEST:
        raise ValueError(f"a natural rate needs at least {FEWEST} held-out pictures, not {len(held_out_N)}")
    rates = []
    for _ in range(_HALVINGS):
        order = rng.permutation(len(held_out_N))
        first, second = held_out_N[order[::2]], held_out_N[order[1::2]]
        rates.append((second < np.percentile(first, percentile)).mean())
        rates.append((first < np.percentile(second, percentile)).mean())
    whole = share(held_out_N < np.percentile(held_out_N, percentile))
    natural = Estimate(float(np.mean(rates)), whole.low, whole.high, len(held_out_N))
    return CopyThreshold(float(np.percentile(held_out_N, percentile)), natural)


def copy_rate(distances_N: NDArray[np.floating], limit: CopyThreshold) -> Estimate:
    """Share of pictures that are nearer to a training picture than the threshold."""
    return share(distances_N < limit.distance)
