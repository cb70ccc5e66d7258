"""How a sampler reads tokens into its cache: by torch on any device, or by the compiled decoder on the processor.

Both take rows: a token, the slot it belongs to, and its position there; rows of one slot stand together and in order.

B rows read at once, W rows whose logits are wanted, V vocabulary
"""

from __future__ import annotations

from itertools import groupby
from typing import Protocol

import torch
from torch import Tensor

from genwright.errors import RequestError
from genwright.families.transformer.cache import SlotCache
from genwright.families.transformer.options import Precision
from genwright.networks.decoder import Decoder
from genwright.networks.native import decoder as native_decoder


class Reader(Protocol):
    exact: bool
    """Whether logits are the same bit by bit however rows are put together, so that several tokens of a text may be tried at once."""
    row_cost: float
    """What one more row adds to the time of a step with a single one, as a share of it."""

    def read(
        self, tokens: list[int], slots: list[int], positions: list[int], wanted: list[int], cache: SlotCache
    ) -> Tensor:
        """Logits after the rows `wanted`, W,V."""
        ...


def reader_of(network: Decoder, precision: Precision) -> Reader:
    """Raises RequestError where int8 is asked for and can't be had."""
    if native_decoder.available(network):
        return NativeReader(network, precision)
    if precision == "int8":
        raise RequestError(
            "--weights int8: needs a processor and a C++ compiler with OpenMP; install g++, or leave it out."
        )
    return TorchReader(network)


class NativeReader:
    exact = True

    def __init__(self, network: Decoder, precision: Precision):
        # Measured with AVX2: a single row waits for memory, of which 8-bit weights need little, so that another row costs them more.
        self.row_cost = 0.15 if precision == "float32" else 0.75
        self._decoder = native_decoder.NativeDecoder(network, int8=precision == "int8")

    def read(
        self, tokens: list[int], slots: list[int], positions: list[int], wanted: list[int], cache: SlotCache
    ) -> Tensor:
        return self._decoder.read(tokens, slots, positions, wanted, cache.keys, cache.values)


class TorchReader:
    """Slots with one row are read in one batch, each with several on its own."""

    exact, row_cost = False, 1.0

    def __init__(self, network: Decoder):
        self._network = network

    def read(
        self, tokens: list[int], slots: list[int], positions: list[int], wanted: list[int], cache: SlotCache
    ) -> Tensor:
        hidden: dict[int, Tensor] = {}
        single: list[int] = []
        for _, group in groupby(range(len(tokens)), key=slots.__getitem__):
            rows = list(group)
            if len(rows) == 1:
                single += rows
                continue
            view = cache.prefill_view(slots[rows[0]], positions[rows[0]], len(rows))
            token_1T = torch.tensor([[tokens[row] for row in rows]], device=cache.keys.device)
            hidden_1TD = self._network.hidden(token_1T, view.rope_positions, view)
            hidden |= {row: hidden_1TD[0, place] for place, row in enumerate(rows)}
        if single:
            view = cache.decode_view({slots[row]: positions[row] for row in single})
            token_B = [0] * len(view.positions)
            for row in single:
                token_B[slots[row] - view.rows.start] = tokens[row]
            token_B1 = torch.tensor(token_B, device=cache.keys.device)[:, None]
            hidden_B1D = self._network.hidden(token_B1, view.rope_positions, view)
            hidden |= {row: hidden_B1D[slots[row] - view.rows.start, 0] for row in single}
        if not wanted:
            return torch.empty(0, self._network.config.vocab_size)
        return self._network.logits(torch.stack([hidden[row] for row in wanted]))
