"""Text on a card: a token of each text is read and the next one chosen without the host between, so that the host may be a step late.

What a step needs of the host is one small table (tokens, positions, settings, uniform numbers), what the host needs of it one number a
row. A text's row is its slot of the cache; a step takes the smallest block of slots, of a size and at a place that powers of two give,
that holds all texts at work, and reads the caches up to the next power of two: few shapes, each recorded as a graph (graphs.py).
All of it is plain torch and runs on any device; what a card adds is that it is replayed.

S slots, R rows of a block, V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from genwright.families.sampling import Choice, Settings, choose_on_device, penalised
from genwright.families.transformer.cache import SlotCache
from genwright.families.transformer.graphs import Graphs
from genwright.networks.decoder import Decoder
from genwright.networks.decoding import OneToken

_TOKEN, _POSITION, _PENALTY = 0, 1, 2
_FIELDS = 8
"""Of the table: those three, then what `Settings` has."""
_SHORTEST = 64
"""Tokens of the cache that a step reads at least."""
BEFORE = -1
"""In place of a token: the one that was chosen for this slot in the step before."""


@dataclass(frozen=True)
class Row:
    """What is read for one text: `token` at `position` of `slot`; the next is drawn by `uniform`. `said` is what a constraint says of
    the vocabulary, bool (which may come) or float (what is added to their logits)."""

    slot: int
    token: int
    position: int
    choice: Choice
    uniform: float
    said: Tensor | None = None


@dataclass(frozen=True)
class How:
    """What choosing takes, so that a step does no more than its rows ask for."""

    drawing: bool
    filtering: bool
    penalising: bool
    bound: bool

    @classmethod
    def of(cls, rows: Sequence[Row]) -> How:
        choices = [row.choice for row in rows]
        return cls(
            any(choice.temperature > 0 for choice in choices),
            any(choice.temperature > 0 and choice.filters for choice in choices),
            any(choice.repetition_penalty != 1 for choice in choices),
            any(row.said is not None for row in rows),
        )


class Flight:
    """Chosen tokens on their way to the host, by slot."""

    def __init__(self, chosen_S: Tensor, arrived: torch.cuda.Event | None):
        self._chosen_S, self._arrived = chosen_S, arrived

    def tokens(self) -> list[int]:
        """Waits for them. They must be asked for before the step after the next is launched, which writes where they lie."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._chosen_S.tolist()


class Card:
    """A network and its cache on a device, with what a step reads and writes in fixed places. The cache must not grow any more."""

    def __init__(self, network: Decoder, cache: SlotCache, fused: bool):
        device, slots, vocabulary = cache.both.device, cache.slots, network.config.vocab_size
        self._device, self._cache = device, cache
        self._one_token, self.graphs = OneToken(network, fused), Graphs(device)
        on_card = device.type == "cuda"
        # Two of each, since one step may be on its way to the card while the host reads the one before.
        self._given = [torch.zeros(_FIELDS, slots, dtype=torch.float64, pin_memory=on_card) for _ in range(2)]
        self._gotten = [torch.zeros(slots, dtype=torch.int64, pin_memory=on_card) for _ in range(2)]
        self._turn = 0
        self._table = torch.zeros(_FIELDS, slots, dtype=torch.float64, device=device)
        self._token = torch.zeros(slots, dtype=torch.int64, device=device)
        self._chosen = torch.zeros(slots, dtype=torch.int64, device=device)
        self._logits = torch.zeros(slots, vocabulary, device=device)
        self._said = torch.zeros(0, vocabulary, device=device)
        # One column more than the vocabulary: where idle rows point.
        self._met = torch.zeros(0, vocabulary + 1, dtype=torch.bool, device=device)

    def remember(self, slot: int, tokens: Sequence[int]) -> None:
        """The tokens that a repetition penalty makes less likely for a slot, from now on; those that a step reads are added by it."""
        if not len(self._met):
            self._met = self._met.new_zeros(self._cache.slots, self._met.shape[1])
        self._met[slot] = False
        self._met[slot, torch.tensor(list(tokens), device=self._device, dtype=torch.int64)] = True

    def launch(self, rows: Sequence[Row]) -> Flight:
        """Read the tokens and choose the next; all but the last flight must have been read."""
        self._turn = 1 - self._turn
        first, count = _block([row.slot for row in rows])
        length = min(_power(max(row.position for row in rows) + 1, _SHORTEST), self._cache.context)
        how = How.of(rows)
        self._send(rows, how)
        block = slice(first, min(first + count, self._cache.slots))
        self.graphs.run(("read", first, count, length), partial(self._read, block, length))
        self.graphs.run(("choose", first, count, how), partial(self._choose, block, how))
        gotten = self._gotten[self._turn]
        gotten.copy_(self._chosen, non_blocking=True)
        if self._device.type != "cuda":
            return Flight(gotten, None)
        arrived = torch.cuda.Event()
        arrived.record(torch.cuda.current_stream(self._device))
        return Flight(gotten, arrived)

    def _send(self, rows: Sequence[Row], how: How) -> None:
        given = self._given[self._turn]
        table = given.numpy()
        table[:] = 0
        table[_POSITION], table[_PENALTY] = self._cache.room, 1
        for row in rows:
            choice = row.choice
            table[:, row.slot] = (
                row.token,
                row.position,
                choice.repetition_penalty,
                choice.temperature,
                choice.top_k,
                choice.top_p,
                choice.min_p,
                row.uniform,
            )
        self._table.copy_(given, non_blocking=True)
        if not how.bound:
            return
        if not len(self._said):
            self._said = self._logits.new_zeros(self._logits.shape)
        self._said.zero_()
        for row in rows:
            if row.said is not None:
                said_V = row.said.to(self._device, non_blocking=True)
                if said_V.dtype == torch.bool:
                    said_V = torch.zeros(said_V.shape, device=self._device).masked_fill_(~said_V, -torch.inf)
                self._said[row.slot] = said_V

    def _read(self, block: slice, length: int) -> None:
        given_R, position_R = self._table[_TOKEN, block].long(), self._table[_POSITION, block].long()
        token_R = self._token[block]
        token_R.copy_(torch.where(given_R == BEFORE, self._chosen[block], given_R))
        self._one_token.read(token_R, position_R, self._cache.both[:, :, block], length, self._logits[block])

    def _choose(self, block: slice, how: How) -> None:
        logits_RV, table = self._logits[block], self._table[:, block]
        if how.penalising:
            met_RW = self._met[block]
            spare = met_RW.shape[1] - 1
            read_R = torch.where(table[_POSITION] < self._cache.room, self._token[block], spare)
            met_RW.scatter_(1, read_R[:, None], True)
            logits_RV = torch.where(
                met_RW[:, :spare], penalised(logits_RV, table[_PENALTY].float()[:, None]), logits_RV
            )
        if how.bound:
            logits_RV = logits_RV + self._said[block]
        settings = Settings(*table[_PENALTY + 1 :])
        self._chosen[block].copy_(choose_on_device(logits_RV, settings, how.drawing, how.filtering))


def _block(slots: Sequence[int]) -> tuple[int, int]:
    """The smallest block of 1, 2, 4, ... slots, beginning at a multiple of its size, that holds all of these: its first and its size."""
    count = 1
    while min(slots) // count != max(slots) // count:
        count *= 2
    return min(slots) // count * count, count


def _power(number: int, least: int) -> int:
    """The next power of two that is not below a number or `least`."""
    return max(least, 1 << (number - 1).bit_length())
