"""Speculative decoding by lookup: what followed the last time the text stood where it stands now.

The guesses are read together with the last token in one step, and each is kept as long as the sampler chooses just that token from
the logits before it, so the text is the one that would have come without them, sampled ones included. (Prompt lookup decoding,
https://github.com/apoorvumang/prompt-lookup-decoding; speculative decoding, arXiv:2211.17192.)
"""

from __future__ import annotations

NGRAM = 3
"""Tokens that must be alike."""
LONGEST = 8
_FADE = 0.8
_HOPE = 0.02


class Drafts:
    """The guesses for one text. How many it makes follows how many of the last ones were right."""

    def __init__(self) -> None:
        self._after: dict[tuple[int, ...], int] = {}
        """Where the text went on after an n-gram, the last time."""
        self._indexed = 0
        self._right = 0.5
        """Share of guesses that were right, of late; unused it rises slowly, so that another try is made."""

    def guess(self, text: list[int], most: int) -> list[int]:
        """What may follow `text`, at most `most` tokens."""
        for place in range(max(self._indexed, NGRAM), len(text)):
            self._after[tuple(text[place - NGRAM : place])] = place
        self._indexed = max(self._indexed, len(text))
        count = min(most, int(LONGEST * self._right + 0.5))
        place = self._after.get(tuple(text[-NGRAM:])) if len(text) >= NGRAM else None
        if place is None:
            return []
        if count < 2:
            self._right += _HOPE
            return []
        return text[place : place + count]

    def learn(self, guessed: int, right: int) -> None:
        if guessed:
            self._right = _FADE * self._right + (1 - _FADE) * right / guessed
