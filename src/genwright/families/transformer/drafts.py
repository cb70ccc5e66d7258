"""Speculative decoding by lookup: what followed the last time the text stood where it stands now.

The guesses are read together with the last token in one step, and each is kept as long as the sampler chooses just that token from
the logits before it, so the text is the one that would have come without them, sampled ones included. (Prompt lookup decoding,
https://github.com/apoorvumang/prompt-lookup-decoding; speculative decoding, arXiv:2211.17192.)
"""

from __future__ import annotations

import math

NGRAM = 3
"""Tokens that must be alike."""
LONGEST = 8
_FADE = 0.9
_HOPE = 0.01


class Drafts:
    """The guesses for one text. It guesses as far ahead as the chance of being right is worth what a guess costs."""

    def __init__(self) -> None:
        self._after: dict[tuple[int, ...], int] = {}
        """Where the text went on after an n-gram, the last time."""
        self._indexed = 0
        self._chance = 0.5
        """That a guess is right when those before it were, of late; unused it rises slowly, so that another try is made."""

    def guess(self, text: list[int], most: int, cost: float) -> list[int]:
        """What may follow `text`, at most `most` tokens. `cost`: of reading one token more, as a share of the step."""
        for place in range(max(self._indexed, NGRAM), len(text)):
            self._after[tuple(text[place - NGRAM : place])] = place
        self._indexed = max(self._indexed, len(text))
        place = self._after.get(tuple(text[-NGRAM:])) if len(text) >= NGRAM else None
        if place is None:
            return []
        # The k-th guess is right with chance^k, and saves a step then.
        chance = min(self._chance, 0.99)
        worth = LONGEST if cost <= 0 else int(math.log(min(cost, 1.0)) / math.log(chance)) if chance > 0 else 0
        if worth < 1:
            self._chance += _HOPE
            return []
        guess = text[place : place + min(most, worth, LONGEST)]
        while len(guess) < min(most, worth, LONGEST):  # a loop shorter than the guess goes round again
            guess.append(guess[len(guess) - (len(text) - place)])
        return guess

    def learn(self, guessed: int, right: int) -> None:
        for place in range(min(right + 1, guessed)):
            self._chance = _FADE * self._chance + (1 - _FADE) * (place < right)
