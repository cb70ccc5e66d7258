"""A text session on a card (card.py): prompts are read first, all but their last token; then every text takes a token a step.

The host is one step late: before it looks at the tokens that a step chose, the next step, which takes them from where they were chosen,
is on its way. A text that turns out to have ended has then read a token too much, which nobody sees. Where anything else than one more
token of the same texts is to happen (one joins, has a constraint, or outgrows its context) the host waits, for that step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from genwright.families.base import State
from genwright.families.transformer.card import BEFORE, Card, Flight, Row
from genwright.families.transformer.options import Opening
from genwright.families.transformer.session import TextSession, TextState
from genwright.networks.decoder import Decoder

PROMPTS = 8192
"""Tokens of prompts that one step reads."""
_FOR_PROMPTS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""Not cuDNN's attention, which plans anew for every length."""


@dataclass(frozen=True)
class _Ahead:
    """A step whose tokens have not been looked at, and the states that it was taken for, by slot."""

    flight: Flight
    states: dict[int, TextState]

    def has(self, state: TextState) -> bool:
        return state.slot is not None and self.states.get(state.slot) is state


class CardSession(TextSession):
    def __init__(
        self, network: Decoder, end_token: int | None, capacity: int, end_tokens: frozenset[int], opening: Opening
    ):
        super().__init__(network, end_token, capacity, end_tokens, opening)
        self.speculate = (
            False  # the step of a card is as long for one row as for many, but for the host's part, which is gone
        )
        self.cache.reserve(self.capacity, self.context)
        self.card = Card(self.network, self.cache, opening.compile)
        self._ahead: _Ahead | None = None

    @torch.inference_mode()
    def step(self, states: list[State]) -> None:
        running = [state for state in states if isinstance(state, TextState)]
        taken, self._ahead = self._ahead, None
        if taken is None:
            self._read_prompts(running)
            taken = self._launch([state for state in running if _writes(state)])
        if taken is not None:
            self._ahead = self._go_on(taken, running)
            self._receive(taken)

    def _read_prompts(self, states: Sequence[TextState]) -> None:
        """All that is unread but the last token, which is read by the step that chooses the next one."""
        left, chunks = PROMPTS, []
        for state in states:
            if not _writes(state) and left > 0 and self._settle(state, [before for before, _ in chunks]):
                chunks.append((state, state.unread[:-1][:left]))
                left -= len(chunks[-1][1])
        tokens: list[int] = []
        slots: list[int] = []
        positions: list[int] = []
        for state, chunk in chunks:
            seen = self.seen(state)
            assert state.slot is not None
            tokens += chunk
            slots += [state.slot] * len(chunk)
            positions += range(len(seen), len(seen) + len(chunk))
            seen += chunk
            state.unread = state.unread[len(chunk) :]
        if tokens:
            with sdpa_kernel(_FOR_PROMPTS):
                self.reader.read(tokens, slots, positions, [], self.cache)

    def _launch(self, states: Sequence[TextState]) -> _Ahead | None:
        """Read each text's unread token, or where that is on its way only the one that was chosen for it."""
        if not states:
            return None
        rows, by_slot = [], {}
        for state in states:
            seen = self.seen(state)
            assert state.slot is not None
            if state.choice.repetition_penalty != 1 and not state.remembered:
                self.card.remember(state.slot, seen)
                state.remembered = True
            said_V = None if state.constraint is None else state.constraint(state.generated)
            uniform = state.uniforms.draw() if state.choice.temperature > 0 else 0.0
            token = state.unread[0] if state.unread else BEFORE
            rows.append(Row(state.slot, token, len(seen), state.choice, uniform, said_V))
            seen += state.unread
            state.unread = []
            by_slot[state.slot] = state
        return _Ahead(self.card.launch(rows), by_slot)

    def _go_on(self, taken: _Ahead, running: Sequence[TextState]) -> _Ahead | None:
        """The step after one that is on its way, if it can be taken without knowing what that chose."""
        going = [state for state in running if len(state.generated) + 1 < state.max_tokens]
        if all(taken.has(s) and s.constraint is None and len(self.seen(s)) < self.context for s in going):
            return self._launch(going)
        return None

    def _receive(self, taken: _Ahead) -> None:
        tokens = taken.flight.tokens()
        for slot, state in taken.states.items():
            if state.slot != slot or state.done:
                continue  # it was given up, or its text had ended
            self._hand_out(state, tokens[slot])
            if state.done:
                continue
            seen = self.seen(state)
            if self._ahead is not None and self._ahead.has(state):
                seen += state.unread  # it is being read already
                state.unread = []
            elif len(seen) == self.context:
                self._slide(state)


def _writes(state: TextState) -> bool:
    return state.settled and len(state.unread) == 1
