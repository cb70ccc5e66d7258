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
from genwright.hardware.device import has_bf16
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


def precision_of(asked: Precision, device: torch.device) -> Precision:
    """What was asked for; `auto` is bfloat16 on a card that has it, else float32."""
    if asked != "auto":
        return asked
    return "bfloat16" if device.type == "cuda" and has_bf16(device) else "float32"


def reader_of(network: Decoder, precision: Precision) -> Reader:
    """For a network whose weights are in that precision; int8 is made of float32. Raises RequestError where int8 can't be had."""
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
        self.row_cost = 0.75 if precision == "int8" else 0.15
        self._decoder = native_decoder.NativeDecoder(network, int8=precision == "int8")

    def read(
        self, tokens: list[int], slots: list[int], positions: list[int], wanted: list[int], cache: SlotCache
    ) -> Tensor:
        return self._decoder.read(tokens, slots, positions, wanted, cache.keys, cache.values)


class TorchReader:
    """Slots with one row are read in one batch, those with several in as few as their lengths allow."""

    exact, row_cost = False, 1.0

    def __init__(self, network: Decoder):
        self._network = network

    def read(
        self, tokens: list[int], slots: list[int], positions: list[int], wanted: list[int], cache: SlotCache
    ) -> Tensor:
        runs = [list(group) for _, group in groupby(range(len(tokens)), key=slots.__getitem__)]
        hidden: dict[int, Tensor] = {}
        for batch in _batches(runs):
            by_slot = {slots[rows[0]]: rows for rows in batch}
            view = cache.view(
                {slot: range(positions[rows[0]], positions[rows[-1]] + 1) for slot, rows in by_slot.items()}
            )
            token_BT = torch.zeros(view.positions.shape, dtype=torch.int64)
            places = {
                row: (line, place)
                for line, slot in enumerate(view.slots[:, 0].tolist())
                for place, row in enumerate(by_slot.get(slot, ()))
            }
            for row, place in places.items():
                token_BT[place] = tokens[row]
            hidden_BTD = self._network.hidden(token_BT.to(cache.both.device), view.rope_positions, view)
            hidden |= {row: hidden_BTD[places[row]] for row in wanted if row in places}
        if not wanted:
            return torch.empty(0, self._network.config.vocab_size)
        return self._network.logits(torch.stack([hidden[row] for row in wanted]))


def _batches(runs: list[list[int]]) -> list[list[list[int]]]:
    """Slots' rows that are read together: single ones, and of the others those that are padded to twice their length at most."""
    batches: list[list[list[int]]] = []
    for rows in sorted(runs, key=len):
        last = batches[-1][0] if batches else []
        if last and (len(last) == 1) == (len(rows) == 1) and len(rows) <= 2 * len(last):
            batches[-1].append(rows)
        else:
            batches.append([rows])
    return batches
