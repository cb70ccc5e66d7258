"""Variety within one word in the sheet of `draw`: many pictures of each of a few words, by the features that KID uses.

# Shapes: N pictures, D features, L condition length, G words
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genwright.console import track
from genwright.engine.engine import Engine
from genwright.metrics import features
from genwright.metrics.image import Estimate
from genwright.metrics.variety import METRIC, sizes, variety
from genwright.model import Model
from genwright.recipe import EvaluateSettings
from genwright.seeds import stream
from genwright.tasks.image.pixels import Pictures
from genwright.tasks.image.sampling import draw

Features = NDArray[np.floating]


@dataclass(frozen=True)
class Words:
    """Real pictures with what they show: their conditions, labels (-1 where there are none) and features."""

    conditions: np.ndarray
    labels: np.ndarray
    features: Features

    def chosen(self, most: int, rng: np.random.Generator) -> list[np.ndarray]:
        """The pictures (indexes) of each of at most `most` words, in random order, those with several pictures first."""
        _, word_N = np.unique(self.conditions, axis=0, return_inverse=True)
        order = rng.permutation(len(word_N))
        groups = [order[word_N.ravel()[order] == word] for word in rng.permutation(word_N.max() + 1)]
        return sorted(groups, key=lambda group: len(group) < 2)[:most]


@dataclass(frozen=True)
class Varied:
    """The column: a score a row, and what stands beside it in the protocol."""

    rows: dict[str, Estimate]
    protocol: dict[str, str]


def measure(model: Model, real: Words, floor: Callable[[np.ndarray], Pictures], settings: EvaluateSettings) -> Varied:
    """The rows floor, model and real; nothing where the data has only one word, or none. `floor` makes its pictures for some labels."""
    count, each = sizes(settings.samples)
    groups = real.chosen(count, stream(settings.seed, "scores", "variety"))
    if len(groups) < 2:
        return Varied({}, {})
    asked = np.repeat([group[0] for group in groups], each)
    # Streams of noise that no other samples of the evaluation have.
    conditions, first = real.conditions[asked], 3 * settings.samples
    pictures = draw(model, Engine(), conditions, settings.seed, model.family.Controls(), first)
    drawn = np.stack(list(track(pictures, "evaluate: draw several for a word", len(asked))))
    rows = {}
    for name, images in (("floor", floor(real.labels[asked])), ("model", drawn)):
        found = features.extract(images, model.device, f"evaluate: variety of the {name} row")
        rows[name] = _score(list(found.reshape(len(groups), each, -1)), settings.seed)
    several = [real.features[group[:each]] for group in groups if len(group) > 1]
    if len(several) > 1:
        rows["real"] = _score(several, settings.seed)
    how = (
        f"{len(groups)} words of training pictures, {each} samples of each, at the family's defaults; Euclidean distance of the features that "
        f"KID uses ({features.NAME}), within words over between them; real: training pictures of {len(several)} of these words, which have "
        f"several, at most {each} each; interval by bootstrap over words"
    )
    return Varied(rows, {METRIC.name: how})


def _score(groups: list[Features], seed: int) -> Estimate:
    score = variety([list(group) for group in groups], _distance, seed)
    return Estimate(**score.model_dump())


def _distance(one_D: Features, two_D: Features) -> float:
    return float(np.linalg.norm(one_D - two_D))
