"""Steps along a flow: each takes data from one time to a later one, by a velocity that a function gives.

Time runs from 0 (noise) to 1 (data). Each row may be at a time of its own, so that requests at different steps share a batch.

Shapes: B batch, X the data's own axes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Velocity = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(z_BX, time_B, until_B) -> the mean velocity between two times, at `until` = `time` that at the time itself."""


def leap(velocity: Velocity, z_BX: Tensor, time_B: Tensor, until_B: Tensor) -> Tensor:
    """One step by the mean velocity up to its end: exact for whoever has learned that (arXiv:2410.12557)."""
    return z_BX + like(until_B - time_B, z_BX) * velocity(z_BX, time_B, until_B)


def euler(velocity: Velocity, z_BX: Tensor, time_B: Tensor, until_B: Tensor) -> Tensor:
    """One step along the velocity at its beginning: of first order."""
    return z_BX + like(until_B - time_B, z_BX) * velocity(z_BX, time_B, time_B)


def heun(velocity: Velocity, z_BX: Tensor, time_B: Tensor, until_B: Tensor) -> Tensor:
    """One step along the mean of the velocities at its beginning and at the end that Euler finds: of second order.

    Rows that arrive at the data (time 1), where a velocity by the clean picture is not defined, take Euler's step, as in EDM's
    sampler (arXiv:2206.00364, algorithm 1).
    """
    length = like(until_B - time_B, z_BX)
    first_BX = velocity(z_BX, time_B, time_B)
    euler_BX = z_BX + length * first_BX
    arrives_B = until_B >= 1
    if bool(arrives_B.all()):
        return euler_BX
    there_B = torch.where(arrives_B, time_B, until_B)  # for the rows that take Euler's step any time will do
    second_BX = velocity(euler_BX, there_B, there_B)
    return torch.where(like(arrives_B, z_BX), euler_BX, z_BX + length * (first_BX + second_BX) / 2)


SOLVERS = {"leap": leap, "euler": euler, "heun": heun}


def like(value_B: Tensor, z_BX: Tensor) -> Tensor:
    """A value a row, with axes of length 1 for those of the data."""
    return value_B.view(-1, *[1] * (z_BX.ndim - 1))
