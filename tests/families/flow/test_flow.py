"""The flow: its losses by hand on a network of one weight, what it is chosen by, its phases, and the large steps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from genwright.families.base import Batch, Moment
from genwright.families.flow.family import NEAREST, Flow, large_steps
from genwright.families.flow.options import Settings
from genwright.families.given import Given


class OneWeight(nn.Module):
    """The clean data is foreseen as weight * z + condition, where that is told."""

    shape = (1,)
    conditional = True

    def __init__(self, weight: float = 0.5):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def forward(self, z_BX: Tensor, time_B: Tensor, until_B: Tensor, given: Given, told_B: Tensor) -> Tensor:
        self.seen.append((time_B, until_B, told_B))
        return self.weight * z_BX + given["condition"] * told_B[:, None]


def _batch(rows: int = 8) -> Batch:
    return {"data": torch.linspace(-1, 1, rows)[:, None], "condition": torch.full((rows, 1), 0.25)}


def _rng() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def _flow(**settings: object) -> tuple[Flow, OneWeight]:
    network = OneWeight()
    return Flow(network, Settings.model_validate(settings)), network


def test_the_loss_is_the_squared_error_of_the_velocity():
    family, network = _flow(time_mean=-0.4, time_deviation=0.8)
    found = family.loss("flow", _batch(), _rng(), Moment())
    rng, batch = _rng(), _batch()
    noise, logit = torch.randn(8, 1, generator=rng), torch.randn(8, generator=rng)
    time = (1 / (1 + torch.exp(0.4 - 0.8 * logit)))[:, None]
    told = (torch.rand(8, generator=rng) >= 0.1).float()[:, None]
    z = time * batch["data"] + (1 - time) * noise
    clean = 0.5 * z + 0.25 * told
    velocity, true = (clean - z) / (1 - time), batch["data"] - noise
    assert (1 - time).min() > NEAREST
    assert found.value.item() == pytest.approx(((velocity - true) ** 2).mean().item(), rel=1e-5)
    assert found.weight == 8
    ((at, until, _),) = network.seen
    torch.testing.assert_close(at, time[:, 0])
    assert torch.equal(at, until)


def test_near_the_data_the_distance_it_divides_by_is_bounded():
    family, _ = _flow(time_mean=9.0, untold=0.0)
    found = family.loss("flow", _batch(), _rng(), Moment())
    rng, data = _rng(), _batch()["data"]
    noise = torch.randn(8, 1, generator=rng)
    time = torch.sigmoid(9 + torch.randn(8, generator=rng))[:, None]
    z = time * data + (1 - time) * noise
    by_hand = ((0.5 * z + 0.25 - data) / NEAREST) ** 2
    assert found.value.item() == pytest.approx(by_hand.mean().item(), rel=1e-4)


def test_so_many_examples_are_not_told_what_they_show():
    for untold in (0.0, 0.4):
        family, network = _flow(untold=untold)
        family.loss("flow", _batch(2000), _rng(), Moment())
        assert 1 - network.seen[0][2].float().mean().item() == pytest.approx(untold, abs=0.05)


def test_large_steps_lie_where_equal_steps_do():
    start, stop = large_steps(4000, _rng(), torch.device("cpu"))
    length = stop - start
    assert set(length.tolist()) == {1.0, 0.5, 0.25, 0.125, 0.0625}
    assert start.min() == 0 and stop.max() == 1
    torch.testing.assert_close((start / length).round(), start / length)


def test_a_large_step_learns_to_arrive_where_two_of_the_averages_do():
    family, network = _flow(few_steps_share=0.5, untold=0.0)
    average = {"weight": torch.tensor(0.2)}
    found = family.loss("few_steps", _batch(), _rng(), Moment(averages={"network": average}.get))
    time, until, _ = network.seen[-1]
    assert torch.equal(time[4:], until[4:]) and (until[:4] > time[:4]).all()

    rng, data = _rng(), _batch()["data"]
    noise = torch.randn(8, 1, generator=rng)
    z = time[:, None] * data + (1 - time[:, None]) * noise

    def step(z: Tensor, start: Tensor, stop: Tensor) -> Tensor:
        velocity = (0.2 * z + 0.25 - z) / (1 - start)
        return z + (stop - start) * velocity

    start, stop = time[:4, None], until[:4, None]
    middle = (start + stop) / 2
    arrived = step(step(z[:4], start, middle), middle, stop)
    mean_velocity = (arrived - z[:4]) / (stop - start)
    own = (0.5 * z[:4] + 0.25 - z[:4]) / (1 - start)
    by_hand = ((own - mean_velocity) ** 2).mean()
    assert found.parts["large_step_error"].item() == pytest.approx(by_hand.item(), rel=1e-4)
    plain = (((0.5 * z[4:] + 0.25 - data[4:]) / (1 - time[4:, None]).clamp(min=NEAREST)) ** 2).mean()
    assert found.parts["velocity_error"].item() == pytest.approx(plain.item(), rel=1e-4)
    assert found.value.item() == pytest.approx((by_hand.item() + plain.item()) / 2, rel=1e-4)


def test_the_averages_are_read_and_get_no_gradient():
    family, network = _flow(few_steps_share=1.0)
    average = {"weight": torch.tensor(0.2, requires_grad=True)}
    family.loss("few_steps", _batch(), _rng(), Moment(averages={"network": average}.get)).value.backward()
    assert average["weight"].grad is None and network.weight.grad is not None and network.weight.item() == 0.5


def test_it_is_chosen_by_a_loss_at_the_same_times_whatever_moment_it_is():
    family, network = _flow(from_noise=0.0)
    one, two = (family.validate(_batch(64), _rng(), Moment(step, 100)) for step in (1, 90))
    assert one is not None and two is not None and one.value == two.value
    time, until, told = network.seen[0]
    assert torch.equal(time, until) and told.all()
    # Evenly over the distribution: the logits' quantiles, each once.
    wanted = torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(64) + 0.5) / 64)
    torch.testing.assert_close(torch.logit(time).sort().values, wanted, rtol=1e-4, atol=1e-4)


def test_large_steps_are_learned_at_the_end_and_may_be_left_out():
    plain, few = _flow(few_steps=0.0)[0].phases, _flow(few_steps=0.3)[0].phases
    assert [(phase.name, phase.begins, phase.ends) for phase in plain] == [("flow", 0.0, 1.0)]
    assert [(phase.name, phase.begins, phase.ends) for phase in few] == [("flow", 0, 0.7), ("few_steps", 0.7, 1.0)]
    assert few[0].optimizer.decay == 0 and few[1].optimizer.decay == 1  # the rate falls once
