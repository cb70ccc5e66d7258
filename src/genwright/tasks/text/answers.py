"""Answers of a text task as they come: tokens of the engine to text, several outputs side by side."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence

from genwright.engine.engine import Engine
from genwright.families.base import Session, State
from genwright.media.base import Media
from genwright.tasks.text.stop import Stopper
from genwright.tokens.tokenizer import Tokenizer


def stream_texts(
    session: Session,
    engine: Engine,
    facts: Tokenizer,
    n: int,
    seed: int,
    start: Callable[[Session, int], State],
    stop: Sequence[str] = (),
) -> Iterator[Media]:
    """`n` answers that grow side by side, in pieces of whole characters; `start` begins the one of an index. Each ends before the
    first text of `stop`. The last piece says how many tokens were drawn, and why the answer ended: see `Media.finish`."""
    waiting = iter(range(n))
    running: dict[int, _Output] = {}
    try:
        while True:
            while len(running) < session.capacity and (index := next(waiting, None)) is not None:
                tokens = engine.submit(session, lambda s, index=index: start(s, index))
                running[index] = _Output(tokens, facts, stop)
            if not running:
                return
            for index, output in list(running.items()):
                text, final = output.advance()
                if final:
                    del running[index]
                if text or final:
                    told = {"seed": seed, "finish": output.finish, "tokens": output.tokens} if final else {}
                    yield Media("text", text, index, final, told)
    finally:
        for output in running.values():
            output.close()


class _Output:
    """One answer on its way: tokens from the engine to text."""

    def __init__(self, drawn: Generator[int, None, str], facts: Tokenizer, stop: Sequence[str]):
        self._drawn, self._stream, self._stopper = drawn, facts.stream(), Stopper(stop)
        self.tokens, self.finish = 0, ""

    def advance(self) -> tuple[str, bool]:
        """The next piece of text (often empty inside a character), and whether it was the last."""
        try:
            token = next(self._drawn)
        except StopIteration as end:
            self.finish = end.value
            return self._stopper.feed(self._stream.close()) + self._stopper.close(), True
        self.tokens += 1
        text = self._stopper.feed(self._stream.feed(token))
        if self._stopper.stopped:
            self.finish = "stop"
            self.close()
        return text, self._stopper.stopped

    def close(self) -> None:
        self._drawn.close()
