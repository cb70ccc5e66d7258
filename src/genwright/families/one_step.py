"""A session for families that finish a picture in one step: waiting requests share one pass of the network.

Shapes: B batch, C channels, H W pixels, Z latent width. image_BCHW in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

from genwright.families.base import State

Decode = Callable[[Tensor, Tensor, BaseModel], Tensor]
"""(noise_BZ, condition, controls) -> image_BCHW."""


@dataclass
class OneStepState(State):
    """`noise` is [Z], `condition` one row of what the encoder takes."""

    noise: Tensor = field(default_factory=lambda: torch.empty(0))
    condition: Tensor = field(default_factory=lambda: torch.empty(0))
    controls: BaseModel = field(default_factory=BaseModel)


class OneStepSession:
    """Emits one uint8 tensor [H, W, C] a request. The noise is drawn when the request starts, from its own stream."""

    def __init__(self, capacity: int, latent: int, device: torch.device, decode: Decode):
        self.capacity = capacity
        self._latent = latent
        self._device = device
        self._decode = decode

    def start(
        self, condition: Tensor, rng: torch.Generator, controls: BaseModel, constraint: Any = None
    ) -> OneStepState:
        """`condition` is one row of what the network's encoder takes; `constraint` has no meaning here."""
        if constraint is not None:
            raise ValueError("a picture drawn in one step can't be constrained")
        noise_Z = torch.randn(self._latent, generator=rng, device=rng.device).to(self._device)
        key = (controls.model_dump_json(), tuple(condition.shape))
        return OneStepState(batch_key=key, noise=noise_Z, condition=condition.to(self._device), controls=controls)

    @torch.inference_mode()
    def step(self, states: list[State]) -> None:
        mine = [state for state in states if isinstance(state, OneStepState)]
        noise_BZ = torch.stack([state.noise for state in mine])
        condition = torch.stack([state.condition for state in mine])
        image_BHWC = to_bytes(self._decode(noise_BZ, condition, mine[0].controls)).permute(0, 2, 3, 1).cpu()
        for state, image_HWC in zip(mine, image_BHWC, strict=True):
            state.emitted.append(image_HWC)
            state.done = True

    def release(self, state: State) -> None:
        """Nothing is held between steps."""


def to_bytes(image_BCHW: Tensor) -> Tensor:
    """[-1, 1] -> uint8, rounded to the nearest, what lies outside clamped."""
    return ((image_BCHW.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
