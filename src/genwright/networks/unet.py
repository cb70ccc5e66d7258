"""A U-Net that finds the clean picture in a noisy one: convolutions, and attention to picture and caption where the map is small.

The layout of ADM (arXiv:2105.05233) with two changes that a processor is thankful for: what comes from the other side is added, not laid
beside, and all runs in channels-last. The finest level is narrow but sees single pixels: gathered in patches of 2, at equal cost, the last
of the noise was hardly found (benchmarks/results/flow.txt). The tokens of the caption stand as further keys and values beside those of the picture.

The output is scaled as in EDM (arXiv:2206.00364, table 1), so that input and target of the convolutions have the same size at every time.

Shapes: B batch, C channels, H W pixels, N heads, K head width, P places of a map, L tokens of a caption, D their width, E width of the
vector that says what and when. image_BCHW in [-1, 1].
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.networks.roles import Role, default_roles
from genwright.networks.told import Gist, TimeOfStep, token_shares

_GROUP = 16
"""Channels that are normed together."""
_HEAD = 32
DEVIATION = 0.5
"""Of a picture's values in [-1, 1], about."""


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(channels, max(1, channels // _GROUP)), channels)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions added to the input, the second starting at zero; what and when scale and shift what goes into them: into both,
    and from the first step, so that words count for more of what is found (benchmarks/results/flow.txt). Not `throughout`: into the second
    alone, starting at nothing."""

    def __init__(self, channels: int, told: int, throughout: bool):
        super().__init__()
        self.throughout = throughout
        self.norm_in, self.norm_between = (_norm(channels) for _ in range(2))
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = nn.Linear(told, (4 if throughout else 2) * channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.modulation.bias)
        for parameter in (self.second.weight, self.second.bias, *([] if throughout else [self.modulation.weight])):
            assert parameter is not None
            nn.init.zeros_(parameter)

    def forward(self, x_BCHW: Tensor, told_BE: Tensor) -> Tensor:
        scale, shift, *into_first = self.modulation(F.silu(told_BE))[:, :, None, None].chunk(
            4 if self.throughout else 2, 1
        )
        h = self.norm_in(x_BCHW)
        if self.throughout:
            h = h * (1 + into_first[0]) + into_first[1]
        h = self.norm_between(self.first(F.silu(h)))
        return x_BCHW + self.second(F.silu(h * (1 + scale) + shift))

    def parameter_roles(self) -> dict[str, Role]:
        return default_roles(self) | {"modulation.weight": Role("rest")}


class Attention(nn.Module):
    """Every place attends to all places and to the caption's tokens; added to the input, starting at zero."""

    def __init__(self, channels: int, tokens: int):
        super().__init__()
        self.heads = math.gcd(channels, max(1, channels // _HEAD))
        self.norm = _norm(channels)
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.token_kv = nn.Linear(tokens, 2 * channels, bias=False)
        self.out = nn.Linear(channels, channels, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, x_BCHW: Tensor, token_BLD: Tensor, real_BL: Tensor) -> Tensor:
        q, k, v, seen = self._parts(x_BCHW, token_BLD, real_BL)
        mixed_BPC = F.scaled_dot_product_attention(q, k, v, attn_mask=seen).transpose(1, 2).flatten(2)
        return x_BCHW + self.out(mixed_BPC).unflatten(1, x_BCHW.shape[2:]).permute(0, 3, 1, 2)

    def looked_at(self, x_BCHW: Tensor, token_BLD: Tensor, real_BL: Tensor) -> Tensor:
        """How much of its attention each place pays to each token, the mean over heads: [B, L, H, W]."""
        q, k, _, seen = self._parts(x_BCHW, token_BLD, real_BL)
        share_BPL = token_shares(q, k, seen, real_BL.shape[1])
        return share_BPL.transpose(1, 2).unflatten(2, x_BCHW.shape[2:])

    def _parts(self, x_BCHW: Tensor, token_BLD: Tensor, real_BL: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Queries, keys and values by head, and which keys are there."""
        x_BPC = self.norm(x_BCHW).permute(0, 2, 3, 1).flatten(1, 2)
        q, k, v = (self._heads(part) for part in self.qkv(x_BPC).chunk(3, -1))
        token_k, token_v = (self._heads(part) for part in self.token_kv(token_BLD).chunk(2, -1))
        k, v = torch.cat([token_k, k], 2), torch.cat([token_v, v], 2)
        seen = F.pad(real_BL, (0, x_BPC.shape[1]), value=True)[:, None, None]
        q, k = (F.rms_norm(part, part.shape[-1:], eps=1e-6) for part in (q, k))
        return q, k, v, seen

    def _heads(self, x_BPC: Tensor) -> Tensor:
        return x_BPC.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def parameter_roles(self) -> dict[str, Role]:
        channels = self.out.out_features
        blocks = {"qkv.weight": Role("matrix", (channels,) * 3), "token_kv.weight": Role("matrix", (channels,) * 2)}
        return default_roles(self) | blocks


class Level(nn.Module):
    """Residual blocks at one resolution, each with attention behind it where the map is small."""

    def __init__(self, channels: int, blocks: int, told: int, throughout: bool, tokens: int | None):
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(channels, told, throughout) for _ in range(blocks))
        self.attention = nn.ModuleList([] if tokens is None else [Attention(channels, tokens) for _ in range(blocks)])

    def forward(self, x_BCHW: Tensor, told_BE: Tensor, token_BLD: Tensor, real_BL: Tensor) -> Tensor:
        for number, block in enumerate(self.blocks):
            x_BCHW = block(x_BCHW, told_BE)
            if len(self.attention):
                x_BCHW = self.attention[number](x_BCHW, token_BLD, real_BL)
        return x_BCHW


class UNet(nn.Module):
    """Noisy picture, times and what is given -> the clean picture. `widths` and `blocks` go by level from the finest to the coarsest;
    `attends` says at which of them there is attention. The way up has a block more at the coarsest level, the middle. `beside`: channels of
    another picture, `given["beside"]` of the same height and width, that is seen beside the noisy one (arXiv:2111.05826). Its first channels
    are like the picture's, so what is found is the difference to them. `told`: width of the vector that says what and when; None: four
    times the finest width, and blocks that are not told throughout, as networks were made at first.
    """

    def __init__(
        self,
        encoder: nn.Module,
        size: int,
        widths: list[int],
        blocks: list[int],
        attends: list[bool],
        patch: int,
        conditional: bool = True,
        channels: int = 3,
        beside: int = 0,
        told: int | None = None,
    ):
        super().__init__()
        tokens: int = encoder.width  # type: ignore[assignment]
        throughout, told = told is not None, told or 4 * widths[0]
        self.shape, self.patch, self.conditional = (channels, size, size), patch, conditional
        self.encoder = encoder
        self.when, self.what = TimeOfStep(told), Gist(tokens, told)
        pixels = channels * patch * patch
        self.beside = beside
        self.stem = nn.Conv2d(pixels + beside * patch * patch, widths[0], 3, padding=1)
        seen = [tokens if there else None for there in attends]
        levels = list(zip(widths, blocks, seen, strict=True))
        self.down = nn.ModuleList(Level(width, count, told, throughout, of) for width, count, of in levels)
        self.up = nn.ModuleList(Level(width, count, told, throughout, of) for width, count, of in levels)
        self.widen = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths))
        self.narrow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.across = nn.ModuleList(nn.Conv2d(width, width, 1) for width in widths[:-1])
        self.norm = _norm(widths[0])
        self.out = nn.Conv2d(widths[0], pixels, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self, noisy_BCHW: Tensor, time_B: Tensor, until_B: Tensor, given: dict[str, Tensor], told_B: Tensor
    ) -> Tensor:
        """-> image_BCHW, not clamped. `told_B`: whether a row is told what is given."""
        token_BLD, real_BL = self.encoder(given["condition"], told_B)
        told_BE = self.when(time_B, until_B) + self.what(token_BLD, real_BL)
        keep, into, out = scales(time_B)
        x_BCHW = noisy_BCHW * into
        if self.beside:
            x_BCHW = torch.cat([x_BCHW, given["beside"]], 1)
        found = out * self._network(x_BCHW, told_BE, token_BLD, real_BL)
        if self.beside:
            like_BCHW = given["beside"][:, : noisy_BCHW.shape[1]]
            found = found + (1 - keep * time_B[:, None, None, None]) * like_BCHW
        return keep * noisy_BCHW + found

    def _network(self, x: Tensor, told_BE: Tensor, token_BLD: Tensor, real_BL: Tensor) -> Tensor:
        x = F.pixel_unshuffle(x, self.patch).contiguous(memory_format=torch.channels_last)
        x = self.stem(x)
        kept = []
        for number, level in enumerate(self.down):
            if number:
                x = self.widen[number - 1](F.avg_pool2d(x, 2))
            x = level(x, told_BE, token_BLD, real_BL)
            kept.append(x)
        for number in reversed(range(len(self.up))):
            if number < len(self.up) - 1:
                x = F.interpolate(self.narrow[number](x), scale_factor=2, mode="nearest")
                x = x + self.across[number](kept[number])
            x = self.up[number](x, told_BE, token_BLD, real_BL)
        return F.pixel_shuffle(self.out(F.silu(self.norm(x))), self.patch)

    def parameter_roles(self) -> dict[str, Role]:
        """The ends read and write raw pixels."""
        return default_roles(self) | {"stem.weight": Role("rest"), "out.weight": Role("rest")}


def scales(time_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of a noisy picture, time * picture + (1 - time) * noise: the factor that keeps of it what is sure to be picture, the one that brings
    it to unit size, and the size of what is then left to find. All B,1,1,1."""
    time = time_B[:, None, None, None]
    size = ((time * DEVIATION) ** 2 + (1 - time) ** 2).sqrt()
    return time * DEVIATION**2 / size**2, 1 / size, (1 - time) * DEVIATION / size
