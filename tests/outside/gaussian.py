"""A family from outside the package: every pixel is normally distributed around a mean of its own.

B batch, C channels, H W pixels. image_BCHW in [-1, 1].
"""

from __future__ import annotations

from typing import Any

import gaussian_options
import torch
from torch import Tensor, nn

from genwright.families.base import Batch, Loss, Moment, OptimizerSpec, Phase, load_module_tensors, module_tensors
from genwright.families.one_step import OneStepSession
from genwright.tasks.image.networks import NETWORKS, NetworkPlan


class PixelNormal(nn.Module):
    def __init__(self, size: int):
        super().__init__()
        self.mean_CHW = nn.Parameter(torch.zeros(3, size, size))
        self.log_deviation_CHW = nn.Parameter(torch.zeros(3, size, size))


class Gaussian:
    name = "gaussian"
    Controls = gaussian_options.Controls
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
        image_BCHW = batch["image"]
        nats = -self.distribution().log_prob(image_BCHW).mean()
        return Loss(nats, len(image_BCHW), {"nats_per_value": nats.detach()})

    def validate(self, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        return self.loss("model", batch, rng, at)

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None: ...

    def flops(self, batch: Batch) -> float:
        return 10.0 * batch["image"].numel()

    def export_tensors(self) -> dict[str, Tensor]:
        return module_tensors(self.modules, self.exported)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        load_module_tensors(self.modules, self.exported, tensors)

    def foreign_config(self) -> dict[str, Any]:
        return {}

    def open(self, capacity: int) -> OneStepSession:
        normal = self.distribution()

        def decode(noise_BZ: Tensor, condition: Tensor, controls: Any) -> Tensor:
            return normal.mean + controls.spread * normal.stddev * noise_BZ.view(-1, *normal.mean.shape)

        return OneStepSession(capacity, normal.mean.numel(), normal.mean.device, decode)


def networks(plan: NetworkPlan) -> dict[str, nn.Module]:
    return {"pixels": PixelNormal(plan.size)}


NETWORKS["gaussian"] = networks
