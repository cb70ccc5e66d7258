"""The codec's networks: rounding and codes against the paper's formula by hand, shapes for every size of picture."""

from __future__ import annotations

import math

import pytest
import torch

from genwright.networks.codes.codec import Decoder, Encoder, PatchJudge, Quantiser
from genwright.networks.roles import parameter_roles


def test_every_code_comes_back_of_its_values():
    quantiser = Quantiser([8, 5, 5, 5])
    assert quantiser.count == 1000
    code_BT = torch.arange(1024).clamp(max=999)[None]
    values = quantiser.values(code_BT)
    assert values.shape == (1, 4, 32, 32) and values.min() == -1 and values.max() == 1
    # Numbers that are squashed to just those values: the bound undone.
    reach = torch.tensor([7.0, 4, 4, 4])[:, None, None] * (1 + 1e-3) / 2
    offset = torch.tensor([0.5, 0, 0, 0])[:, None, None]
    half = torch.tensor([4.0, 2, 2, 2])[:, None, None]
    numbers = torch.atanh((values * half + offset) / reach) - torch.atanh(offset / reach)
    torch.testing.assert_close(quantiser(numbers), values)
    assert torch.equal(quantiser.codes(numbers), code_BT)


def test_numbers_of_three_levels_by_hand():
    quantiser = Quantiser([3, 3])
    x = torch.tensor([[-9.0, 9.0], [0.0, 0.6]]).reshape(1, 2, 1, 2)  # tanh(0.6) is 0.54, which rounds up
    assert quantiser(x).flatten().tolist() == [-1, 1, 0, 1]
    assert quantiser.codes(x).tolist() == [[0 + 3 * 1, 2 + 3 * 2]]


def test_the_gradient_passes_the_rounding():
    x = torch.tensor([0.3]).reshape(1, 1, 1, 1).requires_grad_()
    Quantiser([5])(x).sum().backward()
    reach = 4 * (1 + 1e-3) / 2
    assert x.grad is not None
    assert x.grad.item() == pytest.approx(reach * (1 - math.tanh(0.3) ** 2) / 2, rel=1e-5)


@pytest.mark.parametrize(("size", "shrink"), [(16, 4), (32, 2), (32, 4), (64, 8), (128, 16)])
def test_a_picture_becomes_a_grid_and_a_picture_again(size: int, shrink: int):
    encoder, decoder = Encoder(16, shrink, 1, 4), Decoder(16, shrink, 1, 4)
    quantiser, image = Quantiser([8, 5, 5, 5]), torch.rand(2, 3, size, size) * 2 - 1
    numbers = encoder(image)
    assert numbers.shape == (2, 4, size // shrink, size // shrink)
    given_back = decoder(quantiser(numbers))
    assert given_back.shape == image.shape
    torch.testing.assert_close(decoder(quantiser.values(quantiser.codes(numbers))), given_back)


def test_the_judge_sees_patches_in_layers():
    judge = PatchJudge((8, 16))
    logits, seen = judge(torch.rand(2, 3, 32, 32))
    assert logits.shape == (2, 8, 8)
    assert [layer.shape for layer in seen] == [(2, 8, 16, 16), (2, 16, 8, 8)]
    assert parameter_roles(judge)["layers.1.weight"].kind == "matrix"
