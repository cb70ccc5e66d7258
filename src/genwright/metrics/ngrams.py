"""An n-gram language model with interpolated modified Kneser-Ney smoothing: what a text model must beat.

Follows Chen and Goodman, "An empirical study of smoothing techniques for language modeling" (1999), equations 27 to 30. Every
probability is a real one: for any context they add up to one over the vocabulary, so bits per byte compare with a network's.
All counting is sorting in numpy; an n-gram of any order is one integer, (number of its context) * vocabulary + last token.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class _Order:
    """The n-grams of one order, sorted by key, so that those of a context stand together."""

    keys: np.ndarray
    cumulative: np.ndarray
    """Running sum of the discounted counts, one longer than `keys`."""
    counts: np.ndarray
    discounted: np.ndarray
    starts: np.ndarray
    """Where the n-grams of each context begin; one longer than the number of contexts."""
    totals: np.ndarray
    """Counts of each context."""
    back_off: np.ndarray
    """Share of each context's probability that goes to the next lower order."""


class KneserNey:
    """`order`-grams of a token stream; contexts may reach across whatever stands in the stream."""

    def __init__(self, tokens: np.ndarray, vocabulary: int, order: int = 5):
        tokens = np.asarray(tokens, dtype=np.int64)
        if len(tokens) < order:
            raise ValueError(f"{len(tokens)} tokens are too few for {order}-grams")
        self.vocabulary, self.order = vocabulary, order
        self._orders: list[_Order] = []
        # For each order: the sorted keys, how often each occurs, and the number of the n-gram that ends at each position.
        keys, uses, counts = [], [], []
        context = np.zeros(len(tokens), dtype=np.int64)
        for n in range(1, order + 1):
            key = context[: len(tokens) - n + 1] * vocabulary + tokens[n - 1 :]
            unique, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
            keys.append(unique)
            uses.append(inverse)
            counts.append(count)
            context = inverse
        for n in range(1, order + 1):
            count = counts[n - 1] if n == order else _continuations(uses[n - 1], uses[n], len(keys[n - 1]))
            contexts = len(keys[n - 2]) if n > 1 else 1
            self._orders.append(_build(keys[n - 1], count, vocabulary, contexts))

    def log_probabilities(self, tokens: np.ndarray) -> np.ndarray:
        """Nats of each token given those before it in `tokens` (the first ones have shorter contexts)."""
        tokens = np.asarray(tokens, dtype=np.int64)
        probability = np.full(len(tokens), 1 / self.vocabulary)
        context = np.zeros(len(tokens), dtype=np.int64)
        for n, grams in enumerate(self._orders, start=1):
            places = np.arange(n - 1, len(tokens))
            known = places[context[places] >= 0]
            total = grams.totals[context[known]]
            known, total = known[total > 0], total[total > 0]
            index = _find(grams.keys, context[known] * self.vocabulary + tokens[known])
            mass = np.where(index >= 0, grams.discounted[index], 0.0)
            probability[known] = mass / total + grams.back_off[context[known]] * probability[known]
            context = self._lengthen(grams, context, tokens)
        return np.log(probability)

    def distribution(self, context: np.ndarray) -> np.ndarray:
        """Probabilities of all tokens after a context (its last `order` - 1 tokens count)."""
        probability = np.full(self.vocabulary, 1 / self.vocabulary)
        for number, grams in zip(self._context_numbers(np.asarray(context, np.int64)[None]), self._orders, strict=True):
            row = int(number[0])
            if row < 0 or grams.totals[row] == 0:
                continue
            span = slice(grams.starts[row], grams.starts[row + 1])
            probability *= grams.back_off[row]
            probability[grams.keys[span] % self.vocabulary] += grams.discounted[span] / grams.totals[row]
        return probability

    def generate(self, prompts: list[np.ndarray], length: int, seed: int) -> np.ndarray:
        """Continuations of some prompts, int64[prompts, length], each token drawn from the model's own distribution.

        An interpolated model is a mixture of its orders, so a draw goes down from the highest order: with a context's
        discounted mass it takes one of the tokens seen there, else it asks the next order.
        """
        rng = np.random.default_rng(seed)
        history = np.full((len(prompts), self.order - 1), -1, dtype=np.int64)
        for row, prompt in enumerate(prompts):
            tail = np.asarray(prompt, dtype=np.int64)[-(self.order - 1) :]
            history[row, self.order - 1 - len(tail) :] = tail
        out = np.empty((len(prompts), length), dtype=np.int64)
        for step in range(length):
            out[:, step] = self._draw(history, rng)
            history = np.concatenate([history[:, 1:], out[:, step : step + 1]], axis=1)
        return out

    def _draw(self, history: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        numbers = self._context_numbers(history)
        chosen = np.full(len(history), -1, dtype=np.int64)
        for number, grams in zip(reversed(numbers), reversed(self._orders), strict=True):
            open_rows = np.flatnonzero((chosen < 0) & (number >= 0))
            context = number[open_rows]
            low, high = grams.cumulative[grams.starts[context]], grams.cumulative[grams.starts[context + 1]]
            target = low + rng.random(len(open_rows)) * grams.totals[context]
            hit = target < high
            index = np.searchsorted(grams.cumulative, target[hit], side="right") - 1
            chosen[open_rows[hit]] = grams.keys[index] % self.vocabulary
        missing = chosen < 0
        chosen[missing] = rng.integers(self.vocabulary, size=missing.sum())
        return chosen

    def _context_numbers(self, history: np.ndarray) -> list[np.ndarray]:
        """For each order, the number of each row's context (its last n - 1 tokens), -1 where it was never seen."""
        numbers = [np.zeros(len(history), dtype=np.int64)]
        for n in range(1, self.order):
            if n > history.shape[1]:
                numbers.append(np.full(len(history), -1, dtype=np.int64))
                continue
            number = np.zeros(len(history), dtype=np.int64)
            for place, grams in enumerate(self._orders[:n]):
                token = history[:, history.shape[1] - n + place]
                known = (number >= 0) & (token >= 0)
                found = _find(grams.keys, np.where(known, number * self.vocabulary + token, -1))
                number = np.where(known, found, -1)
            numbers.append(number)
        return numbers

    def _lengthen(self, grams: _Order, context: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """From the numbers of the contexts of one order to those of the next, by position: the n-gram that ends just before."""
        found = np.where(context >= 0, _find(grams.keys, context * self.vocabulary + tokens), -1)
        return np.concatenate([[-1], found[:-1]])


def _continuations(suffix_of: np.ndarray, longer: np.ndarray, size: int) -> np.ndarray:
    """How many different tokens stand before each n-gram: the distinct (n+1)-grams that end with it."""
    _, first = np.unique(longer, return_index=True)
    return np.bincount(suffix_of[first + 1], minlength=size)


def _build(keys: np.ndarray, counts: np.ndarray, vocabulary: int, contexts: int) -> _Order:
    # An n-gram at the very start of the stream has nothing before it, and so may have no continuation count.
    counts = np.asarray(counts)
    context = keys // vocabulary
    starts = np.searchsorted(context, np.arange(contexts + 1))
    totals = np.bincount(context, weights=counts, minlength=contexts)
    discount = _discounts(counts)
    off = discount[np.minimum(counts, 3)]
    discounted = counts - off
    taken = np.bincount(context, weights=off, minlength=contexts)
    back_off = np.divide(taken, totals, out=np.ones(contexts), where=totals > 0)
    cumulative = np.concatenate([[0.0], np.cumsum(discounted)])
    return _Order(keys, cumulative, counts, discounted, starts, totals, back_off)


def _discounts(counts: np.ndarray) -> np.ndarray:
    """D for counts 0, 1, 2 and 3 or more (Chen and Goodman, equation 26), kept between a tenth and all of the count."""
    n1, n2, n3, n4 = (float((counts == k).sum()) for k in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2) if n1 + n2 else 0.5
    raw = [
        1 - 2 * y * n2 / n1 if n1 else 0.5,
        2 - 3 * y * n3 / n2 if n2 else 1.0,
        3 - 4 * y * n4 / n3 if n3 else 1.5,
    ]
    return np.array([0.0, *(min(max(d, 0.1), 0.95 * (k + 1)) for k, d in enumerate(raw))])


def _find(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each wanted key stands, -1 where it does not."""
    index = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[index] == wanted, index, -1)
