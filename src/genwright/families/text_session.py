"""The sampler of the autoregressive family: slots of a key/value cache, and the requests in them.

Prompts are read in chunks (`_prefill`), then all running requests advance by one token in one batch, whatever their lengths
(`_decode`).

When a text outgrows the context, the oldest quarter of what the model sees is dropped and the rest is read again, so
generation goes on as long as it is asked to; a prompt longer than the context keeps its end.

B batch, T tokens, D width, V vocabulary
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from genwright.families.base import State
from genwright.families.cache import SlotCache
from genwright.families.sampling import Choice, choose_tokens, penalise
from genwright.networks.decoder import Decoder

PREFILL_CHUNK = 512
"""Tokens of a prompt that one step reads, so that a long prompt does not keep the others waiting."""

Constraint = Callable[[Sequence[int]], Tensor]
"""From the tokens generated so far to the vocabulary: bool, which may come next, or float, what is added to their logits."""


@dataclass
class TextState(State):
    """A request at work. `unread` are the tokens that the cache does not hold yet; `emitted` holds token ids."""

    choice: Choice = field(default_factory=lambda: Choice(0.0, 0, 1.0))
    max_tokens: int = 0
    rng: torch.Generator = field(default_factory=torch.Generator)
    constraint: Constraint | None = None
    unread: list[int] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    """What the cache holds, oldest first."""
    generated: list[int] = field(default_factory=list)
    finish: str | None = None
    """Why it ended: "stop" (end of text) or "length" (max_tokens)."""


class TextSession:
    """Slots of a cache, and the requests in them. See the module's docstring for the context's end."""

    def __init__(
        self, network: Decoder, end_token: int | None, capacity: int, end_tokens: frozenset[int] = frozenset()
    ):
        self.network, self.end_token, self.capacity = network, end_token, capacity
        self.end_tokens = end_tokens | ({end_token} if end_token is not None else set())
        """Any of them ends an answer: a text's end, and where there are turns a turn's."""
        config, weight = network.config, network.embed_tokens.weight
        self.context = config.max_position_embeddings
        self.keep = max(self.context - max(self.context // 4, 1), 1)
        """Tokens that stay when the context is full."""
        self.cache = SlotCache(
            config.num_hidden_layers,
            capacity,
            config.num_key_value_heads,
            self.context,
            config.head_dim,
            weight.device,
            weight.dtype,
        )

    def start(
        self,
        condition: Sequence[int],
        rng: torch.Generator,
        controls: Any,
        constraint: Constraint | None = None,
    ) -> TextState:
        """`condition`: the prompt's token ids; empty begins a new text. `controls`: `Controls`. `rng`: a CPU generator."""
        prompt = [int(token) for token in condition] or ([self.end_token] if self.end_token is not None else [0])
        if len(prompt) >= self.context:
            prompt = prompt[-self.keep :]
        return TextState(
            batch_key="prefill",
            slot=self.cache.take(),
            cost_bytes=self.cache.slot_bytes,
            choice=Choice(
                controls.temperature, controls.top_k, controls.top_p, controls.min_p, controls.repetition_penalty
            ),
            max_tokens=controls.max_tokens,
            rng=rng,
            constraint=constraint,
            unread=prompt,
        )

    @torch.inference_mode()
    def step(self, states: list[State]) -> None:
        running = [state for state in states if isinstance(state, TextState)]
        if running[0].batch_key == "prefill":
            ready = [(state, logits) for state in running if (logits := self._prefill(state)) is not None]
            if ready:
                self._advance([state for state, _ in ready], torch.cat([logits for _, logits in ready]))
        else:
            self._advance(running, self._decode(running))

    def release(self, state: State) -> None:
        if state.slot is not None:
            self.cache.give_back(state.slot)
            state.slot = None

    def _prefill(self, state: TextState) -> Tensor | None:
        """Read a chunk of what is unread; the logits after the last token (1,V) once all is read."""
        assert state.slot is not None
        chunk, state.unread = state.unread[:PREFILL_CHUNK], state.unread[PREFILL_CHUNK:]
        view = self.cache.prefill_view(state.slot, len(chunk))
        token_1T = torch.tensor([chunk], device=self.cache.keys.device)
        hidden_1TD = self.network.hidden(token_1T, view.rope_positions, view)
        self.cache.lengths[state.slot] += len(chunk)
        state.seen += chunk
        return None if state.unread else self.network.logits(hidden_1TD[:, -1])

    def _decode(self, states: list[TextState]) -> Tensor:
        """Read the one unread token of each state; the logits after it (B,V), in the order of `states`."""
        slots = [state.slot for state in states if state.slot is not None]
        view = self.cache.decode_view(slots)
        tokens = [0] * len(view.positions)
        for state, slot in zip(states, slots, strict=True):
            tokens[slot - view.rows.start] = state.unread[0]
        token_B1 = torch.tensor(tokens, device=self.cache.keys.device)[:, None]
        hidden_B1D = self.network.hidden(token_B1, view.rope_positions, view)
        for state, slot in zip(states, slots, strict=True):
            self.cache.lengths[slot] += 1
            state.seen.append(state.unread.pop())
        return self.network.logits(hidden_B1D[[slot - view.rows.start for slot in slots], 0])

    def _advance(self, states: list[TextState], logits_BV: Tensor) -> None:
        """Choose each state's next token, hand it out, and see whether the text ends or must slide."""
        for row, state in enumerate(states):
            if state.choice.repetition_penalty != 1:
                logits_BV[row] = penalise(logits_BV[row], state.seen, state.choice.repetition_penalty)
            if state.constraint is not None:
                said_V = state.constraint(state.generated).to(logits_BV.device)
                if said_V.dtype == torch.bool:
                    logits_BV[row] = logits_BV[row].masked_fill(~said_V, -torch.inf)
                else:
                    logits_BV[row] += said_V
        tokens = choose_tokens(logits_BV, [s.choice for s in states], [s.rng for s in states])
        for state, token in zip(states, tokens, strict=True):
            state.batch_key = "decode"
            if token in self.end_tokens:
                state.done, state.finish = True, "stop"
                continue
            state.generated.append(token)
            state.emitted.append(token)
            state.unread = [token]
            if len(state.generated) >= state.max_tokens:
                state.done, state.finish = True, "length"
            elif len(state.seen) == self.context:
                self._slide(state)

    def _slide(self, state: TextState) -> None:
        """Forget the oldest part; what stays must be read anew, because its positions change."""
        assert state.slot is not None
        state.unread = [*state.seen, *state.unread][-self.keep :]
        state.seen = []
        self.cache.lengths[state.slot] = 0
        state.batch_key = "prefill"
