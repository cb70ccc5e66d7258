"""Rotary positions (arXiv:2104.09864), plain or stretched over longer contexts.

P positions, B batch, T tokens, N heads, H head width
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor


class RopeScaling(BaseModel):
    """How a model that learned short contexts was stretched; fields named as in Hugging Face's `rope_scaling`.

    `linear` divides every position by `factor`. `llama3` divides slow rotations by it, leaves fast ones, and goes smoothly from one
    to the other between wavelengths of `original / high_freq_factor` and `original / low_freq_factor` tokens.
    """

    model_config = ConfigDict(extra="forbid")

    rope_type: Literal["linear", "llama3"]
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position_embeddings: int = 8192

    def to_hf(self) -> dict[str, float | int | str]:
        return self.model_dump() if self.rope_type == "llama3" else {"rope_type": "linear", "factor": self.factor}


def rope_frequencies(head_dim: int, theta: float, scaling: RopeScaling | None) -> Tensor:
    """Radians that each pair of a head turns from one position to the next, H/2."""
    half = head_dim // 2
    frequency_H = theta ** (-torch.arange(half, dtype=torch.float32) / half)
    if scaling is None:
        return frequency_H
    if scaling.rope_type == "linear":
        return frequency_H / scaling.factor
    turns_H = scaling.original_max_position_embeddings * frequency_H / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    fast_H = ((turns_H - low) / (high - low)).clamp(0, 1)
    return (1 - fast_H) * frequency_H / scaling.factor + fast_H * frequency_H


def rope_tables(head_dim: int, theta: float, scaling: RopeScaling | None, positions: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of each position's angles, P,H/2 each."""
    frequency_H = rope_frequencies(head_dim, theta, scaling)
    angle_PH = torch.arange(positions, dtype=torch.float32)[:, None] * frequency_H
    return angle_PH.cos(), angle_PH.sin()
