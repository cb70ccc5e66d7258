"""How well pictures go with their words: two linear maps, from features of texts and of pictures into one space, and retrieval there.

The maps are a regularised canonical correlation analysis (Hotelling 1936; the ridge of Vinod 1976), whose axes count by their
correlation. It has no random start. On 190 emoji and their names it finds 18 % of other emoji's names among 100, ridge regression 17 %;
on 75 it finds 12 %. Both features come from packages, and nothing of the model that is judged goes into them.

# Shapes: N pairs, D features of a text, E features of a picture, K axes, U different texts, Q pictures that are asked for their text
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genwright.metrics.image import Estimate, bootstrap_mean

Array = NDArray[np.floating]

AMONG = 100
"""Texts among which a picture's own is looked for."""
VOID_BELOW = 5
"""Times chance, below which true pairs are found too seldom for the maps to judge others."""
_RIDGE = 1.0
"""Added to the variance along every direction, as a share of the mean: of 0.1 to 10 the best, within a point of its neighbours."""


@dataclass(frozen=True)
class _Side:
    mean: Array
    matrix: Array

    def __call__(self, x: Array) -> Array:
        return _unit((np.asarray(x, np.float64) - self.mean) @ self.matrix)


@dataclass(frozen=True)
class Maps:
    """Features of texts or pictures -> unit vectors whose products say how well they go together."""

    text: _Side
    picture: _Side
    pairs: int


def fit(text_ND: Array, picture_NE: Array) -> Maps:
    """Raises ValueError with fewer than three pairs."""
    if len(text_ND) != len(picture_NE) or len(text_ND) < 3:
        raise ValueError(f"maps need three pairs or more, not {len(text_ND)} texts and {len(picture_NE)} pictures")
    (text_mean, text_NR, text_back), (mean, picture_NR, back) = _white(text_ND), _white(picture_NE)
    left, correlation_K, right = np.linalg.svd(text_NR.T @ picture_NR, full_matrices=False)
    text, picture = text_back @ (left * correlation_K), back @ (right.T * correlation_K)
    return Maps(_Side(text_mean, text), _Side(mean, picture), len(text_ND))


def _white(x_ND: Array) -> tuple[Array, Array, Array]:
    """The mean, the data with every direction at about unit variance, and what brings other data there."""
    x_ND = np.asarray(x_ND, np.float64)
    mean = x_ND.mean(0)
    left, size_R, right = np.linalg.svd(x_ND - mean, full_matrices=False)
    scale_R = np.sqrt(size_R**2 + _RIDGE * (size_R**2).mean() + 1e-12)
    return mean, left * (size_R / scale_R), right.T / scale_R


def retrieval(picture_QK: Array, text_UK: Array, own_Q: Sequence[int], rng: np.random.Generator) -> Estimate:
    """Retrieval@1: the share of pictures that lie nearer to their own text than to 99 others, drawn at random from the different ones;
    the mean over all draws, which follows from how many of all are nearer. Pictures of one text count as one; the interval is a
    bootstrap over texts.

    Where there are fewer than 100 texts, among all of them. Raises ValueError without a picture.
    """
    own = np.asarray(own_Q, np.intp)
    score_QU = np.asarray(picture_QK) @ np.asarray(text_UK).T
    nearer_Q = (score_QU >= score_QU[np.arange(len(own)), own][:, None]).sum(1) - 1
    others = len(text_UK) - 1
    drawn = min(AMONG, len(text_UK)) - 1
    found_Q = np.array([math.comb(others - int(k), drawn) / math.comb(others, drawn) for k in nearer_Q])
    return bootstrap_mean(np.array([found_Q[own == text].mean() for text in np.unique(own)]), rng)


def chance(texts: int) -> float:
    return 1 / min(AMONG, texts)


def _unit(x_NK: Array) -> Array:
    return x_NK / np.maximum(np.linalg.norm(x_NK, axis=1, keepdims=True), 1e-12)
