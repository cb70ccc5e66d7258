"""The networks of a flow: where they start, that rows keep to themselves, what the words and the two times do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from genwright.networks.dit import DiT
from genwright.networks.roles import parameter_roles
from genwright.networks.text_encoder import PAD, START
from genwright.networks.told import CaptionTokens, condition_tokens
from genwright.networks.unet import DEVIATION, UNet, scales

CAPTIONS = torch.tensor([[START, 5, 6, 7], [START, 7, PAD, PAD], [START, PAD, PAD, PAD]])
KINDS = {"text": CAPTIONS, "label": torch.tensor([[2], [0], [1]]), "none": torch.zeros(3, 1, dtype=torch.long)}


def _network(kind: str, condition: str = "text", beside: int = 0) -> nn.Module:
    torch.manual_seed(0)
    encoder = condition_tokens(condition, {"text": 10, "label": 3}.get(condition, 1), 32, 1)
    if kind == "unet":
        return UNet(encoder, 16, [16, 32], [1, 1], [False, True], 2, beside=beside)
    return DiT(encoder, 16, 64, 2, 4, 16, beside=beside)


def _trained_like(network: nn.Module) -> nn.Module:
    """Weights that no longer stand at the zeros they start from."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


def _inputs(condition: str = "text") -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor], Tensor]:
    z = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    time = torch.tensor([0.1, 0.5, 0.9])
    return z, time, time + 0.05, {"condition": KINDS[condition]}, torch.ones(3, dtype=torch.bool)


@pytest.mark.parametrize("kind", ["unet", "transformer"])
@pytest.mark.parametrize("condition", ["text", "label", "none"])
def test_rows_keep_to_themselves_in_any_order(kind: str, condition: str):
    network, inputs = _trained_like(_network(kind, condition)), _inputs(condition)
    z, time, until, given, told = inputs
    whole = network(*inputs)
    assert whole.shape == z.shape
    order = torch.tensor([2, 0, 1])
    turned = network(z[order], time[order], until[order], {"condition": given["condition"][order]}, told[order])
    torch.testing.assert_close(turned, whole[order], rtol=1e-4, atol=1e-4)
    alone = network(z[1:2], time[1:2], until[1:2], {"condition": given["condition"][1:2]}, told[1:2])
    torch.testing.assert_close(alone, whole[1:2], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["unet", "transformer"])
def test_a_picture_beside_is_seen_row_by_row(kind: str):
    network, (z, time, until, given, told) = _trained_like(_network(kind, beside=4)), _inputs()
    beside = torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(5))
    usual = network(z, time, until, given | {"beside": beside}, told)
    assert usual.shape == z.shape
    beside[1] += 1
    changed = network(z, time, until, given | {"beside": beside}, told)
    moved = (changed - usual).abs().amax((1, 2, 3))
    assert moved[1] > 0.01 and moved[[0, 2]].max() < 1e-4


@pytest.mark.parametrize("kind", ["unet", "transformer"])
def test_words_and_times_matter_once_it_is_trained(kind: str):
    network, (z, time, until, given, told) = _trained_like(_network(kind)), _inputs()
    usual = network(z, time, until, given, told)
    for changed in (network(z, time + 0.05, until, given, told), network(z, time, until + 0.05, given, told)):
        assert (changed - usual).abs().flatten(1).amax(1).min() > 1e-3
    others = network(z, time, until, {"condition": CAPTIONS.flip(0)}, told)
    assert (others - usual)[[0, 2]].abs().flatten(1).amax(1).min() > 1e-3
    untold = network(z, time, until, given, torch.tensor([False, False, False]))
    assert (untold - usual)[:2].abs().max() > 1e-3
    torch.testing.assert_close(untold[2], usual[2])  # an empty caption tells nothing


def test_a_step_of_no_length_has_no_length_in_it():
    for kind in ("unet", "transformer"):
        network, (z, time, _, given, told) = _trained_like(_network(kind)), _inputs()
        plain = network(z, time, time, given, told)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if "leap_in" in name:
                    parameter.add_(1.0)
        torch.testing.assert_close(network(z, time, time, given, told), plain)


def test_untrained_a_u_net_keeps_what_is_sure_and_a_transformer_says_nothing():
    inputs = _inputs()
    keep, _, _ = scales(inputs[1])
    torch.testing.assert_close(_network("unet")(*inputs), keep * inputs[0])
    assert not _network("transformer")(*inputs).any()


@pytest.mark.parametrize("kind", ["unet", "transformer"])
def test_they_learn_in_half_precision(kind: str):
    network, inputs = _trained_like(_network(kind)), _inputs()
    usual = network(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        half = network(*inputs)
    assert (half - usual).abs().max() < 0.1 * usual.abs().max()
    half.square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


def test_the_scales_are_edms():
    """Of z = t x + (1 - t) n, x of deviation s: the best linear guess of x, its input at unit size, and what it leaves of x."""
    time, s = torch.tensor([0.0, 0.3, 0.8], dtype=torch.float64), DEVIATION
    keep, into, out = (part.flatten() for part in scales(time))
    variance = (time * s) ** 2 + (1 - time) ** 2
    torch.testing.assert_close(keep, time * s**2 / variance)
    torch.testing.assert_close(into, variance**-0.5)
    torch.testing.assert_close(out**2, s**2 - (time * s**2) ** 2 / variance)


def test_words_that_were_left_out_are_closed_up_and_padding_changes_nothing():
    encoder = _trained_like(CaptionTokens(10, 32, 2))
    told = torch.ones(1, dtype=torch.bool)
    short, real = encoder(torch.tensor([[START, 5, 6]]), told)
    holed, real_too = encoder(torch.tensor([[START, PAD, 5, PAD, 6, PAD]]), told)
    torch.testing.assert_close(holed[:, :3], short, rtol=1e-5, atol=1e-6)
    assert real.all() and real_too.tolist() == [[True] * 3 + [False] * 3]


def test_what_is_not_told_is_an_empty_caption():
    encoder = _trained_like(CaptionTokens(10, 32, 2))
    untold, real = encoder(CAPTIONS[:1], torch.tensor([False]))
    empty, _ = encoder(CAPTIONS[2:], torch.tensor([True]))
    torch.testing.assert_close(untold, empty)
    assert real.tolist() == [[True, False, False, False]]


@pytest.mark.parametrize("kind", ["unet", "transformer"])
def test_the_ends_and_what_reads_times_are_not_for_muon(kind: str):
    roles = parameter_roles(_network(kind))
    plain = {name for name, role in roles.items() if role.kind != "matrix"}
    ends = {"unet": ("stem.weight", "out.weight"), "transformer": ("img_in.0.weight", "final_layer.linear.weight")}[
        kind
    ]
    assert plain >= {*ends, *(name for name in roles if "time_in" in name or "leap_in" in name or "modulation" in name)}
    assert sum(role.kind == "matrix" for role in roles.values()) > 10
