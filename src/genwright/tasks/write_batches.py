"""Windows of a token stream: what a text model learns from and is measured on."""

from __future__ import annotations

from math import gcd

import numpy as np
import torch

from genwright.families.base import Batch

_GOLDEN = (5**0.5 - 1) / 2


class Windows:
    """`Batches` of `context` + 1 tokens, a pure function of the position.

    Training: each pass cuts the stream, taken as a ring, into windows that touch, from an offset of the pass's own, and visits
    them in an order of the pass's own. So a pass reads every token once (but for less than one window), and no token always
    stands at the start of a window.

    Held-out: the windows that the stream is cut into from its start, the last one padded and masked; a pass predicts each
    token exactly once, the first from an end-of-text token. Their order is fixed and strides over the stream, so that the
    first few, which are measured where a budget is short, come from all of it.
    """

    def __init__(self, tokens: np.ndarray, context: int, end_token: int, seed: int, training: bool):
        if len(tokens) == 0:
            raise ValueError("no tokens to learn from")
        self.tokens, self.context, self.end_token = tokens, context, end_token
        self.seed, self.training = seed, training
        whole = len(tokens) // context if training else -(-len(tokens) // context)
        self.pass_examples = max(whole, 1)
        self._stride = _coprime(round(self.pass_examples * _GOLDEN), self.pass_examples)
        self._pass: tuple[int, int, np.ndarray] | None = None

    def batch(self, position: int, size: int) -> Batch:
        """ "tokens" int64[size, context + 1]; held-out also "mask" float32[size, context]."""
        if not self.training:
            return self._held_out(position, size)
        starts = np.array([self._start(slot) for slot in range(position, position + size)])
        places = (starts[:, None] + np.arange(self.context + 1)) % len(self.tokens)
        return {"tokens": torch.from_numpy(self.tokens[places].astype(np.int64))}

    def _start(self, slot: int) -> int:
        number, place = divmod(slot, self.pass_examples)
        if self._pass is None or self._pass[0] != number:
            rng = np.random.default_rng([self.seed, 11, number])
            self._pass = (number, int(rng.integers(len(self.tokens))), rng.permutation(self.pass_examples))
        _, offset, order = self._pass
        return offset + int(order[place]) * self.context

    def _held_out(self, position: int, size: int) -> Batch:
        tokens = np.full((size, self.context + 1), self.end_token, dtype=np.int64)
        mask = np.zeros((size, self.context), dtype=np.float32)
        for row in range(size):
            start = (position + row) * self._stride % self.pass_examples * self.context
            piece = self.tokens[max(start - 1, 0) : start + self.context]
            first = 1 if start == 0 else 0
            tokens[row, first : first + len(piece)] = piece
            mask[row, : len(piece) + first - 1] = 1
        return {"tokens": torch.from_numpy(tokens), "mask": torch.from_numpy(mask)}


def _coprime(near: int, number: int) -> int:
    """The first integer from `near` on that has no divisor in common with `number`, so that its multiples reach everything."""
    return next(stride for stride in range(max(near, 1), near + number + 2) if gcd(stride, number) == 1)
