"""Scores of sets of pictures against one reference set, row by row: for every task that makes pictures.

KID needs no equal sets. Precision, recall, density, coverage and the Frechet distance depend on how many pictures there are, so they are
means over random sets as large as the smallest row. A second extractor says KID and Frechet distance once more: a gain that it does not
see is none.

# Shapes: N pictures of a row, M reference pictures, D features. images_NHWC 8 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genwright.console import progress, say
from genwright.metrics import features
from genwright.metrics import image as metrics
from genwright.metrics.image import Estimate
from genwright.scores import Metric
from genwright.seeds import stream
from genwright.tasks.image.pixels import Pictures

Features = NDArray[np.floating]

NEIGHBOURS = 5
EQUAL_SETS = 10
FEWEST = 2 * NEIGHBOURS + 2
"""A row with fewer pictures gets no precision, coverage or Frechet distance, rather than holding the others' numbers down."""
_SHARES = ("precision", "recall", "coverage")

SECOND = [
    Metric(
        name="kid_second",
        title="KID, second extractor",
        better="lower",
        description=f"KID by another network for recognising pictures ({features.SECOND}): a gain that it does not see is none.",
    ),
    Metric(
        name="frechet_second",
        title="Frechet, second extractor",
        better="lower",
        description=f"Frechet distance by the same ({features.SECOND}). Sets of equal size for every row.",
    ),
]


def kid(found: Mapping[str, Features], reference: Features, rng: np.random.Generator) -> dict[str, Estimate]:
    """Of every row with two pictures at least."""
    return {name: metrics.kid(own, reference, rng) for name, own in found.items() if len(own) > 1}


def equal_sets(
    found: Mapping[str, Features], reference: Features, rng: np.random.Generator, seed: int
) -> dict[str, dict[str, Estimate]]:
    """Frechet distance, precision, recall, density and coverage of every row with enough pictures; {} where there are too few."""
    rows = {name: own for name, own in found.items() if len(own) >= FEWEST}
    if len(reference) < FEWEST or not rows:
        return {}
    size = min(len(reference), *(len(own) for own in rows.values()))
    halves = stream(seed, "scores", "halves")
    table = {}
    with progress("evaluate: precision, coverage, Frechet distance", len(rows) * EQUAL_SETS) as line:
        for number, (name, own) in enumerate(rows.items()):
            values: dict[str, list[float]] = {}
            spread: dict[str, list[float]] = {}
            for turn in range(EQUAL_SETS):
                line.update(number * EQUAL_SETS + turn)
                x, y = (some[rng.choice(len(some), size, replace=False)] for some in (own, reference))
                _add(values, {"frechet": metrics.frechet_distance(x, y), **metrics.prdc(x, y, NEIGHBOURS)})
                x, y = (some[halves.permutation(size)[: size // 2]] for some in (x, y))
                _add(spread, _without_shares(x, y))
            table[name] = {key: _estimate(key, drawn, spread.get(key, []), size) for key, drawn in values.items()}
    return table


def _without_shares(x_ND: Features, y_MD: Features) -> dict[str, float]:
    """What has no interval of its own, of half sets."""
    found = {"frechet": metrics.frechet_distance(x_ND, y_MD)}
    return found | ({"density": metrics.prdc(x_ND, y_MD, NEIGHBOURS)["density"]} if len(x_ND) > NEIGHBOURS else {})


def _add(values: dict[str, list[float]], one: Mapping[str, float]) -> None:
    for key, value in one.items():
        values.setdefault(key, []).append(value)


def _estimate(key: str, values: list[float], halves: list[float], size: int) -> Estimate:
    """The mean. A share has the interval of one set; for the others random halves spread about as widely as whole sets of new pictures
    would (the delete-half jackknife, Shao and Wu 1989)."""
    mean = float(np.mean(values))
    if key in _SHARES:
        return metrics.wilson(mean, size)
    reach = 1.96 * float(np.std(halves, ddof=1)) if len(halves) > 1 else np.inf
    return Estimate(mean, max(mean - reach, 0.0), mean + reach, size)


def second_opinion(
    pictures: Mapping[str, Pictures], reference_NHWC: Pictures, device: torch.device, seed: int
) -> tuple[dict[str, dict[str, Estimate]], dict[str, Any]]:
    """KID and Frechet distance of every row by the second extractor, and what the protocol says of it; no number where it is not installed,
    which is said."""
    if not features.available(features.SECOND):
        say(
            f"evaluate: the second extractor ({features.SECOND}) is left out, it is not installed (pip install 'genwright[metrics]')."
        )
        return {}, {"second_extractor": "not measured: it is not installed"}
    title = "evaluate: features by the second extractor"
    reference = features.extract_cached(reference_NHWC, device, title, features.SECOND)
    found: dict[str, Features] = {}
    for name, images in pictures.items():
        take = features.extract_cached if name in ("copy", "real") else features.extract
        found[name] = take(images, device, title, features.SECOND)
    rng = stream(seed, "scores", "second")
    by_row = {name: {"kid_second": value} for name, value in kid(found, reference, rng).items()}
    for name, values in equal_sets(found, reference, rng, seed).items():
        by_row[name]["frechet_second"] = values["frechet"]
    return by_row, {"second_extractor": features.SECOND}
