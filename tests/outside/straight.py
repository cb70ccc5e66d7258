"""A family from outside the package that draws in several steps: a rectified flow (arXiv:2209.03003).

On the straight line x_t = (1 - t) noise + t data a network learns the data that x_t leads to on average. That gives the velocity,
(data - x_t) / (1 - t), which the sampler follows from noise at t = 0 to data at t = 1 (Euler's method).

B batch, X the data's own axes, F all its values in a row, D width
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import straight_options
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.families.base import (
    Batch,
    Between,
    Loss,
    Moment,
    OptimizerSpec,
    Phase,
    State,
    load_module_tensors,
    module_tensors,
    normal,
)
from genwright.families.given import Given, shapes, split, stack
from genwright.model import ModelConfig
from genwright.tasks.image.networks import NETWORKS, Drawn, Networks


class Goal(nn.Module):
    """(x_BX, time_B, given) -> data_BX that x leads to, by a perceptron over all values at once."""

    def __init__(self, shape: tuple[int, ...], encoder: nn.Module, hidden: int):
        super().__init__()
        self.shape = shape
        self.encoder = encoder
        values, width = torch.Size(shape).numel(), encoder.width
        assert isinstance(width, int)
        self.into = nn.Linear(values + 1 + width, hidden)
        self.out = nn.Linear(hidden, values)

    def forward(self, x_BX: Tensor, time_B: Tensor, given: Given) -> Tensor:
        condition_BD = self.encoder(given["condition"])
        x_BF = torch.cat([x_BX.flatten(1), time_B[:, None], condition_BD], 1)
        return self.out(F.gelu(self.into(x_BF))).unflatten(1, self.shape)


def along(time_B: Tensor, x_BX: Tensor) -> Tensor:
    """A time a row, as wide as the rows are."""
    return time_B.view(-1, *(1,) * (x_BX.ndim - 1))


class Straight:
    name = "straight"
    Controls = straight_options.Controls
    Opening = straight_options.Opening
    exported = ("goal",)

    def __init__(self, goal: Goal, settings: straight_options.Settings):
        self.modules = nn.ModuleDict({"goal": goal})
        self.phases = (Phase("model", ("goal",), OptimizerSpec(learning_rate=2e-3, ema_halflife=20)),)
        self.shape = goal.shape

    def loss(self, phase: str, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        data_BX, given = split(batch)
        noise_BX = torch.randn(data_BX.shape, generator=rng, device=data_BX.device)
        time_B = torch.rand(len(data_BX), generator=rng, device=data_BX.device)
        x_BX = noise_BX + along(time_B, data_BX) * (data_BX - noise_BX)
        goal = self.modules["goal"]
        error = F.mse_loss(goal(x_BX, time_B, given), data_BX)
        return Loss(error, len(data_BX), {"squared_error": error.detach()})

    def validate(self, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        return self.loss("model", batch, rng, at)

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None: ...

    def flops(self, batch: Batch) -> float:
        weights = sum(parameter.numel() for parameter in self.modules.parameters())
        return 6.0 * weights * len(batch["data"])

    def export_tensors(self) -> dict[str, Tensor]:
        return module_tensors(self.modules, self.exported)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        load_module_tensors(self.modules, self.exported, tensors)

    def open(self, capacity: int, opening: straight_options.Opening) -> StraightSession:
        goal = self.modules["goal"]
        return StraightSession(capacity, goal, self.shape, next(goal.parameters()).device)


@dataclass
class StraightState(State):
    """Where a request is: at `x` after `taken` of `steps` steps."""

    x: Tensor = field(default_factory=lambda: torch.empty(0))
    given: Given = field(default_factory=dict)
    steps: int = 1
    taken: int = 0


class StraightSession:
    """Requests share a pass wherever on their way they are, and however many steps they take."""

    interpolates: ClassVar[bool] = True

    def __init__(self, capacity: int, goal: nn.Module, shape: tuple[int, ...], device: torch.device):
        self.capacity, self._goal, self._shape, self._device = capacity, goal, shape, device

    def start(
        self, condition: Given, rng: torch.Generator | Between, controls: Any, constraint: Any = None
    ) -> StraightState:
        given = {name: value.to(self._device) for name, value in condition.items()}
        noise_X = normal(self._shape, rng, self._device)
        return StraightState(batch_key=shapes(given), x=noise_X, given=given, steps=controls.steps)

    @torch.inference_mode()
    def step(self, states: list[State]) -> None:
        mine = [state for state in states if isinstance(state, StraightState)]
        x_BX, given = torch.stack([state.x for state in mine]), stack([state.given for state in mine])
        time_B = torch.tensor([state.taken / state.steps for state in mine], device=self._device)
        velocity_BX = (self._goal(x_BX, time_B, given) - x_BX) / along(1 - time_B, x_BX)
        for state, velocity_X in zip(mine, velocity_BX, strict=True):
            state.x = state.x + velocity_X / state.steps
            state.taken += 1
            if state.taken == state.steps:
                state.emitted.append(state.x.cpu())
                state.done = True

    def release(self, state: State) -> None:
        """Nothing but the state itself is held."""


def candidates(settings: Any) -> list[ModelConfig]:
    network = {"hidden": settings.hidden, "condition_width": 64}
    return [ModelConfig(family="straight", network=network, title=f"{settings.hidden} hidden units")]


def networks(drawn: Drawn, network: dict[str, Any]) -> dict[str, nn.Module]:
    encoder = drawn.encoder(network["condition_width"])
    return {"goal": Goal((3, drawn.size, drawn.size), encoder, network["hidden"])}


NETWORKS["straight"] = Networks(candidates, networks)
