"""Scores of program text that fills a hole: exact match, edit similarity, whether the whole parses. Strings in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein

from genwright.metrics.syntax import tree_of
from genwright.metrics.text import share
from genwright.scores import Score


def exact(fills: Sequence[str], originals: Sequence[str], seed: int = 0) -> Score:
    """Share of the fillings that are the original but for white space at their end."""
    hits = [fill.rstrip() == original.rstrip() for fill, original in zip(fills, originals, strict=True)]
    return share(np.array(hits), np.ones(len(hits)), seed)


def edit_similarity(fills: Sequence[str], originals: Sequence[str], seed: int = 0) -> Score:
    """Mean of 1 - Levenshtein distance / length of the longer one, as CodeXGLUE (arXiv:2102.04664) scores completed lines."""
    pairs = zip(fills, originals, strict=True)
    values = [Levenshtein.normalized_similarity(fill.strip(), original.strip()) for fill, original in pairs]
    return share(np.array(values), np.ones(len(values)), seed)


def parses(texts: Sequence[str], seed: int = 0) -> Score:
    """Share of whole Python files that parse with the filling in its place."""
    hits = [tree_of(text) is not None for text in texts]
    return share(np.array(hits), np.ones(len(hits)), seed)
