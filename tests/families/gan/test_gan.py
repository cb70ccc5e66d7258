"""The GAN: what each phase computes and trains, on a network small enough to work out, and on real ones."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from genwright.families.base import Moment
from genwright.families.gan.adaptive import Strength
from genwright.families.gan.augmentation import augment
from genwright.families.gan.family import Gan
from genwright.families.gan.options import Controls, Opening, Settings
from genwright.families.given import Given
from genwright.networks.resnet import Discriminator, Generator
from genwright.networks.text_encoder import condition_encoder

GIVEN = {"condition": torch.tensor([1, 4])}


class OnePixelGenerator(nn.Module):
    """G(z, c) = weight * z + c, as a picture of one pixel."""

    latent = 1

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, noise_BZ: Tensor, given: Given) -> Tensor:
        return (self.weight * noise_BZ + given["condition"])[:, :, None, None]


class OnePixelDiscriminator(nn.Module):
    """D(x) = weight * x."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, image_BCHW: Tensor, given: Given) -> Tensor:
        return self.weight * image_BCHW[:, 0, 0, 0]


def _one_pixel(**settings: object) -> Gan:
    return Gan(OnePixelGenerator(), OnePixelDiscriminator(), Settings.model_validate({"augment": 0, **settings}))


def _one_pixel_batch() -> dict[str, Tensor]:
    return {"data": torch.tensor([3.0, -1.0]).reshape(2, 1, 1, 1), "condition": torch.tensor([[0.0], [1.0]])}


def _rng() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def _noise() -> list[float]:
    return torch.randn(2, 1, generator=_rng())[:, 0].tolist()


def _softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


def test_classic_phases_by_hand():
    """Steps 2 to 4 of the mission with numbers: generate 2 z + c, judge with 0.5 x, take both losses."""
    family, batch, z = _one_pixel(objective="classic"), _one_pixel_batch(), _noise()
    real, generated = [0.5 * 3.0, 0.5 * -1.0], [0.5 * (2 * z[0] + 0.0), 0.5 * (2 * z[1] + 1.0)]
    by_hand = sum(_softplus(-r) for r in real) / 2 + sum(_softplus(g) for g in generated) / 2
    loss = family.loss("discriminator", batch, _rng(), Moment())
    assert loss.value.item() == pytest.approx(by_hand, rel=1e-6)
    assert loss.weight == 2
    assert loss.parts["right_on_real"].item() == 0.5
    assert loss.parts["right_on_generated"].item() == sum(g < 0 for g in generated) / 2
    assert "r1" not in loss.parts
    by_hand = sum(_softplus(-g) for g in generated) / 2
    assert family.loss("generator", batch, _rng(), Moment()).value.item() == pytest.approx(by_hand, rel=1e-6)


def test_relativistic_phases_by_hand():
    """D has the gradient 0.5 everywhere, so R1 = R2 = 0.25."""
    family, batch, z = _one_pixel(gamma=2.0, penalty_share=1), _one_pixel_batch(), _noise()
    real, generated = [0.5 * 3.0, 0.5 * -1.0], [0.5 * (2 * z[0] + 0.0), 0.5 * (2 * z[1] + 1.0)]
    pairs = sum(_softplus(g - r) for r, g in zip(real, generated, strict=True)) / 2
    loss = family.loss("discriminator", batch, _rng(), Moment())
    assert loss.parts["r1"].item() == loss.parts["r2"].item() == pytest.approx(0.25)
    assert loss.parts["discriminator_loss"].item() == pytest.approx(pairs, rel=1e-6)
    assert loss.value.item() == pytest.approx(pairs + 2.0 / 2 * (0.25 + 0.25), rel=1e-6)
    pairs = sum(_softplus(r - g) for r, g in zip(real, generated, strict=True)) / 2
    assert family.loss("generator", batch, _rng(), Moment()).value.item() == pytest.approx(pairs, rel=1e-6)


def test_the_generator_pays_for_pictures_of_a_word_that_are_too_alike():
    """Of 2 z + c for two noises z and w of each word, beside what is between the two words."""
    rng = _rng()
    z, w = torch.randn(2, 1, generator=rng)[:, 0], torch.randn(2, 1, generator=rng)[:, 0]
    x = 2 * z + torch.tensor([0.0, 1.0])
    found = ((2 * (z - w)).abs().mean() / (x[0] - x[1]).abs()).item()
    for asked in (0.5 * found, found + 0.1):
        family, plain = _one_pixel(variety=min(asked, 1.0)), _one_pixel()
        loss = family.loss("generator", _one_pixel_batch(), _rng(), Moment())
        without = plain.loss("generator", _one_pixel_batch(), _rng(), Moment())
        assert loss.parts["variety"].item() == pytest.approx(found, rel=1e-5)
        owed = 4 * max(min(asked, 1.0) - found, 0.0)
        assert (loss.value - without.value).item() == pytest.approx(owed, abs=1e-5)
    assert "variety" not in without.parts


def test_augmentation_follows_how_often_the_discriminator_is_right():
    """Every four steps, by 8 pictures of 20,000: more of it where the discriminator is right about all, less where it is wrong."""
    strength, right, wrong = Strength("adaptive"), torch.ones(2), -torch.ones(2)
    for step in range(4):
        strength.learn(right, step)
    assert float(strength.value(torch.device("cpu"))) == pytest.approx(0.3)
    strength.learn(wrong, 4)
    assert float(strength.value(torch.device("cpu"))) == pytest.approx(0.3 + 8 / 20_000)
    kept = Strength("adaptive")
    kept.load(strength.state())
    for one in (strength, kept):
        for step in range(5, 9):
            one.learn(wrong, step)
        assert float(one.value(torch.device("cpu"))) == pytest.approx(0.3, abs=1e-6)
    assert Strength(0.5).state() == {} and Strength(0.5).value(torch.device("cpu")) == 0.5


