"""The flow at work: each request has its noise, its place on the way to the data and its guidance; those that wait share every step.

Shapes: B batch, X the data's own axes. data_BX in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from pydantic import BaseModel
from torch import Tensor

from genwright.families.base import Between, State, normal
from genwright.families.flow.options import Controls
from genwright.families.flow.solvers import SOLVERS, like
from genwright.families.given import Given, asked, shapes, stack

GUIDED_FROM = 0.1
"""Before this time guidance is left out: there it would only narrow what pictures there are (arXiv:2404.07724)."""

Predict = Callable[[Tensor, Tensor, Tensor, Given, Tensor], Tensor]
"""(z_BX, time_B, until_B, given, told_B) -> the clean data_BX."""


@dataclass
class FlowState(State):
    """`data` is what has become of the noise so far, at `times[step]` of the times between steps."""

    data: Tensor = field(default_factory=lambda: torch.empty(0))
    given: Given = field(default_factory=dict)
    against: Given | None = None
    """What guidance leads away from; None: from what is made when nothing is told."""
    controls: Controls = field(default_factory=lambda: Controls.model_validate({}))
    times: list[float] = field(default_factory=list)
    step: int = 0


class FlowSession:
    """All that is random is drawn when a request starts, from its own stream. `conditional`: whether there is anything to guide by."""

    interpolates: ClassVar[bool] = True

    def __init__(
        self, capacity: int, shape: tuple[int, ...], device: torch.device, predict: Predict, conditional: bool
    ):
        self.capacity = capacity
        self._shape, self._device, self._predict, self._conditional = shape, device, predict, conditional

    def start(
        self, condition: Given, rng: torch.Generator | Between, controls: BaseModel, constraint: Any = None
    ) -> FlowState:
        """`condition` may hold data to start from and what to lead away from (`families/given.py`); `constraint` has no meaning here."""
        if constraint is not None:
            raise ValueError("what a flow makes can't be constrained")
        assert isinstance(controls, Controls)
        wanted = asked({name: value.to(self._device) for name, value in condition.items()})
        z_X = controls.truncation * normal(self._shape, rng, self._device)
        times = [0.0]
        if wanted.start is not None and controls.strength < 1:
            times = [1 - controls.strength]
            z_X = controls.strength * z_X + times[0] * wanted.start
        steps = max(1, math.ceil(controls.steps * (1 - times[0]) - 1e-9))
        times = [times[0] + (1 - times[0]) * number / steps for number in range(steps)] + [1.0]
        key = (controls.solver, shapes(wanted.given))
        return FlowState(
            batch_key=key, data=z_X, given=wanted.given, against=wanted.against, controls=controls, times=times
        )

    @torch.inference_mode()
    def step(self, states: list[State]) -> None:
        mine = [state for state in states if isinstance(state, FlowState)]
        solve = SOLVERS[mine[0].controls.solver]
        time_B, until_B = (self._vector([state.times[state.step + ahead] for state in mine]) for ahead in (0, 1))
        z_BX = solve(self._velocity(mine), torch.stack([state.data for state in mine]), time_B, until_B)
        for state, z_X in zip(mine, z_BX, strict=True):
            state.data, state.step = z_X, state.step + 1
            if state.step == len(state.times) - 1:
                state.emitted.append(z_X.cpu())
                state.done = True

    def _velocity(self, states: list[FlowState]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """Of the clean data that is foreseen, by each request's guidance. Rows that are guided go through the network twice, in one batch."""
        guided = [
            row
            for row, state in enumerate(states)
            if self._conditional and state.controls.guidance != 1 and state.times[state.step] >= GUIDED_FROM
        ]
        others = [states[row].against or states[row].given for row in guided]
        given = stack([state.given for state in states] + others)
        told = [True] * len(states) + [states[row].against is not None for row in guided]
        rows = torch.tensor([*range(len(states)), *guided], device=self._device)
        told_B = torch.tensor(told, device=self._device)
        scale_G = self._vector([states[row].controls.guidance for row in guided])

        def velocity(z_BX: Tensor, time_B: Tensor, until_B: Tensor) -> Tensor:
            clean_BX = self._predict(z_BX[rows], time_B[rows], until_B[rows], given, told_B)
            clean_BX, other_GX = clean_BX[: len(states)], clean_BX[len(states) :]
            if guided:
                led_GX = other_GX + like(scale_G, other_GX) * (clean_BX[guided] - other_GX)
                clean_BX = clean_BX.index_copy(0, rows[len(states) :], led_GX)
            return (clean_BX - z_BX) / like(1 - time_B, z_BX)

        return velocity

    def _vector(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self._device)

    def release(self, state: State) -> None:
        """Nothing is held between steps but in the state."""
