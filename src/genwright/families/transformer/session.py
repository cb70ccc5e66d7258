"""The sampler of the autoregressive family: slots of a key/value cache, and the requests in them.

A step reads one token of each request that is writing and a share of the prompts of those that begin, in one batch whatever their
lengths; requests join and leave between steps. A prompt that begins like what a slot of the cache holds is read from there on.
Where the reader is exact (reader.py), guesses of what follows are read along (drafts.py).

When a text outgrows the context, the oldest quarter of what the model sees is dropped and the rest is read again, so
generation goes on as long as it is asked to; a prompt longer than the context keeps its end.

B batch, T tokens, V vocabulary
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from genwright.families.base import State
from genwright.families.sampling import Choice, Uniforms, choose_tokens, penalise
from genwright.families.transformer.cache import SlotCache, common, token_bytes
from genwright.families.transformer.drafts import Drafts
from genwright.families.transformer.options import Opening
from genwright.families.transformer.reader import precision_of, reader_of
from genwright.networks.decoder import Decoder
from genwright.networks.decoding import in_dtype

PREFILL_CHUNK = 512
"""Tokens of prompts that one step reads, so that a long prompt does not keep the others waiting."""
CACHE_SHARE = 0.25
"""Of the memory there is, what the cache may grow to: a session takes no more requests at once than that holds."""
DRAFT_ROWS = 16
"""Rows up to which a step takes guesses along: beyond it their products cost more than they save."""

Constraint = Callable[[Sequence[int]], Tensor]
"""From the tokens generated so far to the vocabulary: bool, which may come next, or float, what is added to their logits."""


@dataclass
class TextState(State):
    """A request at work. `unread` are the tokens that the cache does not hold yet; `emitted` holds token ids."""

    choice: Choice = field(default_factory=lambda: Choice(0.0, 0, 1.0))
    max_tokens: int = 0
    uniforms: Uniforms = field(default_factory=lambda: Uniforms(torch.Generator()))
    constraint: Constraint | None = None
    unread: list[int] = field(default_factory=list)
    generated: list[int] = field(default_factory=list)
    guesses: list[int] = field(default_factory=list)
    """What may follow `unread`, read along with it in this step."""
    drafts: Drafts = field(default_factory=Drafts)
    settled: bool = False
    """Whether other slots have been searched for the beginning of its prompt."""
    remembered: bool = False
    """Whether a card knows the tokens that its repetition penalty counts (card.py)."""


class TextSession:
    """See the module's docstring. `capacity` is what was asked for, or what `CACHE_SHARE` of the memory holds."""

    def __init__(
        self,
        network: Decoder,
        end_token: int | None,
        capacity: int,
        end_tokens: frozenset[int],
        opening: Opening,
    ):
        """Raises RequestError where int8 is asked for and can't be had."""
        precision = precision_of(opening.weights, network.embed_tokens.weight.device)
        self.network = in_dtype(network, torch.bfloat16 if precision == "bfloat16" else torch.float32)
        self.end_token = end_token
        self.end_tokens = end_tokens | ({end_token} if end_token is not None else set())
        """Any of them ends an answer: a text's end, and where there are turns a turn's."""
        config, weight = network.config, self.network.embed_tokens.weight
        self.context = config.positions
        self.keep = max(self.context - max(self.context // 4, 1), 1)
        """Tokens that stay when the context is full."""
        self.reader = reader_of(self.network, precision)
        self.speculate = opening.speculate and self.reader.exact
        slot = (config.num_hidden_layers, config.num_key_value_heads, config.head_dim)
        affordable = int(
            memory_bytes(weight.device) * CACHE_SHARE / (token_bytes(*slot, weight.dtype) * (self.context + 1))
        )
        self.capacity = max(1, min(capacity, affordable))
        layers, kv_heads, head_dim = slot
        self.cache = SlotCache(layers, self.capacity, kv_heads, self.context, head_dim, weight.device, weight.dtype)

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
        slot = self.cache.take(prompt[:-1])  # the last token is read in any case, for the logits after it
        return TextState(
            batch_key="text",
            slot=slot,
            cost_bytes=self.cache.slot_bytes,
            choice=Choice(
                controls.temperature, controls.top_k, controls.top_p, controls.min_p, controls.repetition_penalty
            ),
            max_tokens=controls.max_tokens,
            uniforms=Uniforms(rng),
            constraint=constraint,
            unread=prompt[len(self.cache.tokens[slot]) :],
        )

    def release(self, state: State) -> None:
        if state.slot is not None:
            self.cache.give_back(state.slot)
            state.slot = None

    def seen(self, state: TextState) -> list[int]:
        """What the cache holds of a state's text, oldest first."""
        assert state.slot is not None
        return self.cache.tokens[state.slot]

    @torch.inference_mode()
    def step(self, states: list[State]) -> None:
        running = [state for state in states if isinstance(state, TextState)]
        chunks = self._chunks(running)
        tokens: list[int] = []
        slots: list[int] = []
        positions: list[int] = []
        wanted: list[int] = []
        asking: list[TextState] = []
        for state, chunk in chunks:
            seen = self.seen(state)
            assert state.slot is not None
            read = [*chunk, *state.guesses]
            positions += range(len(seen), len(seen) + len(read))
            tokens += read
            slots += [state.slot] * len(read)
            seen += chunk
            state.unread = state.unread[len(chunk) :]
            if not state.unread:
                asking.append(state)
                wanted += range(len(tokens) - 1 - len(state.guesses), len(tokens))
        self.cache.reserve(0, max(positions) + 1)
        logits_BV = self.reader.read(tokens, slots, positions, wanted, self.cache)
        self._advance(asking, logits_BV)

    def _chunks(self, states: list[TextState]) -> list[tuple[TextState, list[int]]]:
        """What this step reads: the one unread token of those that write, and prompts as far as the budget goes."""
        writing = [state for state in states if state.settled and len(state.unread) == 1]
        beginning = [state for state in states if not (state.settled and len(state.unread) == 1)]
        chunks = [(state, state.unread[:1]) for state in writing]
        budget, ahead = PREFILL_CHUNK, []
        for state in beginning:
            if budget > 0 and self._settle(state, ahead):
                chunk = state.unread[:budget]
                budget -= len(chunk)
                chunks.append((state, chunk))
                ahead.append(state)
        if self.speculate and not beginning:
            share, one = DRAFT_ROWS // len(writing) - 1, self.reader.row_cost
            cost = len(writing) * one / (1 + (len(writing) - 1) * one)
            for state in writing:
                seen = self.seen(state)
                most = min(share, self.context - len(seen) - 1, state.max_tokens - len(state.generated) - 1)
                state.guesses = state.drafts.guess([*seen, *state.unread], most, cost) if most > 0 else []
        return chunks

    def _settle(self, state: TextState, ahead: list[TextState]) -> bool:
        """Take over what another slot holds of the prompt, once. False: wait, since one ahead is about to read more of it."""
        if state.settled:
            return True
        assert state.slot is not None
        seen = self.seen(state)
        text = [*seen, *state.unread]
        coming = max((common([*self.seen(other), *other.unread], text[:-1]) for other in ahead), default=0)
        source, held = self.cache.nearest(state.slot, text[:-1])
        if coming > max(held, len(seen)):
            return False
        if held > len(seen):
            self.cache.copy(source, state.slot, held)
            state.unread = text[held:]
        state.settled = True
        return True

    def _advance(self, states: list[TextState], logits_BV: Tensor) -> None:
        """Choose each state's next token and hand it out; as long as that is what was guessed, the next one too."""
        place, waiting = 0, []
        for state in states:
            waiting.append((state, place, list(state.guesses)))
            place += 1 + len(state.guesses)
        depth = 0
        while waiting:
            logits = logits_BV if depth == 0 and place == len(waiting) else logits_BV[[row for _, row, _ in waiting]]
            tokens = self._choose([state for state, _, _ in waiting], logits)
            following = []
            for (state, row, guesses), token in zip(waiting, tokens, strict=True):
                self._hand_out(state, token)
                if not state.done and depth < len(guesses) and guesses[depth] == token:
                    self.seen(state).append(token)  # it has been read already
                    state.unread = []
                    following.append((state, row + 1, guesses))
                elif guesses:
                    state.drafts.learn(len(guesses), depth)
            waiting, depth = following, depth + 1
        for state in states:
            state.guesses = []
            if not state.done and len(self.seen(state)) == self.context:
                self._slide(state)

    def _choose(self, states: list[TextState], logits_BV: Tensor) -> list[int]:
        for row, state in enumerate(states):
            if state.choice.repetition_penalty != 1:
                logits_BV[row] = penalise(logits_BV[row], self.seen(state), state.choice.repetition_penalty)
            if state.constraint is not None:
                said_V = state.constraint(state.generated).to(logits_BV.device)
                if said_V.dtype == torch.bool:
                    logits_BV[row] = logits_BV[row].masked_fill(~said_V, -torch.inf)
                else:
                    logits_BV[row] += said_V
        return choose_tokens(logits_BV, [s.choice for s in states], [s.uniforms for s in states])

    def _hand_out(self, state: TextState, token: int) -> None:
        """Emit a token, and see whether the text ends."""
        if token in self.end_tokens:
            state.done, state.finish = True, "end"
            return
        state.generated.append(token)
        state.emitted.append(token)
        state.unread = [token]
        if len(state.generated) >= state.max_tokens:
            state.done, state.finish = True, "length"

    def _slide(self, state: TextState) -> None:
        """Forget the oldest part; what stays must be read anew, because its positions change."""
        seen = self.seen(state)
        state.unread = [*seen, *state.unread][-self.keep :]
        seen.clear()
        state.drafts, state.remembered = Drafts(), False


def memory_bytes(device: torch.device) -> int:
    """Memory of a device: what is free on a GPU, what there is of the machine's."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 8 * 2**30