def test_penalties_reach_the_discriminators_weights():
    """d/dw (gamma / 2) (2 w^2) = 2 gamma w, on top of the pairs' own gradient."""
    gradients = []
    for gamma in (0.0, 3.0):
        family = _one_pixel(gamma=gamma, penalty_share=1)
        family.loss("discriminator", _one_pixel_batch(), _rng(), Moment()).value.backward()
        gradients.append(family.modules["discriminator"].weight.grad.item())  # type: ignore[union-attr, operator]
    assert gradients[1] - gradients[0] == pytest.approx(2 * 3.0 * 0.5, rel=1e-5)


def _family(kind: str = "text", stages: int = 3, **settings: object) -> Gan:
    torch.manual_seed(0)
    encoders = [condition_encoder(kind, 10, 16) for _ in range(2)]
    widths, blocks = [16] * stages, [0] + [1] * (stages - 1)
    generator = Generator(encoders[0], widths, blocks, latent=8, patch=2)
    discriminator = Discriminator(encoders[1], widths, blocks, patch=2)
    return Gan(generator, discriminator, Settings.model_validate(settings))


def _batch(kind: str = "text") -> dict[str, Tensor]:
    image = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    condition = torch.tensor([[1, 4, 5], [1, 6, 0], [1, 0, 0], [1, 9, 8]])
    return {"data": image, "condition": condition if kind == "text" else condition[:, :1] * (kind == "label")}


@pytest.mark.parametrize("objective", ["classic", "relativistic"])
@pytest.mark.parametrize("kind", ["text", "label", "none"])
def test_each_phase_trains_its_own_network_only(objective: str, kind: str):
    family = _family(kind, objective=objective)
    for phase in family.phases:
        for name, module in family.modules.items():
            module.requires_grad_(name in phase.trains)
        family.loss(phase.name, _batch(kind), _rng(), Moment()).value.backward()
        for name, module in family.modules.items():
            moved = [p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in module.parameters()]
            assert all(moved) if name in phase.trains else not any(moved), (phase.name, name)
        family.modules.zero_grad(set_to_none=True)


def test_a_step_is_a_function_of_its_random_stream():
    family = _family()
    first, again = (family.loss("discriminator", _batch(), _rng(), Moment()).value for _ in range(2))
    assert first.item() == again.item()


def test_both_networks_learn_the_condition_when_colour_follows_it():
    """Caption 5 is always a dark picture and caption 6 a light one; after a few steps of the six the generator knows."""
    family = _family(augment=0, stages=2)
    condition = torch.tensor([[1, 5], [1, 6]] * 4)
    image = torch.where(condition[:, 1:] == 5, -0.8, 0.8)[:, :, None, None].expand(-1, 3, 16, 16).contiguous()
    optimizers = {
        p.name: torch.optim.Adam(family.modules[p.trains[0]].parameters(), lr=4e-3, betas=(0.0, 0.99))
        for p in family.phases
    }
    rng = _rng()
    for _ in range(40):
        for phase in family.phases:
            for name, module in family.modules.items():
                module.requires_grad_(name in phase.trains)
            optimizers[phase.name].zero_grad()
            family.loss(phase.name, {"data": image, "condition": condition}, rng, Moment()).value.backward()
            optimizers[phase.name].step()
    with torch.no_grad():
        drawn = family.modules["generator"](torch.randn(8, 8, generator=rng), {"condition": condition}).mean((1, 2, 3))
    assert drawn[1::2].mean() - drawn[0::2].mean() > 0.4


def test_truncation_narrows_what_is_drawn():
    session = _family().open(16, Opening())
    spread = []
    for truncation in (1.0, 0.1):
        states = [
            session.start(GIVEN, torch.Generator().manual_seed(i), Controls(truncation=truncation)) for i in range(8)
        ]
        session.step(list(states))
        spread.append(torch.stack([s.emitted[0] for s in states]).std(0).mean().item())
    assert spread[1] < spread[0] / 2


def test_flops_grow_with_the_batch_and_the_penalties():
    batch = _batch()
    half = {name: value[:2] for name, value in batch.items()}
    family = _family()
    assert family.flops(batch) == pytest.approx(2 * family.flops(half))
    assert _family(objective="classic").flops(batch) < family.flops(batch) < _family(penalty_share=1).flops(batch)


def test_augmentation_is_differentiable_and_the_same_for_the_same_stream():
    image = (torch.rand(8, 3, 16, 16, generator=_rng()) * 2 - 1).requires_grad_()
    changed, again = (augment(image, _rng(), 1.0) for _ in range(2))
    torch.testing.assert_close(changed, again, rtol=0, atol=0)
    assert (changed - image).abs().mean() > 0.1
    changed.sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0


def test_augmentation_of_strength_0_is_none():
    image = torch.rand(2, 3, 16, 16)
    assert augment(image, _rng(), 0.0) is image


def test_translation_shifts_whole_pictures():
    """A single bright pixel stays a single bright pixel, at most an eighth of the side away."""
    from genwright.families.gan.augmentation import translate

    image = torch.zeros(32, 1, 16, 16)
    image[:, :, 8, 8] = 1.0
    moved = translate(image, _rng(), 1.0)
    assert (moved.sum((1, 2, 3)) == 1).all()
    places = moved.flatten(1).argmax(1)
    rows, columns = places // 16 - 8, places % 16 - 8
    assert rows.abs().max() == 2 and columns.abs().max() == 2
    assert len(set(places.tolist())) > 10
