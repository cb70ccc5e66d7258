"""An autoencoder whose latent is a grid of whole numbers, and the network that judges what it gives back. No loss stands here.

Encoder and decoder are residual convolutions (resnet.py). Between them each number of a place is rounded to one of a few levels (finite
scalar quantisation, arXiv:2309.15505): there is no codebook to learn, and none of its entries can die.

Shapes: B batch, C channels, H W pixels, G side of the grid, T places of the grid row by row, D numbers of a place.
image_BCHW in [-1, 1].
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.networks.elementwise import wide
from genwright.networks.resnet import ResidualBlock
from genwright.networks.roles import Role, default_roles

_SLOPE = 0.2
_EDGE = 1e-3
"""How far beyond the outermost level a number may come before it is rounded."""
_MOST_TIMES = 4
"""The coarsest maps have at most this many times the channels of the finest."""


class Quantiser(nn.Module):
    """Numbers to the nearest level and to codes: arXiv:2309.15505, section 3.1 and its appendix. `levels`: how many each number has."""

    levels: Tensor
    basis: Tensor

    def __init__(self, levels: list[int]):
        super().__init__()
        self.count = math.prod(levels)
        """How many different codes there are."""
        basis = [math.prod(levels[:place]) for place in range(len(levels))]
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.register_buffer("basis", torch.tensor(basis), persistent=False)

    def forward(self, x_BDGG: Tensor) -> Tensor:
        """Each number squashed between its outermost levels and rounded, as values in [-1, 1]. The gradient passes the rounding."""
        bounded_BDGG = self._bounded(x_BDGG)
        return (bounded_BDGG + (bounded_BDGG.round() - bounded_BDGG).detach()) / self._half()

    def codes(self, x_BDGG: Tensor) -> Tensor:
        """-> int64[B, T]."""
        digit_BDT = (self._bounded(x_BDGG).round() + self._half()).flatten(2).long()
        return (digit_BDT * self.basis[:, None]).sum(1)

    def values(self, code_BT: Tensor) -> Tensor:
        """The reverse of `codes`: what `forward` gives for them, of a square grid."""
        side = math.isqrt(code_BT.shape[1])
        digit_BDT = code_BT[:, None] // self.basis[:, None] % self.levels[:, None]
        digit_BDGG = digit_BDT.unflatten(2, (side, side))
        return (digit_BDGG - self._half()).to(torch.get_default_dtype()) / self._half()

    def _half(self) -> Tensor:
        return (self.levels // 2)[:, None, None]

    def _bounded(self, x_BDGG: Tensor) -> Tensor:
        """An even number of levels lies unevenly about 0: -4 to 3."""
        reach = (self.levels - 1)[:, None, None] * (1 + _EDGE) / 2
        offset = (self.levels % 2 == 0)[:, None, None] * 0.5
        return torch.tanh(wide(x_BDGG) + torch.atanh(offset / reach)) * reach - offset


def _conv(into: int, out: int, kernel: int) -> nn.Conv2d:
    layer = nn.Conv2d(into, out, kernel, padding=kernel // 2)
    nn.init.normal_(layer.weight, std=1 / math.sqrt(into * kernel * kernel))
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _widths(width: int, shrink: int) -> list[int]:
    """From the map of half the picture's side to the grid."""
    return [width * min(2**level, _MOST_TIMES) for level in range(shrink.bit_length() - 1)]


def _stages(widths: list[int], blocks: int) -> nn.ModuleList:
    depth = max(1, blocks * len(widths))
    return nn.ModuleList(nn.Sequential(*(ResidualBlock(width, depth) for _ in range(blocks))) for width in widths)


class Encoder(nn.Module):
    """Picture -> the numbers of each place of a grid, before they are rounded. `shrink`: the pixels a side that a place stands for, a
    power of two; `width`: channels at half the picture's side, a multiple of 16."""

    def __init__(self, width: int, shrink: int, blocks: int, digits: int, channels: int = 3):
        super().__init__()
        widths = _widths(width, shrink)
        self.stem = _conv(4 * channels, width, 3)
        self.widen = nn.ModuleList(_conv(a, b, 1) for a, b in pairwise(widths))
        self.stages = _stages(widths, blocks)
        self.out = _conv(widths[-1], digits, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image_BCHW: Tensor) -> Tensor:
        x = self.stem(F.pixel_unshuffle(image_BCHW, 2).contiguous(memory_format=torch.channels_last))
        for number, stage in enumerate(self.stages):
            if number:
                x = self.widen[number - 1](F.avg_pool2d(x, 2))
            x = stage(x)
        return self.out(F.leaky_relu(x, _SLOPE))

    def parameter_roles(self) -> dict[str, Role]:
        """The ends read raw pixels and write raw numbers."""
        return default_roles(self) | {"stem.weight": Role("rest"), "out.weight": Role("rest")}


class Decoder(nn.Module):
    """Rounded numbers of a grid -> picture: the encoder's mirror image, with a block at full resolution."""

    def __init__(self, width: int, shrink: int, blocks: int, digits: int, channels: int = 3):
        super().__init__()
        widths = _widths(width, shrink)[::-1]
        self.stem = _conv(digits, widths[0], 3)
        self.narrow = nn.ModuleList(_conv(a, b, 1) for a, b in pairwise(widths))
        self.stages = _stages(widths, blocks)
        self.last = _conv(width, width // 2, 1)
        self.unfold = _conv(width, 4 * (width // 2), 3)
        nn.init.zeros_(self.unfold.weight)
        self.fine = ResidualBlock(width // 2, max(1, blocks * len(widths)))
        self.out = _conv(width // 2, channels, 3)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, value_BDGG: Tensor) -> Tensor:
        """-> image_BCHW, not clamped; in fp32 at least, for in bf16 a byte's neighbours are the same."""
        x = self.stem(value_BDGG.contiguous(memory_format=torch.channels_last))
        for number, stage in enumerate(self.stages):
            if number:
                x = F.interpolate(self.narrow[number - 1](x), scale_factor=2, mode="nearest")
            x = stage(x)
        x = F.leaky_relu(x, _SLOPE)
        # What neighbouring pixels have of their own starts at zero: else they begin as a checkerboard, of which traces stay.
        x = F.interpolate(self.last(x), scale_factor=2, mode="nearest") + F.pixel_shuffle(self.unfold(x), 2)
        return wide(self.out(F.leaky_relu(self.fine(x), _SLOPE)))

    def parameter_roles(self) -> dict[str, Role]:
        return default_roles(self) | {"stem.weight": Role("rest"), "out.weight": Role("rest")}


class PatchJudge(nn.Module):
    """Whether patches of a picture are real: strided convolutions and a map of logits (arXiv:1611.07004, section 3.2). What its layers
    see is handed out too: pictures are alike where it sees the same in them."""

    def __init__(self, widths: tuple[int, ...] = (48, 96, 192), channels: int = 3):
        super().__init__()
        ends = (channels, *widths)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(ends))
        self.logits = _conv(widths[-1], 1, 3)
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, a=_SLOPE)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image_BCHW: Tensor) -> tuple[Tensor, list[Tensor]]:
        """-> a logit for each patch, B,G,G, and the features of each layer."""
        x, seen = image_BCHW.contiguous(memory_format=torch.channels_last), list[Tensor]()
        for layer in self.layers:
            x = F.leaky_relu(layer(x), _SLOPE)
            seen.append(x)
        return wide(self.logits(x))[:, 0], seen

    def parameter_roles(self) -> dict[str, Role]:
        return default_roles(self) | {"layers.0.weight": Role("rest"), "logits.weight": Role("rest")}
