"""The cycle GAN: what each phase computes and trains on networks small enough to work out, the pool, and real networks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genwright.engine.engine import Engine
from genwright.families.base import Moment
from genwright.families.gan.cycle.family import CycleGan
from genwright.families.gan.cycle.options import Controls, Opening, Settings
from genwright.families.given import START, Given
from genwright.networks.resnet import Discriminator
from genwright.networks.text_encoder import condition_encoder
from genwright.networks.translator import Translator


class Times(nn.Module):
    """G(x) = factor * x."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x_BX: Tensor) -> Tensor:
        return self.factor * x_BX


class Judge(nn.Module):
    """D(x) = weight * x."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, image_BCHW: Tensor, given: Given) -> Tensor:
        return self.weight * image_BCHW[:, 0, 0, 0]


def small(**settings: Any) -> CycleGan:
    set_up = Settings.model_validate({"augment": 0, "gamma": 0, **settings})
    return CycleGan(Times(2.0), Times(-1.0), Judge(0.5), Judge(1.0), set_up)


def batch(a: list[float], b: list[float]) -> dict[str, Tensor]:
    return {
        "beside": torch.tensor(a).reshape(-1, 1, 1, 1),
        "data": torch.tensor(b).reshape(-1, 1, 1, 1),
        "condition": torch.zeros(len(a), 1),
    }


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_the_generators_loss_by_hand():
    """a = 1, b = 3: forth makes 2 of a, back makes -3 of b; forth and back again -2 and -6."""
    loss = small(cycle=10, identity=5).loss("generators", batch([1.0], [3.0]), rng(), Moment())
    fooled = softplus(0.5 * 1 - 0.5 * -3) + softplus(3 - 2)
    cycle = abs(-2 - 1) + abs(-6 - 3)
    identity = abs(-1 - 1) + abs(6 - 3)
    assert loss.value.item() == pytest.approx(fooled + 10 * cycle + 5 * identity, rel=1e-6)
    assert loss.parts["cycle_error"].item() == cycle and loss.parts["identity_error"].item() == identity


def test_the_discriminators_loss_by_hand():
    loss = small(pool=0).loss("discriminators", batch([1.0], [3.0]), rng(), Moment())
    assert loss.value.item() == pytest.approx(softplus(0.5 * -3 - 0.5 * 1) + softplus(2 - 3), rel=1e-6)
    with_penalty = small(pool=0, gamma=2, penalty_share=1).loss("discriminators", batch([1.0], [3.0]), rng(), Moment())
    # D's gradient is its weight everywhere: R1 and R2 of each are its square.
    assert with_penalty.value.item() == pytest.approx(loss.value.item() + 2 * (0.25 + 1), rel=1e-6)


@pytest.mark.parametrize(
    ("phase", "trained"), [("generators", {"forth", "back"}), ("discriminators", {"judge_a", "judge_b"})]
)
def test_each_phase_gives_gradients_to_its_own_networks(phase: str, trained: set[str]):
    family = small(gamma=1)
    spec = next(one for one in family.phases if one.name == phase)
    assert set(spec.trains) == trained
    family.loss(phase, batch([1.0, 0.5], [3.0, 2.0]), rng(), Moment()).value.backward()
    assert all(p.grad is not None and p.grad != 0 for name in trained for p in family.modules[name].parameters())


def test_the_pool_hands_out_what_was_made_before_half_of_the_time():
    family = small(pool=64)
    for number in range(2):  # fills it with what is made of 0 .. 63
        first = [float(n) for n in range(32 * number, 32 * number + 32)]
        family.loss("discriminators", batch(first, first), rng(), Moment())
    full = family.extra_state()["pools"]["judge_b"].flatten()
    assert sorted(full.tolist()) == [2.0 * n for n in range(64)]
    made_BX = torch.full((32, 1, 1, 1), -1.0)
    shown = family._pooled("judge_b", made_BX, rng()).flatten()
    former, now = shown[shown != -1], family.extra_state()["pools"]["judge_b"].flatten()
    assert (
        8 <= len(former) <= 24
        and len(set(former.tolist())) == len(former)
        and set(former.tolist()) <= set(full.tolist())
    )
    assert (now == -1).sum() == len(former) and set(now.tolist()) == set(full.tolist()) - set(former.tolist()) | {-1.0}


def test_what_stood_in_the_pool_comes_back_with_the_state():
    one, other = small(pool=4), small(pool=4)
    one.loss("discriminators", batch([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]), rng(), Moment())
    other.load_extra_state(one.extra_state())
    again = [f.loss("discriminators", batch([9.0, 10.0], [11.0, 12.0]), rng(), Moment()) for f in (one, other)]
    assert torch.equal(again[0].value, again[1].value)
    assert torch.equal(one.extra_state()["pools"]["judge_a"], other.extra_state()["pools"]["judge_a"])
    fresh = small(pool=4).loss("discriminators", batch([9.0, 10.0], [11.0, 12.0]), rng(), Moment())
    assert not torch.equal(fresh.value, again[0].value)


def real() -> CycleGan:
    torch.manual_seed(0)
    judges = [Discriminator(condition_encoder("none", 1, 8), [16, 16], [0, 1], 2) for _ in range(2)]
    return CycleGan(
        Translator([16, 16], [1, 1], 2), Translator([16, 16], [1, 1], 2), *judges, Settings.model_validate({})
    )


def test_a_translator_begins_as_the_identity_and_every_weight_of_it_learns():
    family = real()
    picture = torch.rand(2, 3, 16, 16) * 2 - 1
    assert torch.equal(family.modules["forth"](picture), picture)
    with torch.no_grad():
        for parameter in family.modules["forth"].parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    family.modules["forth"](picture).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in family.modules["forth"].parameters())


def test_a_request_goes_the_way_that_it_asks_for_and_company_changes_nothing():
    family = CycleGan(Times(2.0), Times(-1.0), Judge(1.0), Judge(1.0), Settings.model_validate({}))
    session, engine, picture = family.open(4, Opening()), Engine(), torch.full((1, 2, 2), 0.25)
    outputs = [
        engine.submit(
            session,
            lambda s, way=way: s.start({START: picture, "condition": torch.tensor([way])}, rng(), Controls()),
        )
        for way in (1, 0, 1)
    ]
    assert [next(iter(output)).flatten().tolist() for output in outputs] == [[0.5] * 4, [-0.25] * 4, [0.5] * 4]


def test_flops_count_all_that_a_step_does():
    family, example = real(), {name: torch.zeros(2, 3, 16, 16) for name in ("data", "beside")}
    whole = family.flops(example)
    family.settings.identity = 0
    assert 0 < family.flops(example) < whole
