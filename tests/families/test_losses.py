"""The objectives against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from genwright.families import losses


def test_classic_losses_are_those_of_the_paper():
    """D(x) = 0.8 and 0.5; D(G(z)) = 0.25 and 0.5: every logarithm written out."""
    real = torch.logit(torch.tensor([0.8, 0.5], dtype=torch.float64))
    generated = torch.logit(torch.tensor([0.25, 0.5], dtype=torch.float64))
    by_hand = -(math.log(0.8) + math.log(0.5)) / 2 - (math.log(0.75) + math.log(0.5)) / 2
    assert losses.classic_discriminator(real, generated).item() == pytest.approx(by_hand, abs=1e-12)
    assert by_hand == pytest.approx(0.9485599924429406)
    by_hand = -(math.log(0.25) + math.log(0.5)) / 2
    assert losses.classic_generator(generated).item() == pytest.approx(by_hand, abs=1e-12)
    assert by_hand == pytest.approx(1.0397207708399179)


def test_classic_losses_stay_finite_where_a_probability_would_be_0_or_1():
    far = torch.tensor([1000.0], requires_grad=True)
    loss = losses.classic_discriminator(-far, far)
    assert loss.item() == pytest.approx(2000.0)
    loss.backward()
    assert far.grad is not None and far.grad.item() == pytest.approx(2.0)
    assert losses.classic_generator(-far.detach()).item() == pytest.approx(1000.0)


def test_relativistic_losses_compare_pairs():
    real, generated = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 1.0])
    by_hand = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(1))) / 2
    assert losses.relativistic_discriminator(real, generated).item() == pytest.approx(by_hand, rel=1e-6)
    by_hand = (math.log(1 + math.exp(2)) + math.log(1 + math.exp(-1))) / 2
    assert losses.relativistic_generator(real, generated).item() == pytest.approx(by_hand, rel=1e-6)


def test_gradient_penalty_of_a_quadratic_critic():
    """D(x) = a |x|^2 / 2 has the gradient a x, so the penalty is a^2 |x|^2 and its derivative by a is 2 a |x|^2."""
    a = torch.tensor(3.0, requires_grad=True)
    image = torch.tensor([[[[1.0, 2.0]]], [[[0.0, -1.0]]]])
    squared = losses.squared_gradient(lambda x: a * x.square().sum((1, 2, 3)) / 2, image)
    assert squared.tolist() == [9.0 * 5.0, 9.0 * 1.0]
    squared.mean().backward()
    assert a.grad is not None and a.grad.item() == pytest.approx(2 * 3.0 * (5.0 + 1.0) / 2)


def test_kl_of_two_normals_by_hand():
    """KL(N(1, 4) || N(0, 1)) = (4 + 1 - 1 - ln 4) / 2; KL(N(0, 1) || N(1, e)) = (1/e + 1/e - 1 + 1) / 2."""
    zero, one = torch.zeros(()), torch.ones(())
    wide = losses.kl_normal(one, torch.tensor(math.log(4.0)), zero, zero)
    assert wide.item() == pytest.approx((4 - math.log(4)) / 2, rel=1e-6)
    moved = losses.kl_normal(zero, zero, one, one)
    assert moved.item() == pytest.approx(1 / math.e, rel=1e-6)
    assert losses.kl_normal(one, one, one, one).item() == 0.0


def test_kl_agrees_with_torch_distributions():
    mean, log_variance, prior_mean, prior_log_variance = torch.randn(4, 100, generator=torch.Generator().manual_seed(0))
    ours = losses.kl_normal(mean, log_variance, prior_mean, prior_log_variance)
    p = torch.distributions.Normal(mean, torch.exp(log_variance / 2))
    q = torch.distributions.Normal(prior_mean, torch.exp(prior_log_variance / 2))
    torch.testing.assert_close(ours, torch.distributions.kl_divergence(p, q), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mean", [-1.2, -0.3, 0.0, 0.999])
@pytest.mark.parametrize("log_scale", [-6.0, -3.0, 0.0])
def test_pixel_probabilities_sum_to_one(mean: float, log_scale: float):
    """Over the 256 values of a byte: only then do bits per dimension mean anything."""
    byte = torch.arange(256, dtype=torch.float64)
    whole = torch.full((256,), 1.0, dtype=torch.float64)
    nats = losses.discretised_logistic(byte / 127.5 - 1, mean * whole, log_scale * whole)
    assert torch.exp(-nats).sum().item() == pytest.approx(1.0, abs=2e-4)


def test_pixel_probability_by_hand():
    """Byte 200 with mean on it and scale s: the mass is sigmoid(1 / 255 s) - sigmoid(-1 / 255 s)."""
    pixel, scale = torch.tensor(200 / 127.5 - 1, dtype=torch.float64), 0.01
    nats = losses.discretised_logistic(pixel, pixel, torch.tensor(math.log(scale), dtype=torch.float64))
    by_hand = -math.log(1 / (1 + math.exp(-1 / 255 / scale)) - 1 / (1 + math.exp(1 / 255 / scale)))
    assert nats.item() == pytest.approx(by_hand, rel=1e-9)


def test_pixel_likelihood_has_finite_gradients_far_from_the_mean():
    image = torch.tensor([-1.0, 1.0, 0.5, -0.5])
    mean = torch.tensor([1.0, -1.0, -1.0, 1.0], requires_grad=True)
    log_scale = torch.full((4,), -7.0, requires_grad=True)
    losses.discretised_logistic(image, mean, log_scale).sum().backward()
    assert mean.grad is not None and log_scale.grad is not None
    assert torch.isfinite(mean.grad).all() and torch.isfinite(log_scale.grad).all()
    # The mean must be pulled towards the pixel.
    assert (F.relu(mean.grad.sign() * (image - mean.detach()).sign()) == 0).all()
