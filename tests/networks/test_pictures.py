"""Shapes, starting points and conditions of the picture networks and of the caption encoder."""

from __future__ import annotations

import pytest
import torch

from genwright.networks import resnet
from genwright.networks.text_encoder import PAD, START, LabelEncoder, TextEncoder, condition_encoder


def _captions() -> torch.Tensor:
    return torch.tensor([[START, 5, 6, PAD], [START, 7, PAD, PAD], [START, PAD, PAD, PAD]])


def _given() -> dict[str, torch.Tensor]:
    return {"condition": _captions()}


def _trained_like(network: torch.nn.Module) -> torch.nn.Module:
    """Weights that no longer stand at the zeros they start from."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    if isinstance(network, TextEncoder):
        with torch.no_grad():
            network.tokens.weight[PAD].zero_()
    return network


def test_padding_changes_nothing():
    encoder = _trained_like(TextEncoder(10, 32))
    short = encoder(_captions()[:, :3])
    longer = encoder(torch.cat([_captions()[:, :3], torch.full((3, 5), PAD)], 1))
    torch.testing.assert_close(short, longer, rtol=1e-5, atol=1e-6)


def test_every_caption_has_a_vector_of_unit_size_the_empty_one_too():
    condition = TextEncoder(10, 32)(_captions())
    torch.testing.assert_close(condition.square().mean(1), torch.ones(3), rtol=5e-2, atol=0)


def test_a_word_that_was_never_taught_hardly_matters():
    """Words that training moved are far longer than the starting vectors, so the others vanish in the sum."""
    encoder = TextEncoder(20, 32)
    with torch.no_grad():
        encoder.tokens.weight[5:7] *= 50
    known = encoder(torch.tensor([[START, 5, 6]]))
    with_unknown = encoder(torch.tensor([[START, 12, 5, 6]]))
    assert torch.cosine_similarity(known, with_unknown).item() > 0.99


def test_labels_have_vectors_of_their_own():
    encoder = LabelEncoder(3, 16)
    a, b = encoder(torch.tensor([[0], [2]]))
    assert not torch.allclose(a, b)
    with pytest.raises(IndexError):
        condition_encoder("none", 7, 16)(torch.tensor([[1]]))


@pytest.mark.parametrize(("size", "patch", "stages"), [(16, 2, 2), (32, 2, 3), (64, 2, 4), (64, 4, 3), (8, 2, 1)])
def test_stages_go_down_to_4x4(size: int, patch: int, stages: int):
    assert resnet.stage_count(size, patch) == stages


@pytest.mark.parametrize(("size", "patch"), [(24, 2), (4, 2), (32, 3)])
def test_sizes_that_have_no_stages_are_refused(size: int, patch: int):
    with pytest.raises(ValueError, match="no stages"):
        resnet.stage_count(size, patch)


def _networks(size: int = 32) -> tuple[resnet.Generator, resnet.Discriminator]:
    torch.manual_seed(0)
    stages = resnet.stage_count(size, 2)
    blocks = [0] + [1] * (stages - 1)
    generator = resnet.Generator(TextEncoder(10, 16), [16 * 2**i for i in range(stages)], blocks, latent=8, patch=2)
    discriminator = resnet.Discriminator(TextEncoder(10, 16), [16] * stages, blocks, patch=2)
    return generator, discriminator


@pytest.mark.parametrize("size", [16, 32, 64])
def test_golden_shapes(size: int):
    generator, discriminator = _networks(size)
    image = generator(torch.randn(3, 8), _given())
    assert image.shape == (3, 3, size, size)
    assert discriminator(image, _given()).shape == (3,)
    assert discriminator(torch.cat([image, image]), _given()).shape == (6,)


def test_golden_parameters_of_a_small_size():
    generator, discriminator = _networks()
    assert sum(p.numel() for p in generator.parameters()) == 59_473
    assert sum(p.numel() for p in discriminator.parameters()) == 16_482


def test_residual_blocks_start_as_the_identity():
    x = torch.randn(2, 16, 4, 4)
    torch.testing.assert_close(resnet.ResidualBlock(16, depth=4)(x), x, rtol=0, atol=0)


def test_a_new_generator_draws_pictures_of_a_sensible_contrast():
    generator, _ = _networks()
    assert 0.05 < generator(torch.randn(64, 8), {"condition": _captions()[:1].expand(64, -1)}).std().item() < 1.0


def test_both_players_use_their_condition():
    generator, discriminator = _networks()
    noise = torch.randn(1, 8).expand(3, -1)
    image = _trained_like(generator)(noise, _given())
    assert (image[0] - image[1]).abs().max() > 1e-3
    logit = _trained_like(discriminator)(image[:1].expand(3, -1, -1, -1), _given())
    assert (logit[0] - logit[1]).abs() > 1e-4


def test_repeated_conditions_are_the_same_as_written_out():
    _, discriminator = _networks()
    images = torch.randn(6, 3, 32, 32)
    twice = discriminator(images, {"condition": _captions().repeat(2, 1)})
    torch.testing.assert_close(discriminator(images, _given()), twice, rtol=1e-5, atol=1e-6)


def test_posterior_and_prior_stay_within_bounds():
    posterior = resnet.Posterior(TextEncoder(10, 16), [16, 16, 16], [0, 1, 1], latent=8, patch=2)
    mean, log_variance = posterior(100 * torch.randn(3, 3, 32, 32), _given())
    assert mean.shape == log_variance.shape == (3, 8)
    assert log_variance.min() >= -8.001 and log_variance.max() <= 2.001
    prior_mean, prior_log_variance = resnet.Prior(TextEncoder(10, 16), 8)(_given())
    torch.testing.assert_close(prior_mean, torch.zeros(3, 8))
    assert prior_log_variance.abs().max() < 0.2


def test_soft_bound_is_the_identity_in_the_middle():
    x = torch.tensor([-100.0, -4.0, -3.0, 100.0], requires_grad=True)
    y = resnet.soft_bound(x, -8.0, 2.0)
    torch.testing.assert_close(y.detach(), torch.tensor([-8.0, -4.0, -3.0, 2.0]), atol=0.03, rtol=0)


@pytest.mark.parametrize("kernel, groups, bias", [(1, 1, True), (3, 1, False), (3, 4, True)])
@pytest.mark.parametrize("autocast", [False, True])
def test_a_convolution_is_differentiated_once_and_twice_as_torch_does_it(
    kernel: int, groups: int, bias: bool, autocast: bool
):
    torch.manual_seed(0)
    ours = resnet.conv(8, 8, kernel, groups, bias=bias)
    theirs = torch.nn.Conv2d(8, 8, kernel, padding=kernel // 2, groups=groups, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    x_BCHW, weigh_BCHW = torch.randn(3, 8, 6, 6), torch.randn(3, 8, 6, 6)
    found = []
    for layer in (ours, theirs):
        input_BCHW = x_BCHW.clone().requires_grad_(True)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = layer(input_BCHW)
            (slope,) = torch.autograd.grad((out.tanh() * weigh_BCHW).sum(), input_BCHW, create_graph=True)
            value = slope.square().sum() + out.float().square().sum()
        value.backward()
        found.append([out, slope, input_BCHW.grad, *(parameter.grad for parameter in layer.parameters())])
    for mine, other in zip(*found, strict=True):
        assert (mine - other).norm() <= (2e-2 if autocast else 1e-5) * other.norm()
