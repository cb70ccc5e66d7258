"""Pictures larger than a network's: steps from noise to picture over tiles that overlap, a band of rows at a time.

One field of noise covers the whole picture. At each step every tile foresees its clean part; these are blended where tiles overlap, and the
whole field moves towards the blend. So tiles agree from the first step on, and there is no seam (MultiDiffusion, arXiv:2302.08113, with
the prediction in place of the noise). A step needs no more of the picture than the rows that its tiles stand on: steps follow one
another as generators, each some rows behind the one before, so memory goes with the width and the steps and not with the height.

Shapes: B tiles, C channels, H W pixels of a tile, R rows, P pixels of a padded row. Values in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genwright.families.base import State

Foresee = Callable[[Tensor, Tensor, float, float], Tensor]
"""(z_BCHW, beside_BDHW, time, until) -> the clean picture foreseen, BCHW."""
Look = Callable[[int, int], Tensor]
"""(first row, rows) -> what the network sees beside the noise, [D, R, P]; rows below the picture too."""


@dataclass(frozen=True)
class Tiling:
    """How tiles of `size` pixels, a quarter of which lies over the next, cover a picture; it is padded to be covered exactly."""

    height: int
    width: int
    size: int

    @property
    def overlap(self) -> int:
        return self.size // 4

    @property
    def stride(self) -> int:
        return self.size - self.overlap

    @property
    def rows(self) -> int:
        return self._count(self.height)

    @property
    def columns(self) -> int:
        return self._count(self.width)

    @property
    def padded_width(self) -> int:
        return self.columns * self.stride + self.overlap

    def _count(self, pixels: int) -> int:
        return max(1, -(-(pixels - self.overlap) // self.stride))

    def window(self) -> Tensor:
        """How much each pixel of a tile counts in the blend, HW: less towards the edges that lie over another tile."""
        ramp = torch.ones(self.size)
        rising = torch.arange(1, self.overlap + 1) / (self.overlap + 1)
        ramp[: self.overlap], ramp[self.size - self.overlap :] = rising, rising.flip(0)
        return ramp[:, None] * ramp

    def touched(self, row: int, changes_RW: np.ndarray) -> list[int]:
        """The columns of those tiles of a row of tiles that hold a pixel to change. `changes_RW`: of the rows that they stand on."""
        spans = ((column, column * self.stride) for column in range(self.columns))
        return [column for column, left in spans if changes_RW[:, left : left + self.size].any()]


def reflected(first: int, count: int, length: int) -> np.ndarray:
    """Indexes into an axis of `length` from `first` on, mirrored at its ends as often as need be."""
    period = max(2 * length - 2, 1)
    place = np.arange(first, first + count) % period
    return np.minimum(place, period - place) if length > 1 else np.zeros(count, np.intp)


def noise(tiling: Tiling, channels: int, rng: torch.Generator) -> Iterator[Tensor]:
    """A field of noise in bands, as `step` takes them: one for each row of tiles, and what is left below the last."""
    for rows in [tiling.stride] * tiling.rows + [tiling.overlap]:
        yield torch.randn((channels, rows, tiling.padded_width), generator=rng)


@dataclass(frozen=True)
class Work:
    """What is the same for all steps. `wanted` are the columns of the tiles to work on, by row of tiles; `worked` is told of each batch."""

    tiling: Tiling
    foresee: Foresee
    look: Look
    wanted: Sequence[Sequence[int]]
    batch: int
    device: torch.device
    worked: Callable[[int], None]

    def steps(self, bands: Iterable[Tensor], times: Sequence[float], learned: bool) -> Iterator[Tensor]:
        """From noise to picture over steps that begin and end at `times`. `learned`: by the length of a step, if the network learned it."""
        for time, until in pairwise(times):
            bands = self._step(bands, time, until, until if learned else time)
        yield from bands

    def _step(self, bands: Iterable[Tensor], time: float, until: float, ahead: float) -> Iterator[Tensor]:
        tiling, incoming = self.tiling, iter(bands)
        band_CRP = next(incoming)
        left_CRP, left_RP = torch.zeros(0), torch.zeros(0)  # of the tiles above, where they reach into this band
        for row in range(tiling.rows):
            below_CRP = next(incoming)
            z_CRP = torch.cat([band_CRP, below_CRP[:, : tiling.overlap]], 1)
            clean_CRP, weight_RP = self._foreseen(z_CRP, row, time, ahead)
            if row:
                clean_CRP[:, : tiling.overlap] += left_CRP
                weight_RP[: tiling.overlap] += left_RP
            share = (until - time) / (1 - time)
            yield moved(band_CRP, clean_CRP[:, : tiling.stride], weight_RP[: tiling.stride], share)
            left_CRP, left_RP = clean_CRP[:, tiling.stride :], weight_RP[tiling.stride :]
            band_CRP = below_CRP
        yield moved(band_CRP, left_CRP, left_RP, (until - time) / (1 - time))

    def _foreseen(self, z_CRP: Tensor, row: int, time: float, ahead: float) -> tuple[Tensor, Tensor]:
        """What the tiles of a row foresee, each by its weight, and the sum of the weights."""
        size, stride, window = self.tiling.size, self.tiling.stride, self.tiling.window()
        clean_CRP, weight_RP = torch.zeros_like(z_CRP), torch.zeros(z_CRP.shape[1:])
        beside_DRP = self.look(row * stride, size) if self.wanted[row] else z_CRP
        for start in range(0, len(self.wanted[row]), self.batch):
            columns = self.wanted[row][start : start + self.batch]
            spans = [slice(column * stride, column * stride + size) for column in columns]
            tiles, beside = (
                torch.stack([of[..., span] for span in spans]).to(self.device) for of in (z_CRP, beside_DRP)
            )
            for span, found_CHW in zip(spans, self.foresee(tiles, beside, time, ahead).float().cpu(), strict=True):
                clean_CRP[..., span] += window * found_CHW
                weight_RP[..., span] += window
            self.worked(len(columns))
        return clean_CRP, weight_RP


def moved(z_CRP: Tensor, clean_CRP: Tensor, weight_RP: Tensor, share: float) -> Tensor:
    """Rows moved by a share of the way to what is foreseen; where no tile was worked on they stay."""
    blended_CRP = clean_CRP / weight_RP.clamp(min=1e-12)
    return torch.where(weight_RP > 0, z_CRP + share * (blended_CRP - z_CRP), z_CRP)


class Turns:
    """A session whose requests are work in pieces: each turn of the engine takes the next piece of each, so that a large picture does not
    keep others waiting until it is done."""

    def __init__(self, capacity: int = 1):
        self.capacity = capacity
        self._work: dict[int, Iterator[Any]] = {}

    def start(self, condition: Iterator[Any], rng: Any = None, controls: Any = None, constraint: Any = None) -> State:
        state = State()
        self._work[id(state)] = condition
        return state

    def step(self, states: list[State]) -> None:
        for state in states:
            try:
                state.emitted.append(next(self._work[id(state)]))
            except StopIteration:
                state.done = True

    def release(self, state: State) -> None:
        self._work.pop(id(state), None)
