"""The engine turns the crank: it steps the states of open sessions in batches and hands out what they emit.

Continuous batching for text and micro-batching for pictures are the same loop: a request joins or leaves between two
steps, and states that share a batch key share a step. Without a server the iterator that `submit` returns turns the crank
itself. Each request has its own random stream, so its output does not depend on its company.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator
from typing import Any

from genwright.families.base import Session, State

Start = Callable[[Session], State]
"""Calls `session.start(...)`; run by the engine once there is room."""


class _Ticket:
    def __init__(self, session: Session, start: Start):
        self.session, self.start = session, start
        self.state: State | None = None


class Engine:
    """First come, first served within a session's capacity."""

    def __init__(self) -> None:
        self._waiting: deque[_Ticket] = deque()
        self._running: list[_Ticket] = []

    def submit(self, session: Session, start: Start) -> Generator[Any, None, str]:
        """Queue a request; iterate over what it emits. Closing the iterator early frees its slot before the next step.

        It returns why the request was done (`State.finish`), as the value of its StopIteration.
        """
        ticket = _Ticket(session, start)
        self._waiting.append(ticket)
        outputs = self._outputs(ticket)
        # A generator that never began would not run its `finally` when it is closed, and its request would stay for ever.
        next(outputs)
        return outputs

    def _outputs(self, ticket: _Ticket) -> Generator[Any, None, str]:
        try:
            yield None
            while True:
                while ticket.state is None or not (ticket.state.emitted or ticket.state.done or ticket.state.error):
                    self.turn()
                while ticket.state.emitted:
                    yield ticket.state.emitted.popleft()
                if ticket.state.error:
                    raise ticket.state.error
                if ticket.state.done:
                    return ticket.state.finish
        finally:
            self._leave(ticket)

    def turn(self) -> None:
        """Admit who fits, then step every batch of running states once."""
        self._admit()
        batches: dict[tuple[int, Any], list[_Ticket]] = {}
        for ticket in self._running:
            if ticket.state is not None and not ticket.state.done:
                batches.setdefault((id(ticket.session), ticket.state.batch_key), []).append(ticket)
        for tickets in batches.values():
            states = [t.state for t in tickets if t.state is not None]
            try:
                tickets[0].session.step(states)
            except Exception as error:  # one broken batch must not stop the others
                for state in states:
                    state.error = state.error or error
        for ticket in [t for t in self._running if t.state and (t.state.done or t.state.error)]:
            self._release(ticket)

    def _admit(self) -> None:
        busy = Counter(id(ticket.session) for ticket in self._running)
        for ticket in list(self._waiting):
            if busy[id(ticket.session)] >= ticket.session.capacity:
                continue
            self._waiting.remove(ticket)
            try:
                ticket.state = ticket.start(ticket.session)
            except Exception as error:
                ticket.state = State(error=error)
                continue
            self._running.append(ticket)
            busy[id(ticket.session)] += 1

    def _leave(self, ticket: _Ticket) -> None:
        if ticket in self._waiting:
            self._waiting.remove(ticket)
        self._release(ticket)

    def _release(self, ticket: _Ticket) -> None:
        if ticket in self._running:
            self._running.remove(ticket)
            if ticket.state is not None:
                ticket.session.release(ticket.state)
