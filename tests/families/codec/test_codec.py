"""The codec: its losses by hand on networks that can be followed, its phases, and that it learns to give pictures back."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.families.base import Moment, Reconstructs
from genwright.families.codec.family import Codec
from genwright.families.codec.options import Settings
from genwright.networks.codes.codec import Decoder, Encoder, PatchJudge, Quantiser


class Scaled(nn.Module):
    def __init__(self, weight: float):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x


class Judge(nn.Module):
    """Its one layer sees each value times a weight; the logit of a patch is what it sees there."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, list[Tensor]]:
        return (self.weight * x_BCHW)[:, 0], [self.weight * x_BCHW]


def _codec(**settings: float) -> Codec:
    return Codec(Scaled(0.7), Quantiser([5]), Scaled(0.8), Judge(), Settings.model_validate(settings))


def _batch() -> dict[str, Tensor]:
    return {"data": torch.linspace(-1, 1, 32).reshape(8, 1, 2, 2)}


def _by_hand(data: Tensor) -> Tensor:
    reach = 4 * (1 + 1e-3) / 2
    return 0.8 * (torch.tanh(0.7 * data) * reach).round() / 2


def test_at_first_only_values_count():
    found = _codec().loss("values", _batch(), torch.Generator(), Moment())
    by_hand = (_by_hand(_batch()["data"]) - _batch()["data"]).abs().mean()
    assert found.value.item() == pytest.approx(by_hand.item())
    assert found.weight == 8


def test_then_it_is_to_look_alike_too():
    found = _codec(perceptual=0.3, adversarial=0.05).loss("look_alike", _batch(), torch.Generator(), Moment())
    data = _batch()["data"]
    back = _by_hand(data)
    error = (back - data).abs().mean()
    seen = (3 * back - 3 * data).abs().mean() / (3 * data).abs().mean()
    verdict = F.softplus(3 * data - 3 * back).mean()
    assert found.parts["perceptual_error"].item() == pytest.approx(seen.item())
    assert found.value.item() == pytest.approx((error + 0.3 * seen + 0.05 * verdict).item())


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_discriminator_sets_patches_beside_what_came_back_of_them(gamma: float):
    codec = _codec(gamma=gamma)
    found = codec.loss("discriminator", _batch(), torch.Generator(), Moment())
    data = _batch()["data"]
    by_hand = F.softplus(3 * _by_hand(data) - 3 * data).mean()
    # The mean of four patches has a gradient of weight / 4 at each of them, and R1 and R2 are its square.
    penalty = gamma / 2 * 2 * 4 * (3 / 4) ** 2
    assert found.value.item() == pytest.approx(by_hand.item() + penalty, rel=1e-5)
    found.value.backward()
    assert codec.modules["discriminator"].weight.grad is not None
    assert codec.modules["encoder"].weight.grad is None and codec.modules["decoder"].weight.grad is None


def test_the_discriminator_learns_and_counts_from_a_share_of_the_training_on():
    phases = {phase.name: phase for phase in _codec(adversarial_from=0.6).phases}
    assert list(phases) == ["values", "discriminator", "look_alike"]
    assert phases["values"].ends == phases["discriminator"].begins == phases["look_alike"].begins == 0.6
    assert phases["discriminator"].trains == ("discriminator",)
    alone = _codec(perceptual=0, adversarial=0).phases
    assert [(phase.name, phase.begins, phase.ends) for phase in alone] == [("values", 0, 1)]


def test_it_is_chosen_by_what_comes_back_whatever_the_discriminator_says():
    codec, data = _codec(), _batch()["data"]
    found = codec.validate(_batch(), torch.Generator(), Moment())
    assert found is not None
    assert found.value.item() == pytest.approx((_by_hand(data) - data).abs().mean().item())
    squared = (_by_hand(data) - data).square().flatten(1).mean(1)
    assert found.parts["psnr_db"].item() == pytest.approx((10 * torch.log10(4 / squared)).mean().item(), rel=1e-5)


def test_codes_give_what_a_reconstruction_does():
    torch.manual_seed(0)
    shape = 16, 4, 1, 4
    codec = Codec(Encoder(*shape), Quantiser([8, 5, 5, 5]), Decoder(*shape), PatchJudge(), Settings())
    assert isinstance(codec, Reconstructs) and codec.count == 1000
    image = torch.rand(3, 3, 16, 16) * 2 - 1
    codes = codec.encode(image)
    assert codes.shape == (3, 16) and len(codes.unique()) > 3
    torch.testing.assert_close(codec.decode(codes), codec.reconstruct(image, {}))
    session = codec.open(2, codec.Opening())
    state = session.start({"codes": codes[1]}, torch.Generator(), codec.Controls())
    session.step([state])
    torch.testing.assert_close(state.emitted[0], codec.decode(codes[1:2])[0], atol=1e-5, rtol=1e-4)


def test_codes_that_are_no_codes_are_refused():
    for levels, said in (([1, 5], "2 levels"), ([300, 300], "90,000 different codes are too many")):
        with pytest.raises(ValueError, match=said):
            Settings.model_validate({"levels": levels})
