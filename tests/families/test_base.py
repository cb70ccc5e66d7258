"""What families share: noise, what is given, and data that is no picture."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genwright.families.base import (
    Between,
    Compiles,
    Discriminates,
    Foreign,
    Interpolates,
    Moment,
    Reconstructs,
    normal,
)
from genwright.families.gan.family import Gan
from genwright.families.gan.options import Opening as GanOpening
from genwright.families.gan.options import Settings as GanSettings
from genwright.families.given import Given, shapes, split, stack
from genwright.families.transformer.family import Transformer
from genwright.families.vae.family import Vae
from genwright.families.vae.options import Settings as VaeSettings

CPU = torch.device("cpu")


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_noise_on_the_way_begins_and_ends_at_its_two_streams_and_keeps_its_length() -> None:
    start, stop = (normal((10_000,), stream(seed), CPU) for seed in (1, 2))
    for share, expected in ((0.0, start), (1.0, stop)):
        torch.testing.assert_close(normal((10_000,), Between(stream(1), stream(2), share), CPU), expected)
    half = normal((10_000,), Between(stream(1), stream(2), 0.5), CPU)
    torch.testing.assert_close(half, (start + stop) / 2**0.5)
    assert half.std().item() == pytest.approx(1.0, abs=0.05)


def test_requests_of_one_shape_become_a_batch() -> None:
    singles: list[Given] = [
        {"words": torch.tensor([1, number]), "mask": torch.full((2, 2), number)} for number in (3, 4)
    ]
    together = stack(singles)
    assert together["words"].tolist() == [[1, 3], [1, 4]] and together["mask"].shape == (2, 2, 2)
    assert shapes(singles[0]) == shapes(singles[1]) != shapes({"words": torch.zeros(3)})
    data, given = split({"data": torch.zeros(2, 5), **together})
    assert data.shape == (2, 5) and set(given) == {"words", "mask"}


class Shift(nn.Module):
    """Noise plus what is given, in as many values as the data has: sound of two channels and three instants."""

    latent = 6

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, noise_BZ: Tensor, given: Given) -> Tensor:
        return (self.scale * noise_BZ + given["tone"] + given["level"]).unflatten(1, (2, 3))


class Sum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, data: Tensor, given: Given) -> Tensor:
        return self.scale * data.flatten(1).sum(1) + given["tone"].repeat(len(data) // len(given["tone"]), 1)[:, 0]


class Wide(nn.Module):
    """A latent, or a distribution of every value, that depends on what is given alone."""

    latent = 6

    def __init__(self, values: tuple[int, ...]):
        super().__init__()
        self.values = values
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, *inputs: Any) -> Any:
        rows = self.scale * inputs[-1]["tone"] + torch.zeros(len(inputs[-1]["tone"]), torch.Size(self.values).numel())
        return rows.unflatten(1, self.values) if len(self.values) > 1 else (rows, rows)


def sound() -> dict[str, Tensor]:
    given = {"tone": torch.tensor([[0.1], [0.2], [0.3], [0.4]]), "level": torch.zeros(4, 1)}
    return {"data": torch.rand(4, 2, 3, generator=stream(0)) * 2 - 1, **given}


@pytest.mark.parametrize("objective", ["classic", "relativistic"])
def test_a_gan_takes_data_that_is_no_picture(objective: str) -> None:
    family = Gan(Shift(), Sum(), GanSettings.model_validate({"objective": objective, "augment": 1.0}))
    for phase in family.phases:
        family.loss(phase.name, sound(), stream(1), Moment()).value.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite()) for p in family.modules.parameters())
    session = family.open(2, GanOpening())
    one = {"tone": torch.tensor([0.1]), "level": torch.tensor([0.0])}
    state = session.start(one, stream(1), family.Controls())
    session.step([state])
    (made,) = state.emitted
    torch.testing.assert_close(made.flatten(), 0.5 * torch.randn(6, generator=stream(1)) + 0.1)


def test_a_vae_takes_data_that_is_no_picture() -> None:
    family = Vae(Wide((6,)), Wide((4, 3)), Wide((6,)), VaeSettings())
    loss = family.loss("model", sound(), stream(1), Moment())
    loss.value.backward()
    assert bool(loss.value.isfinite()) and family.reconstruct(*split(sound())).shape == (4, 2, 3)


def test_what_only_some_families_can_do_is_declared() -> None:
    gan, vae = Gan(Shift(), Sum(), GanSettings()), Vae(Wide((6,)), Wide((4, 3)), Wide((6,)), VaeSettings())
    optional = (Compiles, Reconstructs, Discriminates, Foreign)
    assert [isinstance(gan, protocol) for protocol in optional] == [True, False, True, False]
    assert [isinstance(vae, protocol) for protocol in optional] == [False, True, False, False]
    assert isinstance(gan.open(1, GanOpening()), Interpolates)
    assert issubclass(Transformer, Foreign)
