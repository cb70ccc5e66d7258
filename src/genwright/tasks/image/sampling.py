"""Drawing pictures from a trained model, each from a random stream of its own.

Picture `index` of a seed is the same whether it is drawn alone or with others, by a request or for the scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

from genwright.families.base import Session, State
from genwright.families.one_step import OneStepState
from genwright.model import Model

AT_ONCE = 64
"""Pictures that share a step: enough to fill the processor, few enough to answer soon."""


def stream(seed: int, index: int) -> torch.Generator:
    """The random stream of one picture; on the CPU, so that every device draws the same noise."""
    (number,) = np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(number >> 1))


def starter(condition: Tensor, seed: int, index: int, controls: BaseModel) -> Callable[[Session], State]:
    """What the engine calls once there is room."""
    return lambda session: session.start(condition, stream(seed, index), controls)


def sample(
    model: Model, conditions: np.ndarray, seed: int, controls: BaseModel | None = None, first: int = 0
) -> np.ndarray:
    """One picture for each row of `conditions` (as `Example["condition"]` holds them) -> uint8[N, H, W, 3].

    Picture i is that of `stream(seed, first + i)`. `controls` are the family's; default: its defaults.
    """
    controls = controls or model.family.Controls()
    session = model.session(AT_ONCE)
    images: list[np.ndarray] = []
    for start in range(0, len(conditions), AT_ONCE):
        rows = torch.from_numpy(np.asarray(conditions[start : start + AT_ONCE], np.int64))
        states = [starter(row, seed, first + start + i, controls)(session) for i, row in enumerate(rows)]
        session.step(states)
        for state in states:
            images.append(state.emitted.popleft().numpy())
            session.release(state)
    return np.stack(images)


def interpolate(model: Model, start: np.ndarray, stop: np.ndarray, seed: int, steps: int = 8) -> np.ndarray:
    """Pictures on the way from one drawing (condition `start`, stream 0 of the seed) to another (`stop`, stream 1).

    The noise turns along the great circle, so that its length stays likely; the condition changes half way.
    -> uint8[steps, H, W, 3].
    """
    session = model.session(AT_ONCE)
    controls = model.family.Controls()

    states: list[State] = []
    for share in np.linspace(0, 1, steps):
        row = torch.from_numpy(np.asarray(start if share < 0.5 else stop, np.int64))
        state, other = (starter(row, seed, index, controls)(session) for index in (0, 1))
        if isinstance(state, OneStepState) and isinstance(other, OneStepState):
            state.noise = math.cos(share * math.pi / 2) * state.noise + math.sin(share * math.pi / 2) * other.noise
        session.release(other)
        states.append(state)
    session.step(states)
    for state in states:
        session.release(state)
    return np.stack([state.emitted.popleft().numpy() for state in states])
