"""The norm and the rotation by hand are torch's own, value and gradient."""

import pytest
import torch
import torch.nn.functional as F

from genwright.networks import elementwise
from genwright.networks.elementwise import RMSNorm, rotate


@pytest.mark.parametrize("shape", [(3, 5, 16), (2, 5, 4, 16)])
def test_the_norm_is_torchs(shape):
    torch.manual_seed(0)
    norm = RMSNorm(16, eps=1e-6)
    torch.nn.init.normal_(norm.weight)
    x, direction = torch.randn(shape, requires_grad=True), torch.randn(shape)
    found, expected = norm(x), F.rms_norm(x, (16,), norm.weight, 1e-6)
    torch.testing.assert_close(found, expected)
    for a, b in zip(
        torch.autograd.grad(found, (x, norm.weight), direction),
        torch.autograd.grad(expected, (x, norm.weight), direction),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_a_frozen_norm_and_a_first_norm():
    norm, x = RMSNorm(8), torch.randn(2, 8, requires_grad=True)
    norm.requires_grad_(False)
    norm(x).sum().backward()
    assert norm.weight.grad is None
    assert x.grad is not None
    norm.requires_grad_(True)
    norm(x.detach()).sum().backward()
    assert norm.weight.grad is not None


@pytest.mark.parametrize("by_row", [False, True])
def test_the_rotation_is_the_formula(monkeypatch, by_row):
    torch.manual_seed(0)
    wide = torch.randn(2, 5, 12, 8, requires_grad=True)
    x = wide[:, :, 3:7]  # as a part of a fused product lies
    angle = torch.randn((2, 5, 1, 4) if by_row else (5, 1, 4))
    rope, direction = (angle.cos(), angle.sin()), torch.randn(2, 5, 4, 8)
    found = rotate(x, rope)
    gradient = torch.autograd.grad(found, wide, direction)[0]
    monkeypatch.setattr(elementwise, "_by_hand", lambda x: False)
    expected = rotate(x, rope)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, wide, direction)[0])
    torch.testing.assert_close(found.norm(dim=-1), x.norm(dim=-1))


def test_reading_alone_takes_torchs_own(monkeypatch):
    monkeypatch.setattr(elementwise._Norm, "apply", None)
    monkeypatch.setattr(elementwise._Rotation, "apply", None)
    x = torch.randn(2, 5, 4, 8)
    with torch.inference_mode():
        assert torch.equal(RMSNorm(8)(x), F.rms_norm(x, (8,)))
        rotate(x, (torch.ones(5, 1, 4), torch.zeros(5, 1, 4)))
