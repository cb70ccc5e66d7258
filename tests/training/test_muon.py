"""Muon's update is orthogonal, and stacking, transposing and cutting change nothing but the speed."""

import pytest
import torch
from torch import nn

from genwright.training.muon import POLAR_EXPRESS, Muon, as_matrix, group_rows, orthogonalise


def exact(matrix):
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    return u @ v


def test_orthogonalise_nears_the_polar_factor():
    torch.manual_seed(0)
    x = torch.randn(5, 24, 60)
    singular = torch.linalg.svdvals(orthogonalise(x))
    assert (singular - 1).abs().max() < 0.2
    for result, given in zip(orthogonalise(x), x, strict=True):
        cosine = torch.nn.functional.cosine_similarity(result.flatten(), exact(given).flatten(), dim=0)
        assert cosine > 0.99


def test_coefficients_carry_small_singular_values_to_one():
    x = torch.logspace(-3, 0, 400, dtype=torch.float64)
    for a, b, c in POLAR_EXPRESS:
        x = a * x + b * x**3 + c * x**5
    assert (x - 1).abs().max() < 0.2


def test_fewer_steps_carry_large_singular_values_only():
    torch.manual_seed(3)
    x = torch.linalg.svd(torch.randn(16, 16)).U * torch.logspace(-4, 0, 16) @ torch.linalg.svd(torch.randn(16, 16)).U
    three, five = (torch.linalg.svdvals(orthogonalise(x[None], steps)[0]) for steps in (3, 5))
    assert three[-1] < five[-1] < 0.5
    assert three[0] > 0.4
    with pytest.raises(ValueError, match="1 to 5"):
        Muon([(nn.Parameter(x), None)], 0.9, polar_steps=6)


@pytest.mark.parametrize("shape", [(16, 60), (24, 24), (60, 16)])
def test_wide_and_square_and_tall_are_the_plain_iteration(shape):
    torch.manual_seed(4)
    x = torch.randn(3, *shape, dtype=torch.float64)
    plain = x / (torch.linalg.matrix_norm(x, keepdim=True) * 1.01 + 1e-7)
    for index, (a, b, c) in enumerate(POLAR_EXPRESS):
        guard = 1.01 if index < 4 else 1.0
        gram = plain @ plain.mT
        plain = a / guard * plain + (b / guard**3 * gram + c / guard**5 * gram @ gram) @ plain
        torch.testing.assert_close(orthogonalise(x, index + 1, scale=1.5), 1.5 * plain, atol=1e-6, rtol=1e-6)


def test_groups_of_rows_are_matrices_of_their_own():
    assert [group_rows(*shape, 2) for shape in ((384, 384), (1024, 384), (384, 1024), (340, 128), (7, 40), (13, 13))] == [
        192, 128, 192, 68, 7, 13,
    ]  # fmt: skip
    assert group_rows(340, 128, 1) == 340
    torch.manual_seed(5)
    whole, cut = nn.Parameter(torch.zeros(24, 12)), [nn.Parameter(torch.zeros(6, 12)) for _ in range(4)]
    whole.grad = torch.randn(24, 12)
    for piece, gradient in zip(cut, whole.grad.split(6), strict=True):
        piece.grad = gradient.clone()
    Muon([(whole, None)], 0.9, groups=2).step(0.1, 0.0, torch.tensor(1.0))
    Muon([(piece, None) for piece in cut], 0.9).step(0.1, 0.0, torch.tensor(1.0))
    torch.testing.assert_close(whole.detach(), torch.cat([piece.detach() for piece in cut]))


def test_zero_gradient_gives_zero_update():
    assert torch.equal(orthogonalise(torch.zeros(2, 4, 6)), torch.zeros(2, 4, 6))


def reference(weight, gradients, rate, decay, momentum):
    """Muon of one matrix as its author writes it, with the exact polar factor's stand-in of our own iteration."""
    buffer = torch.zeros_like(weight)
    for gradient in gradients:
        buffer = momentum * buffer + (1 - momentum) * gradient
        update = (1 - momentum) * gradient + momentum * buffer
        tall = update.shape[0] > update.shape[1]
        update = orthogonalise((update.mT if tall else update)[None])[0]
        update = update.mT if tall else update
        weight = weight * (1 - rate * decay) - rate * max(1, weight.shape[0] / weight.shape[1]) ** 0.5 * update
    return weight


def test_stacked_equals_single():
    torch.manual_seed(1)
    shapes = [(8, 8), (8, 8), (24, 8), (8, 20), (20, 8), (40, 8), (6, 4, 3, 3)]
    blocks = [None, None, (8, 8, 8), None, None, (20, 20), None]
    parameters = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    before = [p.detach().clone() for p in parameters]
    gradients = [[torch.randn(shape) for shape in shapes] for _ in range(3)]
    muon = Muon(list(zip(parameters, blocks, strict=True)), 0.9)
    assert muon.state_dict().keys() == {"8x8", "8x20", "20x8", "6x36"}
    for step in gradients:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = 4 * gradient
        muon.step(0.1, 0.01, torch.tensor(0.25))
    for index, parameter in enumerate(parameters):
        for piece, rows in zip(
            parameter.detach().flatten(1).split(blocks[index] or (shapes[index][0],)),
            torch.arange(shapes[index][0]).split(blocks[index] or (shapes[index][0],)),
            strict=True,
        ):
            of_block = [step[index].flatten(1)[rows] for step in gradients]
            expected = reference(before[index].flatten(1)[rows], of_block, 0.1, 0.01, 0.9)
            torch.testing.assert_close(piece, expected, atol=1e-5, rtol=1e-4)


def test_channels_last_weights_are_stepped_in_place():
    torch.manual_seed(2)
    plain = nn.Parameter(torch.randn(6, 4, 3, 3))
    last = nn.Parameter(plain.detach().clone(memory_format=torch.channels_last))
    gradient = torch.randn(6, 4, 3, 3)
    for parameter in (plain, last):
        parameter.grad = gradient.clone()
        muon = Muon([(parameter, None)], 0.9)
        muon.step(0.1, 0.0, torch.tensor(1.0))
    torch.testing.assert_close(last, plain, atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="densely"):
        Muon([(nn.Parameter(torch.randn(6, 8, 2)[:, ::2]), None)], 0.9)


def test_as_matrix_is_a_view():
    weight = torch.randn(6, 4, 3, 3).contiguous(memory_format=torch.channels_last)
    assert as_matrix(weight).data_ptr() == weight.data_ptr()
    assert as_matrix(weight).shape == (6, 36)
