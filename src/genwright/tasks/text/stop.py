"""Stop strings: a text that streams is cut exactly before the first of them, wherever the pieces it comes in begin and end."""

from __future__ import annotations

from collections.abc import Sequence


class Stopper:
    """Pieces in, pieces out; what might be the beginning of a stop string is held back until it is known."""

    def __init__(self, stop: Sequence[str]):
        self.stop = [text for text in stop if text]
        self.stopped = False
        self._held = ""
        self._longest = max(map(len, self.stop), default=0)

    def feed(self, piece: str) -> str:
        """What may be shown now. Once a stop string is there, `stopped` is True and nothing more comes out."""
        if not self.stop or self.stopped:
            return "" if self.stopped else piece
        text = self._held + piece
        found = [place for stop in self.stop if (place := text.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        keep = self._may_begin(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def close(self) -> str:
        """What was held back, when the text has ended by itself."""
        held, self._held = self._held, ""
        return held

    def _may_begin(self, text: str) -> int:
        """How long an end of the text is that a stop string begins with."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[len(text) - length :]
            if any(stop.startswith(tail) for stop in self.stop):
                return length
        return 0
