"""A network from picture to picture: down to the smallest map and up again, with a way across at each resolution. No loss stands here.

Built of R3GAN's residual blocks (resnet.py), all in channels-last. It begins as the identity, so that what needs no change gets none.

Shapes: B batch, C channels, H W pixels. image_BCHW in [-1, 1].
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.networks.elementwise import wide
from genwright.networks.resnet import ResidualBlock, conv, upsample


class Translator(nn.Module):
    """Picture -> picture of the same size. `widths` and `blocks` go by stage from the finest to the coarsest; the way up has as many
    blocks as the way down."""

    def __init__(self, widths: list[int], blocks: list[int], patch: int, channels: int = 3):
        super().__init__()
        self.patch = patch
        pixels, depth = channels * patch * patch, 2 * sum(blocks)
        self.stem = conv(pixels, widths[0], 3, bias=True)
        self.down, self.up = (
            nn.ModuleList(
                nn.Sequential(*(ResidualBlock(w, depth) for _ in range(n))) for w, n in zip(widths, blocks, strict=True)
            )
            for _ in range(2)
        )
        self.widen = nn.ModuleList(conv(a, b) for a, b in pairwise(widths))
        self.narrow = nn.ModuleList(conv(b, a) for a, b in pairwise(widths))
        self.out = conv(widths[0], pixels, 3, gain=0.0, bias=True)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """-> image_BCHW, not clamped, in fp32 at least."""
        x = F.pixel_unshuffle(image_BCHW, self.patch).contiguous(memory_format=torch.channels_last)
        x, across = self.stem(x), []
        for number, stage in enumerate(self.down):
            if number:
                x = self.widen[number - 1](F.avg_pool2d(x, 2))
            x = stage(x)
            across.append(x)
        for number in reversed(range(len(self.up))):
            if number < len(self.up) - 1:
                x = upsample(self.narrow[number](x), 2) + across[number]
            x = self.up[number](x)
        return image_BCHW + wide(F.pixel_shuffle(self.out(F.leaky_relu(x, 0.2)), self.patch))
