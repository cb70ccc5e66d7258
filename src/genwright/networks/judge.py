"""The network of a two-sample discriminator: a few strided convolutions, then one logit. No loss stands here.

It shares nothing with the networks it judges. Shapes: B batch, C channels, H W pixels. image_BCHW in [-1, 1].
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FINEST = 16
"""Side of the first feature map: larger pictures are gathered in larger patches, so a judge of any size costs about the same."""


class JudgeNetwork(nn.Module):
    """`size` is a multiple of 16. Mean and maximum over places are both read: a flaw in one corner is enough."""

    def __init__(self, size: int, widths: tuple[int, ...] = (64, 96, 160), dropout: float = 0.3, channels: int = 3):
        super().__init__()
        self.patch = size // FINEST
        self.stem = nn.Conv2d(channels * self.patch**2, widths[0], 3, padding=1)
        self.stages = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths))
        self.dropout = nn.Dropout(dropout)
        self.logit = nn.Linear(2 * widths[-1], 1)
        for conv in (self.stem, *self.stages):
            nn.init.kaiming_normal_(conv.weight, a=0.2)  # type: ignore[arg-type]
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """-> logit_B."""
        x = F.pixel_unshuffle(image_BCHW, self.patch).contiguous(memory_format=torch.channels_last)
        x = F.leaky_relu(self.stem(x), 0.2)
        for stage in self.stages:
            x = F.leaky_relu(stage(x), 0.2)
        return self.logit(self.dropout(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)))[:, 0]
