"""The steps along a flow: what they are exact for, of which order they are, and that rows keep their own times."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from genwright.families.flow.solvers import Velocity, euler, heun, leap

Z = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)


def _times(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _decay(z_BX: Tensor, time_B: Tensor, until_B: Tensor) -> Tensor:
    return -z_BX


def _walk(solver, velocity: Velocity, steps: int, end: float) -> Tensor:
    z = Z
    for number in range(steps):
        z = solver(velocity, z, _times(*[end * number / steps] * 2), _times(*[end * (number + 1) / steps] * 2))
    return z


def test_every_step_is_exact_for_a_straight_flow():
    for solver in (leap, euler, heun):
        found = solver(lambda z, t, u: torch.full_like(z, 3.0), Z, _times(0.2, 0.0), _times(0.6, 0.5))
        torch.testing.assert_close(found, Z + 3 * torch.tensor([[0.4], [0.5]], dtype=torch.float64))


def test_heun_is_exact_where_the_velocity_grows_evenly_and_euler_is_not():
    """dz/dt = 2 t + 1, so z goes from t to u by u^2 - t^2 + u - t."""

    def field(z: Tensor, t: Tensor, u: Tensor) -> Tensor:
        return (2 * t + 1)[:, None].expand_as(z)

    exact = Z + torch.tensor([[0.6**2 - 0.2**2 + 0.4], [0.5**2 + 0.5]], dtype=torch.float64)
    torch.testing.assert_close(heun(field, Z, _times(0.2, 0.0), _times(0.6, 0.5)), exact)
    assert (euler(field, Z, _times(0.2, 0.0), _times(0.6, 0.5)) - exact).abs().min() > 0.1


@pytest.mark.parametrize(("solver", "order"), [(euler, 1), (heun, 2)])
def test_the_error_falls_with_the_order_of_the_solver(solver, order: int):
    exact = Z * math.exp(-0.5)
    coarse, fine = ((_walk(solver, _decay, steps, 0.5) - exact).abs().max() for steps in (16, 32))
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.1)


def test_a_leap_is_exact_by_the_mean_velocity():
    def mean(z: Tensor, t: Tensor, u: Tensor) -> Tensor:
        length = (u - t)[:, None]
        return z * (torch.exp(-length) - 1) / length

    torch.testing.assert_close(_walk(leap, mean, 2, 0.8), Z * math.exp(-0.8))


def test_a_row_that_arrives_takes_eulers_step_and_the_others_heuns():
    def field(z: Tensor, t: Tensor, u: Tensor) -> Tensor:
        return z / (1 - t)[:, None]  # as a velocity by the clean data, not defined at 1

    mixed = heun(field, Z, _times(0.9, 0.2), _times(1.0, 0.4))
    assert mixed.isfinite().all()
    torch.testing.assert_close(mixed[0], euler(field, Z, _times(0.9, 0.2), _times(1.0, 0.4))[0])
    torch.testing.assert_close(mixed[1], heun(field, Z, _times(0.1, 0.2), _times(0.2, 0.4))[1])
    arrived = heun(field, Z, _times(0.9, 0.9), _times(1.0, 1.0))
    torch.testing.assert_close(arrived, euler(field, Z, _times(0.9, 0.9), _times(1.0, 1.0)))
