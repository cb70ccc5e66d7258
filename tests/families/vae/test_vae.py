"""The VAE: the ELBO by hand, what trains, and what the controls do."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from genwright.families.base import Moment
from genwright.families.given import Given
from genwright.families.vae.family import Vae
from genwright.families.vae.options import Controls, Opening, Settings
from genwright.networks import resnet
from genwright.networks.text_encoder import condition_encoder

GIVEN = {"condition": torch.tensor([1, 4])}


class FixedPosterior(nn.Module):
    """q = N(1, 1) in two channels, whatever the picture."""

    def forward(self, image_BCHW: Tensor, given: Given) -> tuple[Tensor, Tensor]:
        return torch.ones(len(image_BCHW), 2), torch.zeros(len(image_BCHW), 2)


class FixedPrior(nn.Module):
    """p = N(0, 1) and N(1, 1): the KL is 1/2 in the first channel and 0 in the second."""

    def forward(self, given: Given) -> tuple[Tensor, Tensor]:
        return torch.tensor([[0.0, 1.0]]).expand(len(given["condition"]), -1), torch.zeros(len(given["condition"]), 2)


class FlatDecoder(nn.Module):
    """Every pixel a logistic around 0 of scale 1, whatever the latent."""

    latent = 2

    def forward(self, z_BZ: Tensor, given: Given) -> Tensor:
        return torch.zeros(len(z_BZ), 2, 1, 1)


def _by_hand(byte: int) -> float:
    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    pixel = byte / 127.5 - 1
    return -math.log(sigmoid(pixel + 1 / 255) - sigmoid(pixel - 1 / 255))


def _fixed(**settings: object) -> Vae:
    return Vae(FixedPosterior(), FlatDecoder(), FixedPrior(), Settings.model_validate(settings))


def _fixed_batch() -> dict[str, Tensor]:
    return {"data": torch.tensor([100.0, 200.0]).div(127.5).sub(1).reshape(2, 1, 1, 1), "condition": torch.zeros(2, 1)}


def test_elbo_by_hand():
    """One pixel a picture, so bits per dimension are bits a picture."""
    loss = _fixed().loss("model", _fixed_batch(), torch.Generator(), Moment())
    picture, kl = (_by_hand(100) + _by_hand(200)) / 2 / math.log(2), 0.5 / math.log(2)
    assert loss.parts["picture_bits_per_dimension"].item() == pytest.approx(picture, rel=1e-5)
    assert loss.parts["kl_bits_per_dimension"].item() == pytest.approx(kl, rel=1e-6)
    assert loss.parts["bits_per_dimension"].item() == loss.value.item() == pytest.approx(picture + kl, rel=1e-5)
    assert loss.weight == 2


def test_beta_and_free_bits_change_training_but_not_validation():
    """Beta 3 charges the KL thrice; 0.75 free nats lift both channels (1/2 and 0) to 3/4."""
    picture, bit = (_by_hand(100) + _by_hand(200)) / 2 / math.log(2), 1 / math.log(2)
    family = _fixed(beta=3.0)
    assert family.loss("model", _fixed_batch(), torch.Generator(), Moment()).value.item() == pytest.approx(
        picture + 3 * 0.5 * bit, rel=1e-5
    )
    free = _fixed(free_bits=0.75)
    assert free.loss("model", _fixed_batch(), torch.Generator(), Moment()).value.item() == pytest.approx(
        picture + 1.5 * bit, rel=1e-5
    )
    for other in (family, free):
        held_out = other.validate(_fixed_batch(), torch.Generator(), Moment())
        assert held_out is not None and held_out.value.item() == pytest.approx(picture + 0.5 * bit, rel=1e-5)


def _family(kind: str = "text") -> Vae:
    torch.manual_seed(0)
    encoders = [condition_encoder(kind, 10, 16) for _ in range(3)]
    decoder = resnet.Generator(encoders[1], [16, 16, 16], [0, 1, 1], latent=8, patch=2, channels=6)
    return Vae(
        resnet.Posterior(encoders[0], [16, 16, 16], [0, 1, 1], latent=8, patch=2),
        resnet.PixelDistributions(decoder),
        resnet.Prior(encoders[2], 8),
        Settings(),
    )


def _batch(kind: str = "text") -> dict[str, Tensor]:
    image = torch.randint(0, 256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(1)) / 127.5 - 1
    condition = torch.tensor([[1, 4, 5], [1, 6, 0], [1, 0, 0], [1, 9, 8]])
    return {"data": image, "condition": condition if kind == "text" else condition[:, :1] * (kind == "label")}


@pytest.mark.parametrize("kind", ["text", "label", "none"])
def test_everything_trains(kind: str):
    family = _family(kind)
    loss = family.loss("model", _batch(kind), torch.Generator().manual_seed(0), Moment())
    loss.value.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in family.modules.parameters())


def test_it_learns_to_describe_pictures():
    """A few steps on four pictures of one colour each take at least a bit off every byte."""
    family, batch = _family(), _batch()
    batch["data"] = batch["data"][:, :, :1, :1].expand(-1, -1, 32, 32).contiguous()
    optimizer = torch.optim.Adam(family.modules.parameters(), lr=5e-3)
    rng = torch.Generator().manual_seed(0)
    before = family.validate(batch, rng, Moment())
    for _ in range(40):
        optimizer.zero_grad()
        family.loss("model", batch, rng, Moment()).value.backward()
        optimizer.step()
    after = family.validate(batch, rng, Moment())
    assert before is not None and after is not None
    assert after.value.item() < before.value.item() - 1.0


def test_temperature_narrows_what_is_drawn():
    session = _family().open(8, Opening())
    spread = []
    for temperature in (1.0, 0.1):
        controls = Controls(temperature=temperature)
        states = [session.start(GIVEN, torch.Generator().manual_seed(i), controls) for i in range(8)]
        session.step(list(states))
        assert states[0].emitted[0].shape == (3, 32, 32) and states[0].emitted[0].dtype == torch.float32
        spread.append(torch.stack([s.emitted[0] for s in states]).std(0).mean().item())
    assert spread[1] < spread[0] / 2


def test_flops_count_forward_and_backward():
    batch = _batch()
    half = {name: value[:2] for name, value in batch.items()}
    assert _family().flops(batch) == pytest.approx(2 * _family().flops(half)) and _family().flops(batch) > 0
