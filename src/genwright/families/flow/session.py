"""The flow at work: each request has its noise, its place on the way to the data and its guidance; those that wait share every step.

A request may begin with data: mixed with noise, or taken back along the flow towards the noise that it would have come from, and from
there to other data (dual diffusion implicit bridges, arXiv:2203.08382).

Shapes: B batch, X the data's own axes. data_BX in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from pydantic import BaseModel
from torch import Tensor

from genwright.families.base import Between, State, normal
from genwright.families.flow.options import Controls
from genwright.families.flow.solvers import SOLVERS, heun, like
from genwright.families.given import Given, asked, shapes, stack

BACK_FROM = 0.98
"""Time at which a way back begins, with that little noise mixed in: data itself has no one noise behind it, for a plain ground comes of any."""

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
    as_it_is: Given | None = None
    """What is given on the way back."""
    turn: int = 0
    """Steps that go back, to earlier times, before all others go on."""

    @property
    def goes_back(self) -> bool:
        return self.step < self.turn

    @property
    def told(self) -> Given:
        """What is given now."""
        return self.as_it_is if self.goes_back and self.as_it_is is not None else self.given

    def key(self) -> Hashable:
        return ("back" if self.goes_back else self.controls.solver, shapes(self.told))


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
        noise_X = controls.truncation * normal(self._shape, rng, self._device)
        begins, z_X, back = 0.0, noise_X, []
        if wanted.start is not None and (controls.strength < 1 or wanted.as_it_is is not None):
            begins = 1 - controls.strength
            mixed = begins if wanted.as_it_is is None else max(begins, BACK_FROM)
            z_X = (1 - mixed) * noise_X + mixed * wanted.start
            back = between(mixed, begins, controls.steps)
        state = FlowState(
            data=z_X,
            given=wanted.given,
            against=wanted.against,
            controls=controls,
            times=[*back, *between(begins, 1.0, controls.steps), 1.0],
            as_it_is=wanted.as_it_is and {**wanted.given, **wanted.as_it_is},
            turn=len(back),
        )
        state.batch_key = state.key()
        return state

    @torch.inference_mode()
    def step(self, states: list[State]) -> None:
        mine = [state for state in states if isinstance(state, FlowState)]
        # Steps of a length that was learned go forward only.
        solve = heun if mine[0].goes_back else SOLVERS[mine[0].controls.solver]
        time_B, until_B = (self._vector([state.times[state.step + ahead] for state in mine]) for ahead in (0, 1))
        z_BX = solve(self._velocity(mine), torch.stack([state.data for state in mine]), time_B, until_B)
        for state, z_X in zip(mine, z_BX, strict=True):
            state.data, state.step = z_X, state.step + 1
            state.batch_key = state.key()
            if state.step == len(state.times) - 1:
                state.emitted.append(z_X.cpu())
                state.done = True

    def _velocity(self, states: list[FlowState]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """Of the clean data that is foreseen, by each request's guidance. Rows that are guided go through the network twice, in one batch."""
        guided = [
            row
            for row, state in enumerate(states)
            if self._conditional and state.controls.guidance != 1 and not state.goes_back
        ]
        others = [states[row].against or states[row].given for row in guided]
        given = stack([state.told for state in states] + others)
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


def between(start: float, stop: float, steps: int) -> list[float]:
    """The times at which equal steps begin from one time to another, as many as `steps` in a whole way gives for that part of it."""
    count = math.ceil(steps * abs(stop - start) - 1e-9)
    if stop > start:
        count = max(count, 1)
    return [start + (stop - start) * number / count for number in range(count)]
