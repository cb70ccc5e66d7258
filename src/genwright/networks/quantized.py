"""Weights as 8-bit integers with a scale for every group of inputs of an output: a quarter of the memory to read per token.

O outputs, I inputs, G groups
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

GROUP = 64
"""Inputs that share a scale; halved until it divides the inputs. llama.cpp's Q8_0 has 32."""


@dataclass(frozen=True)
class Quantized:
    """`values` int8[O, I] in [-127, 127], `scales` float32[O, G]: weight = value * scale of its group."""

    values: Tensor
    scales: Tensor
    group: int

    def restored(self) -> Tensor:
        """The float32 weights that the integers stand for, O,I."""
        return self.values.float() * self.scales.repeat_interleave(self.group, dim=1)


def quantise(weight_OI: Tensor, group: int = GROUP) -> Quantized:
    """Round to the nearest of 255 steps between minus and plus the largest weight of each group (symmetric, no zero point)."""
    outputs, inputs = weight_OI.shape
    while inputs % group:
        group //= 2
    grouped_OGI = weight_OI.detach().float().view(outputs, inputs // group, group)
    scales_OG1 = grouped_OGI.abs().amax(dim=-1, keepdim=True) / 127
    values_OGI = (grouped_OGI / scales_OG1.clamp_min(1e-30)).round().clamp(-127, 127).to(torch.int8)
    return Quantized(values_OGI.view(outputs, inputs).contiguous(), scales_OG1[..., 0].contiguous(), group)
