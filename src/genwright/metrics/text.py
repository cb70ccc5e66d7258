"""Scores of text: bits per byte and distinct-n, with intervals. Arrays and strings in, numbers out."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from genwright.metrics.image import wilson
from genwright.scores import ENOUGH, Score

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]|\w+(?:['\u2019]\w+)*|[^\w\s]")
"""Words, punctuation marks, and each character of scripts that put no spaces between words."""
_UNIT = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\s\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")


def words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def bits_per_byte(nats: np.ndarray, byte_counts: np.ndarray, seed: int = 0, draws: int = 1000) -> Score:
    """The exact total, sum of nats / (sum of bytes * ln 2), over independent texts; the interval is a bootstrap over them.

    `nats` and `byte_counts` are of each text: its negative log-likelihood and its length. `Score.n` is the number of texts.
    """
    nats, byte_counts = np.asarray(nats, np.float64), np.asarray(byte_counts, np.float64)
    total = byte_counts.sum()
    if total == 0:
        raise ValueError("no bytes were scored")
    chosen = np.random.default_rng(seed).integers(len(nats), size=(draws, len(nats)))
    sums = nats[chosen].sum(axis=1), np.maximum(byte_counts[chosen].sum(axis=1), 1)
    low, high = np.percentile(sums[0] / sums[1] / math.log(2), [2.5, 97.5])
    return Score(value=float(nats.sum() / total / math.log(2)), low=float(low), high=float(high), n=len(nats))


def share(hits: np.ndarray, totals: np.ndarray, seed: int = 0, draws: int = 1000) -> Score:
    """sum of hits / sum of totals over texts, with a bootstrap over texts; where these are few and all alike, so that it has no width,
    Wilson's interval of a share of as many texts."""
    hits, totals = np.asarray(hits, np.float64), np.asarray(totals, np.float64)
    if totals.sum() == 0:
        return Score(value=0.0, n=0)
    chosen = np.random.default_rng(seed).integers(len(hits), size=(draws, len(hits)))
    ratios = hits[chosen].sum(axis=1) / np.maximum(totals[chosen].sum(axis=1), 1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    value = float(hits.sum() / totals.sum())
    if low == high and len(hits) < ENOUGH and (hits <= totals).all():
        found = wilson(value, len(hits))
        low, high = found.low, found.high
    return Score(value=value, low=float(low), high=float(high), n=int(totals.sum()))


def equal_words(collections: Sequence[Sequence[str]]) -> list[list[list[str]]]:
    """The words of several collections of texts, cut so that the i-th texts are of one length and all collections equal.

    Distinct-n falls with the size of the sample, so only samples of one size compare.
    """
    split = [[words(text) for text in texts] for texts in collections]
    count = min(len(texts) for texts in split)
    lengths = [min(len(texts[i]) for texts in split) for i in range(count)]
    return [[texts[i][: lengths[i]] for i in range(count)] for texts in split]


def distinct_n(texts: Sequence[Sequence[str]], n: int, groups: int = 20) -> Score:
    """Different n-grams of words as a share of all of them (arXiv:1510.03055), over all texts together.

    `texts` are lists of words (see `words`, `equal_words`); `Score.n` is their number. The interval is 1.96 standard errors
    of a delete-a-group jackknife over texts: a bootstrap would draw texts twice and so count their n-grams as repeated.
    """
    grams = [list(zip(*(text[i:] for i in range(n)), strict=False)) for text in texts]
    total = sum(map(len, grams))
    value = _distinct(grams)
    size = sum(map(len, texts))
    groups = min(groups, len(texts))
    if groups < 2 or total == 0:
        return Score(value=value, n=size)
    left_out = [_distinct([g for i, g in enumerate(grams) if i % groups != group]) for group in range(groups)]
    error = math.sqrt((groups - 1) * float(np.var(left_out)))
    return Score(value=value, low=max(value - 1.96 * error, 0), high=min(value + 1.96 * error, 1), n=size)


def _distinct(grams: Sequence[Sequence[tuple[str, ...]]]) -> float:
    total = sum(map(len, grams))
    return len({gram for text in grams for gram in text}) / total if total else 0.0


def repetition(texts: Sequence[Sequence[str]], n: int = 4, seed: int = 0) -> Score:
    """Share of n-grams of words that stand earlier in the same text already; `texts` are lists of words. Bootstrap over texts."""
    grams = [list(zip(*(text[i:] for i in range(n)), strict=False)) for text in texts]
    return share(np.array([len(g) - len(set(g)) for g in grams]), np.array([len(g) for g in grams]), seed=seed)


def shuffled_words(text: str, rng: np.random.Generator) -> str:
    """A text with the words of each line in another order, and whatever stands between them where it was. A word is what stands between
    white space, marks and all, or one character of a script without spaces."""
    return "".join(_shuffled_line(line, rng) for line in text.splitlines(keepends=True))


def _shuffled_line(line: str, rng: np.random.Generator) -> str:
    found = _UNIT.findall(line)
    order = iter(rng.permutation(len(found)))
    return _UNIT.sub(lambda match: found[next(order)], line)


def words_in_lines(text: str, least: int = 3) -> float:
    """The share of a text's words that stand in lines with so many or more, as `shuffled_words` counts them: others have no order."""
    counts = [len(_UNIT.findall(line)) for line in text.splitlines()]
    return sum(count for count in counts if count >= least) / max(sum(counts), 1)
