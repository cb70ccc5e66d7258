"""A session for families that finish in one step: waiting requests share one pass of the network.

Shapes: B batch, X the data's own axes, Z latent width. data_BX in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from pydantic import BaseModel
from torch import Tensor

from genwright.families.base import Between, State, normal
from genwright.families.given import Given, shapes, stack

Decode = Callable[[Tensor, Given, BaseModel], Tensor]
"""(noise_BZ, given, controls) -> data_BX."""


@dataclass
class OneStepState(State):
    """`noise` is [Z], `given` one row of what the networks take."""

    noise: Tensor = field(default_factory=lambda: torch.empty(0))
    given: Given = field(default_factory=dict)
    controls: BaseModel = field(default_factory=BaseModel)


class OneStepSession:
    """The noise is drawn when the request starts, from its own stream."""

    interpolates: ClassVar[bool] = True

    def __init__(self, capacity: int, latent: int, device: torch.device, decode: Decode):
        self.capacity = capacity
        self._latent = latent
        self._device = device
        self._decode = decode

    def start(
        self, condition: Given, rng: torch.Generator | Between, controls: BaseModel, constraint: Any = None
    ) -> OneStepState:
        """`constraint` has no meaning here."""
        if constraint is not None:
            raise ValueError("what is made in one step can't be constrained")
        noise_Z = normal((self._latent,), rng, self._device)
        given = {name: value.to(self._device) for name, value in condition.items()}
        key = (controls.model_dump_json(), shapes(given))
        return OneStepState(batch_key=key, noise=noise_Z, given=given, controls=controls)

    @torch.inference_mode()
    def step(self, states: list[State]) -> None:
        mine = [state for state in states if isinstance(state, OneStepState)]
        noise_BZ, given = torch.stack([state.noise for state in mine]), stack([state.given for state in mine])
        for state, data_X in zip(mine, self._decode(noise_BZ, given, mine[0].controls).cpu(), strict=True):
            state.emitted.append(data_X)
            state.done = True

    def release(self, state: State) -> None:
        """Nothing is held between steps."""
