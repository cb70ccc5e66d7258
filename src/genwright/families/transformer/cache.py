"""The key/value cache of an autoregressive sampler: slots, owned by a session, and what each holds.

A slot is a row of the buffers and belongs to one request at a time. What it holds stays when the request leaves, until the slot is
needed: a request whose text begins alike takes it up there (the next turn of a conversation), or copies it from a request that is
still running. The buffers begin small and double, in slots and in tokens, up to the capacity and the context.

The decoder sees a `CacheView`: some rows, where their new tokens go, and who may see whom.

B rows of a view, T new tokens, S tokens attended to, K key/value heads, H head width
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_ROUND_UP = 64
"""Attention reads the cache up to the longest row, rounded up to this, so that few shapes occur."""
_FIRST_ROOM = 256
"""Tokens that a slot has room for at first."""


class SlotCache:
    """Keys and values of all layers: a buffer of keys and values (2), layers, slots, heads, tokens, head width."""

    def __init__(
        self,
        layers: int,
        slots: int,
        kv_heads: int,
        context: int,
        head_dim: int,
        device: torch.device,
        dtype: torch.dtype,
    ):
        self.slots, self.context = slots, context
        self._layers, self._kv_heads, self._head_dim = layers, kv_heads, head_dim
        self.room = min(context, _FIRST_ROOM)
        """Tokens that fit into a slot now."""
        self.both = self._buffer(1, self.room, device, dtype)
        self.tokens: list[list[int]] = [[] for _ in range(slots)]
        """The token ids that each slot holds, oldest first."""
        self._free = list(range(slots))
        """Longest free first."""

    def _buffer(self, slots: int, room: int, device: torch.device, dtype: torch.dtype) -> Tensor:
        # One column more than there is room: rows that sit a step out write there. Zeros, because a masked NaN is still a NaN.
        return torch.zeros(2, self._layers, slots, self._kv_heads, room + 1, self._head_dim, device=device, dtype=dtype)

    @property
    def keys(self) -> Tensor:
        return self.both[0]

    @property
    def values(self) -> Tensor:
        return self.both[1]

    @property
    def slot_bytes(self) -> int:
        """Of a slot with a whole context in it."""
        return token_bytes(self._layers, self._kv_heads, self._head_dim, self.both.dtype) * (self.context + 1)

    def take(self, prompt: Sequence[int] = ()) -> int:
        """A free slot: the one that holds the longest beginning of `prompt`, which stays in it; else an empty one; else the one that
        has been free for longest. Raises IndexError when none is free."""
        if not self._free:
            raise IndexError("every slot of the cache is taken")
        alike = {slot: common(self.tokens[slot], prompt) for slot in self._free}
        slot = max(self._free, key=lambda slot: (alike[slot], not self.tokens[slot]))
        if not alike[slot] and not self.tokens[slot]:
            slot = min(slot for slot in self._free if not self.tokens[slot])  # low ones keep the buffers small
        self._free.remove(slot)
        del self.tokens[slot][alike[slot] :]
        self.reserve(slot + 1, 0)
        return slot

    def give_back(self, slot: int) -> None:
        if slot in self._free:
            raise ValueError(f"slot {slot} is free already")
        self._free.append(slot)

    def nearest(self, slot: int, wanted: Sequence[int]) -> tuple[int, int]:
        """The other slot that holds the longest beginning of `wanted`, and how much of it."""
        found = ((common(held, wanted), other) for other, held in enumerate(self.tokens) if other != slot and held)
        count, other = max(found, default=(0, slot))
        return other, count

    def copy(self, source: int, target: int, count: int) -> None:
        """Let `target` hold the first `count` tokens of `source`, and nothing else."""
        start = common(self.tokens[target], self.tokens[source][:count])
        self.both[:, :, target, :, start:count] = self.both[:, :, source, :, start:count]
        self.tokens[target] = self.tokens[source][:count]

    def reserve(self, slots: int, room: int) -> None:
        """Make room for so many slots and tokens in each, by doubling what there is. Raises ValueError beyond the context."""
        if room > self.context:
            raise ValueError(f"{room} tokens do not fit a context of {self.context}")
        held_slots, held_room = self.both.shape[2], self.room
        if slots <= held_slots and room <= held_room:
            return
        new_slots = held_slots if slots <= held_slots else min(self.slots, max(slots, 2 * held_slots))
        new_room = held_room if room <= held_room else min(self.context, max(room, 2 * held_room))
        grown = self._buffer(new_slots, new_room, self.both.device, self.both.dtype)
        grown[:, :, :held_slots, :, :held_room] = self.both[..., :held_room, :]
        self.both = grown
        self.room = new_room

    def view(self, places: dict[int, range]) -> CacheView:
        """The next tokens of some slots, at their places. Where each has one, the view holds all rows from the first to the last slot,
        so that nothing is copied, and the others idle; else the slots that are named, in order, shorter ones padded at their end."""
        slots, longest = sorted(places), max(map(len, places.values()))
        if longest == 1:
            slots = list(range(slots[0], slots[-1] + 1))
        device = self.both.device
        # What idles or pads is written into the spare column.
        padded = [[*(of := places.get(slot, range(0))), *[self.room] * (longest - len(of))] for slot in slots]
        position_BT = torch.tensor(padded, device=device)
        stop = max(place.stop for place in places.values())
        stop = min(-(-stop // _ROUND_UP) * _ROUND_UP, self.room + 1)
        mask_BTS = torch.arange(stop, device=device) <= position_BT[..., None]
        side_by_side = slots[-1] - slots[0] + 1 == len(slots)
        rows = slice(slots[0], slots[-1] + 1) if side_by_side else torch.tensor(slots, device=device)
        return CacheView(self, rows, torch.tensor(slots, device=device)[:, None], position_BT, stop, mask_BTS[:, None])


@dataclass
class CacheView:
    """What one forward pass of the decoder sees of the cache; a `KeyValueCache` of networks/decoder.py."""

    cache: SlotCache
    rows: slice | Tensor
    """The slots that are read; a slice where they lie side by side."""
    slots: Tensor
    """The same, int64[B, 1]."""
    positions: Tensor
    """Where each new token goes, int64[B, T]."""
    stop: int
    mask: Tensor

    def update(self, layer: int, k_BKTH: Tensor, v_BKTH: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        seen = []
        for buffer, new_BKTH in ((self.cache.keys, k_BKTH), (self.cache.values, v_BKTH)):
            layer_SKTH = buffer[layer]
            layer_SKTH[self.slots, :, self.positions] = new_BKTH.transpose(1, 2).to(buffer.dtype)
            seen.append(layer_SKTH[:, :, : self.stop][self.rows])
        return seen[0], seen[1], self.mask

    @property
    def rope_positions(self) -> Tensor:
        """Positions for the rotary tables, which end where the context ends."""
        return self.positions.clamp(max=self.cache.context - 1)


def token_bytes(layers: int, kv_heads: int, head_dim: int, dtype: torch.dtype) -> int:
    """Bytes of the keys and values of one token."""
    return 2 * layers * kv_heads * head_dim * dtype.itemsize


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two texts have in common at their beginning."""
    limit = min(len(a), len(b))
    return next((place for place, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), limit)
