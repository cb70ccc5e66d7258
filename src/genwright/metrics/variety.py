"""How much the samples of one prompt differ: whether a generator makes anything of its noise.

The mean distance between samples of one prompt over the mean distance between samples of different prompts. A generator that ignores
its noise is at 0, one that ignores its prompt at 1 and may come out above by chance; what is healthy, real data of several items to a
prompt shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from typing import TypeVar

import numpy as np

from genwright.metrics.text import words
from genwright.scores import Metric, Score

T = TypeVar("T")

METRIC = Metric(
    name="variety",
    title="variety within a prompt",
    better="none",
    description="Mean distance between samples of one prompt over that between samples of different prompts: near 0 the noise is "
    "ignored and every sample of a prompt is the same, at 1 the prompt is ignored; best near real data, where it has several to a prompt.",
)


def sizes(samples: int) -> tuple[int, int]:
    """How many prompts, and samples of each, where an evaluation looks at `samples`: its square and its cube root, so that this costs
    a part of it: 22 prompts of 8 for 500."""
    return max(round(samples**0.5), 2), max(round(samples ** (1 / 3)), 2)


def variety(groups: Sequence[Sequence[T]], distance: Callable[[T, T], float], seed: int, draws: int = 1000) -> Score:
    """`groups` are the samples of each prompt, two or more. Between prompts the i-th samples are compared, so that no pair is of one
    item twice. The interval is a bootstrap over prompts. Raises ValueError with fewer than two prompts, or one sample of a prompt.
    """
    if len(groups) < 2 or min(map(len, groups)) < 2:
        raise ValueError("variety needs two prompts or more, and two samples or more of each")
    count = len(groups)
    within_G = np.array([np.mean([distance(a, b) for a, b in combinations(group, 2)]) for group in groups])
    between_GG = np.full((count, count), np.nan)
    for one, two in combinations(range(count), 2):
        pairs = zip(groups[one], groups[two], strict=False)
        between_GG[one, two] = between_GG[two, one] = np.mean([distance(a, b) for a, b in pairs])
    drawn = np.random.default_rng(seed).integers(count, size=(draws, count))
    ratios = [_ratio(within_G[chosen], between_GG[np.ix_(chosen, chosen)]) for chosen in drawn if len(set(chosen)) > 1]
    low, high = np.percentile(ratios, [2.5, 97.5])
    value = _ratio(within_G, between_GG)
    return Score(value=value, low=float(low), high=float(high), n=sum(map(len, groups)))


def _ratio(within_G: np.ndarray, between_GG: np.ndarray) -> float:
    """A prompt drawn twice is not compared with itself. Where everything is the same, nothing varies: 0."""
    between = float(np.nanmean(between_GG))
    return float(within_G.mean()) / between if between > 0 else 0.0


class Grams:
    """A text as its counted words and pairs of words."""

    def __init__(self, text: str):
        found = words(text)
        self.counts = Counter(found), Counter(pairwise(found))


def text_distance(one: Grams, two: Grams) -> float:
    """1 minus the mean of ROUGE-1 and ROUGE-2 (F1, Lin 2004): 0 for the same words in the same order, 1 for none in common.

    Pairs of words tell most texts apart, single words alone how near they are in subject. Two empty texts are the same.
    """
    overlaps = [_dice(a, b) for a, b in zip(one.counts, two.counts, strict=True)]
    return 1 - sum(overlaps) / len(overlaps)


def _dice(one: Counter, two: Counter) -> float:
    total = one.total() + two.total()
    return 2 * (one & two).total() / total if total else 1.0
