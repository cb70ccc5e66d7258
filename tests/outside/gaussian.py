"""A family from outside the package: every pixel is normally distributed around a mean of its own.

B batch, C channels, H W pixels. data_BCHW in [-1, 1].
"""

from __future__ import annotations

from typing import Any

import gaussian_options
import torch
from torch import Tensor, nn

from genwright.families.base import Batch, Loss, Moment, OptimizerSpec, Phase, load_module_tensors, module_tensors
from genwright.families.given import Given
from genwright.families.one_step import OneStepSession
from genwright.model import ModelConfig
from genwright.tasks.image.networks import NETWORKS, Drawn, Networks


class PixelNormal(nn.Module):
    def __init__(self, size: int):
        super().__init__()
        self.mean_CHW = nn.Parameter(torch.zeros(3, size, size))
        self.log_deviation_CHW = nn.Parameter(torch.zeros(3, size, size))


class Gaussian:
    name = "gaussian"
    Controls = gaussian_options.Controls
    Opening = gaussian_options.Opening
    exported = ("pixels",)

    def __init__(self, pixels: PixelNormal, settings: gaussian_options.Settings):
        self.modules = nn.ModuleDict({"pixels": pixels})
        self.settings = settings
        self.phases = (Phase("model", ("pixels",), OptimizerSpec(learning_rate=0.05)),)

    def distribution(self) -> torch.distributions.Normal:
        pixels: Any = self.modules["pixels"]
        return torch.distributions.Normal(
            pixels.mean_CHW, pixels.log_deviation_CHW.exp() + self.settings.smallest_deviation
        )

    def loss(self, phase: str, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        data_BCHW = batch["data"]
        nats = -self.distribution().log_prob(data_BCHW).mean()
        return Loss(nats, len(data_BCHW), {"nats_per_value": nats.detach()})

    def validate(self, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        return self.loss("model", batch, rng, at)

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None: ...

    def flops(self, batch: Batch) -> float:
        return 10.0 * batch["data"].numel()

    def export_tensors(self) -> dict[str, Tensor]:
        return module_tensors(self.modules, self.exported)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        load_module_tensors(self.modules, self.exported, tensors)

    def open(self, capacity: int, opening: gaussian_options.Opening) -> OneStepSession:
        normal = self.distribution()

        def decode(noise_BZ: Tensor, given: Given, controls: Any) -> Tensor:
            return normal.mean + controls.spread * normal.stddev * noise_BZ.view(-1, *normal.mean.shape)

        return OneStepSession(capacity, normal.mean.numel(), normal.mean.device, decode)


def candidates(settings: Any) -> list[ModelConfig]:
    return [ModelConfig(family="gaussian", network={}, title="a mean and a deviation a pixel")]


def networks(drawn: Drawn, network: dict[str, Any]) -> dict[str, nn.Module]:
    return {"pixels": PixelNormal(drawn.size)}


NETWORKS["gaussian"] = Networks(candidates, networks)
