"""The key/value cache of an autoregressive sampler: slots of a fixed shape, owned by a session.

Every request has one slot, a row of the buffers with room for the whole context, so shapes never change while requests come
and go. The decoder sees a `CacheView`: some rows, where their new tokens go, and who may see whom.

B rows of a view, T new tokens, S tokens attended to, K key/value heads, H head width
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_ROUND_UP = 64
"""Attention reads the cache up to the longest row, rounded up to this, so that few shapes occur."""


class SlotCache:
    """Keys and values of all layers, `slots` rows of `context` tokens."""

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
        # One column more than the context: rows that sit a step out write there. Zeros, because a masked NaN is still a NaN.
        shape = (layers, slots, kv_heads, context + 1, head_dim)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.context = context
        self.lengths = [0] * slots
        """Tokens that each slot holds."""
        self._free = list(range(slots))

    @property
    def slot_bytes(self) -> int:
        return 2 * self.keys[:, 0].numel() * self.keys.element_size()

    def take(self) -> int:
        """The lowest free slot, so that running rows stay close together. Raises IndexError when none is free."""
        if not self._free:
            raise IndexError("every slot of the cache is taken")
        slot = min(self._free)
        self._free.remove(slot)
        self.lengths[slot] = 0
        return slot

    def give_back(self, slot: int) -> None:
        if slot in self._free:
            raise ValueError(f"slot {slot} is free already")
        self._free.append(slot)
        self.lengths[slot] = 0

    def prefill_view(self, slot: int, count: int) -> CacheView:
        """`count` more tokens of one slot, causal among themselves."""
        start = self.lengths[slot]
        if start + count > self.context:
            raise ValueError(f"{start + count} tokens do not fit a context of {self.context}")
        device = self.keys.device
        position_1T = torch.arange(start, start + count, device=device)[None]
        span = slice(slot, slot + 1)
        mask = None
        if count > 1:
            mask = torch.arange(start + count, device=device)[None, :] <= position_1T[0, :, None]
            mask = mask[None, None]
        return CacheView(self, span, position_1T, start + count, mask, slice(start, start + count))

    def decode_view(self, slots: list[int]) -> CacheView:
        """One more token for each of `slots`; the view holds all rows from the first to the last of them, the others idle."""
        first, last = min(slots), max(slots)
        wanted = set(slots)
        places = [self.lengths[row] if row in wanted else self.context for row in range(first, last + 1)]
        if any(self.lengths[slot] >= self.context for slot in slots):
            raise ValueError(f"a slot is full: its {self.context} tokens must be shortened first")
        device = self.keys.device
        position_B1 = torch.tensor(places, device=device)[:, None]
        reach = max(self.lengths[slot] for slot in slots) + 1
        stop = min(-(-reach // _ROUND_UP) * _ROUND_UP, self.context + 1)
        mask = torch.arange(stop, device=device)[None, :] <= position_B1
        return CacheView(self, slice(first, last + 1), position_B1, stop, mask[:, None, None], None)


@dataclass
class CacheView:
    """What one forward pass of the decoder sees of the cache; a `KeyValueCache` of networks/decoder.py."""

    cache: SlotCache
    rows: slice
    positions: Tensor
    """Where the new tokens stand (B,T); the spare column for rows that sit the step out."""
    stop: int
    """Columns that are attended to."""
    mask: Tensor | None
    columns: slice | None
    """Where all rows write the same columns (prefill); None: each row its own (decode)."""

    def update(self, layer: int, k_BKTH: Tensor, v_BKTH: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        for buffer, new_BKTH in ((self.cache.keys, k_BKTH), (self.cache.values, v_BKTH)):
            rows_BKSH = buffer[layer, self.rows]
            if self.columns is not None:
                rows_BKSH[:, :, self.columns] = new_BKTH
            else:
                index = self.positions[:, None, :, None].expand_as(new_BKTH)
                rows_BKSH.scatter_(2, index, new_BKTH.to(buffer.dtype))
        seen = (layer, self.rows, slice(None), slice(self.stop))
        return self.cache.keys[seen], self.cache.values[seen], self.mask

    @property
    def rope_positions(self) -> Tensor:
        """Positions for the rotary tables, which end where the context ends."""
        return self.positions.clamp(max=self.cache.context - 1)
