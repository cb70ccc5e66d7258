"""Convolutions run in channels-last, and all that belongs to their weights lies so: averages, moments, what a checkpoint puts back."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from genwright.families.base import Batch
from genwright.families.gan.family import Gan
from genwright.families.gan.options import Settings as GanSettings
from genwright.networks.resnet import Discriminator, Generator
from genwright.networks.text_encoder import condition_encoder
from genwright.training.base import Settings
from genwright.training.trainer import Trainer


class Greys:
    pass_examples = 8

    def batch(self, position: int, size: int) -> Batch:
        values = torch.arange(position, position + size) % self.pass_examples
        data = (values / 4.0 - 1)[:, None, None, None].expand(-1, 3, 8, 8).contiguous()
        return {"data": data, "condition": torch.zeros(size, 1, dtype=torch.long)}


def trainer(folder: Path) -> Trainer:
    torch.manual_seed(0)
    made = Gan(
        Generator(condition_encoder("none", 0, 8), [32, 32], [1, 1], latent=4, patch=1),
        Discriminator(condition_encoder("none", 0, 8), [32, 32], [1, 1], patch=1),
        GanSettings.model_validate({}),
    )
    return Trainer(made, Greys(), Settings(steps=4, batch=4, checkpoint_every=2), torch.device("cpu"), folder)


def lies_so(value: Tensor) -> bool:
    return value.is_contiguous(memory_format=torch.channels_last) and not value.is_contiguous()


def mixing(modules: nn.ModuleDict) -> dict[str, Tensor]:
    """The weights of grouped 3x3 convolutions, which have more than one order."""
    return {name: value for name, value in modules.named_parameters() if name.endswith("mix.weight")}


def test_it_stays_so_through_steps_averages_and_checkpoints(tmp_path: Path) -> None:
    trainer(tmp_path).run()
    resumed = trainer(tmp_path)
    resumed.settings = resumed.settings.model_copy(update={"steps": 6})
    resumed.run()
    weights = mixing(resumed.family.modules)
    assert len(weights) == 4 and all(lies_so(value) for value in weights.values())
    average = resumed.averages["generator"].state_dict()
    assert all(lies_so(value) for name, value in average.items() if name.endswith("mix.weight"))
    resumed.finish()
    assert all(lies_so(value) for value in mixing(resumed.family.modules).values())


def test_features_lie_so_as_well(tmp_path: Path) -> None:
    seen: list[bool] = []
    modules = trainer(tmp_path).family.modules
    for layer in modules.modules():
        if isinstance(layer, nn.Conv2d) and layer.in_channels > 8:
            layer.register_forward_hook(
                lambda *x: seen.append(x[1][0].is_contiguous(memory_format=torch.channels_last))
            )
    given = {"condition": torch.zeros(4, 1, dtype=torch.long)}
    modules["discriminator"](modules["generator"](torch.randn(4, 4), given), given)
    assert len(seen) > 10 and all(seen)
