"""The judge: its loss by hand, and what it finds out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from genwright.families.base import Family, Moment
from genwright.families.two_sample import TwoSample
from genwright.networks.judge import JudgeNetwork
from genwright.tasks.image.judges import RealAndGenerated, fresh_judge, own_judge
from genwright.tasks.image.pixels import to_network


class MeanBrightness(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, image_BCHW: torch.Tensor) -> torch.Tensor:
        return self.scale * image_BCHW.mean((1, 2, 3))


def test_loss_is_the_logistic_loss() -> None:
    judge = TwoSample(MeanBrightness())
    assert isinstance(judge, Family)
    image = torch.stack([torch.full((3, 2, 2), 1.0), torch.full((3, 2, 2), 0.5), torch.full((3, 2, 2), -0.25)])
    loss = judge.loss("judge", {"data": image, "real": torch.tensor([1.0, 0.0, 0.0])}, torch.Generator(), Moment())
    expected = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(0.5)) + math.log(1 + math.exp(-0.25))) / 3
    assert loss.value.item() == pytest.approx(expected, rel=1e-6)
    assert loss.parts["right"].item() == pytest.approx(2 / 3)
    assert loss.weight == 3


@pytest.mark.parametrize("size", [16, 32, 128])
def test_network_takes_every_picture_size(size: int) -> None:
    network = JudgeNetwork(size)
    logit_B = network(torch.zeros(2, 3, size, size))
    assert logit_B.shape == (2,)
    logit_B.sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())


def test_weights_go_out_and_come_back() -> None:
    judge, other = TwoSample(JudgeNetwork(16)), TwoSample(JudgeNetwork(16))
    other.load_tensors(judge.export_tensors())
    image = torch.randn(2, 3, 16, 16)
    for family in (judge, other):
        family.modules.eval()
    torch.testing.assert_close(judge.discriminate(image), other.discriminate(image))
    with pytest.raises(TypeError, match="makes nothing"):
        judge.open(1, judge.Opening())


def test_batches_hold_as_many_real_as_generated_and_depend_on_the_position_alone() -> None:
    real, generated = np.full((5, 16, 16, 3), 255, np.uint8), np.zeros((3, 16, 16, 3), np.uint8)
    batches = RealAndGenerated(real, generated, seed=1)
    batch = batches.batch(10, 8)
    assert batch["real"].tolist() == [0, 1] * 4
    torch.testing.assert_close(batch["data"].mean((1, 2, 3)), batch["real"] * 2 - 1)
    textured = RealAndGenerated(*(np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8),) * 2, seed=1)
    torch.testing.assert_close(textured.batch(10, 8)["data"][4:], textured.batch(14, 4)["data"])


def plainly(family: Family, batches: RealAndGenerated, steps: int) -> None:
    """A plain loop in the place of the trainer's, which has tests of its own."""
    optimizer = torch.optim.AdamW(family.modules.parameters(), 3e-3)
    for step in range(25):
        optimizer.zero_grad()
        family.loss("judge", batches.batch(step * 16, 16), torch.Generator(), Moment()).value.backward()
        optimizer.step()


def test_it_finds_out_what_differs_and_nothing_where_nothing_does() -> None:
    random = np.random.default_rng(0)

    def pictures(count: int, low: int = 0) -> np.ndarray:
        coarse = random.integers(low, 256, (count, 4, 4, 3)).astype(np.uint8)
        return coarse.repeat(4, 1).repeat(4, 2)

    sets = [pictures(200) for _ in range(3)]
    device = torch.device("cpu")
    same = fresh_judge(plainly, (sets[0], sets[1]), (sets[2], pictures(200)), 500, 0, device)
    brighter = fresh_judge(plainly, (sets[0], sets[1]), (pictures(200, 100), pictures(200, 100)), 500, 0, device)
    assert same["judge"].value == pytest.approx(0.5, abs=0.1)
    assert brighter["judge"].value > 0.9
    assert brighter["judge"].value == pytest.approx(
        (brighter["judge_on_real"].value + brighter["judge_on_generated"].value) / 2
    )


def test_the_models_own_discriminator_is_asked_about_pairs() -> None:
    class Own:
        relativistic = False

        def discriminate(self, data: torch.Tensor, given: dict[str, torch.Tensor]) -> torch.Tensor:
            return data.mean((1, 2, 3)) + given["condition"][:, 0]

    real, generated = np.full((4, 2, 2, 3), 200, np.uint8), np.full((4, 2, 2, 3), 100, np.uint8)
    generated[0] = 255
    conditions = np.array([[0], [0], [0], [-1]])
    found = own_judge(Own(), real, generated, conditions, torch.device("cpu"))
    assert found["own_pairs"].value == 0.75  # the first generated picture is brighter than the real one
    assert found["own_on_real"].value == 0.75  # the last condition pulls its pair below zero
    assert found["own_on_generated"].value == 0.75
    assert own_judge(object(), real, generated, conditions, torch.device("cpu")) == {}


def test_pictures_reach_the_network_in_minus_one_to_one() -> None:
    assert to_network(np.array([[[[0, 127, 255]]]], np.uint8)).flatten().tolist() == pytest.approx(
        [-1, -1 / 255, 1], abs=1e-6
    )
