"""Finding the nearest of many texts by the words they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from genwright.metrics.text import words

_K1, _B = 1.2, 0.75


class Bm25:
    """Okapi BM25 over a collection of texts (Robertson and Zaragoza, 2009, eq. 3.15), with an inverted index."""

    def __init__(self, texts: Sequence[str]):
        counted = [Counter(words(text)) for text in texts]
        lengths = np.array([sum(counts.values()) for counts in counted], np.float64)
        self.size = len(texts)
        self._norm = _K1 * (1 - _B + _B * lengths / max(lengths.mean(), 1e-9)) if texts else lengths
        places: dict[str, list[int]] = {}
        times: dict[str, list[int]] = {}
        for place, counts in enumerate(counted):
            for word, count in counts.items():
                places.setdefault(word, []).append(place)
                times.setdefault(word, []).append(count)
        self._index = {w: (np.array(p, np.int64), np.array(times[w], np.float64)) for w, p in places.items()}

    def nearest(self, query: str) -> int:
        """The place of the best text; the first one of equals, and where nothing is shared."""
        scores = np.zeros(self.size)
        for word, weight in Counter(words(query)).items():
            if word not in self._index:
                continue
            place, times = self._index[word]
            idf = np.log1p((self.size - len(place) + 0.5) / (len(place) + 0.5))
            scores[place] += weight * idf * times * (_K1 + 1) / (times + self._norm[place])
        return int(scores.argmax())
