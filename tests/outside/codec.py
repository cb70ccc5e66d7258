"""A family from outside the package: an autoencoder whose latent is a grid of whole numbers (finite scalar quantisation,
arXiv:2309.15505). It learns to give back what it was shown.

Shapes: B batch, C channels, H W pixels, T codes of a picture, D digits of a code. image_BCHW in [-1, 1].
"""

from __future__ import annotations

from typing import Any

import codec_options
import torch
import torch.nn.functional as F
from pydantic import BaseModel
from torch import Tensor, nn

from genwright.families.base import Batch, Loss, Moment, OptimizerSpec, Phase, load_module_tensors, module_tensors
from genwright.families.one_step import OneStepSession

DIGITS = 3
SHRINK = 4
"""A code stands for a square of this many pixels a side."""


def encoder(width: int) -> nn.Module:
    down = [nn.Conv2d(3, width, 4, 2, 1), nn.SiLU(), nn.Conv2d(width, width, 4, 2, 1), nn.SiLU()]
    return nn.Sequential(*down, nn.Conv2d(width, DIGITS, 1))


def decoder(width: int) -> nn.Module:
    up = [nn.ConvTranspose2d(width, width, 4, 2, 1), nn.SiLU(), nn.ConvTranspose2d(width, 3, 4, 2, 1)]
    return nn.Sequential(nn.Conv2d(DIGITS, width, 3, 1, 1), nn.SiLU(), *up)


class Codec:
    name = "codec"
    Controls = codec_options.Controls
    Opening = codec_options.Opening
    exported = ("decoder",)

    def __init__(self, encoder: nn.Module, decoder: nn.Module, settings: codec_options.Settings):
        self.modules = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
        self.levels = settings.levels
        self.phases = (Phase("model", ("encoder", "decoder"), OptimizerSpec(learning_rate=3e-3)),)

    @property
    def codes(self) -> int:
        """How many different ones there are."""
        return self.levels**DIGITS

    def loss(self, phase: str, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        image_BCHW = batch["data"]
        level_BDHW = self._levels(image_BCHW)
        level_BDHW = (
            level_BDHW + (level_BDHW.round() - level_BDHW).detach()
        )  # the gradient passes as if nothing were rounded
        error = F.mse_loss(self._picture(level_BDHW), image_BCHW)
        return Loss(error, len(image_BCHW), {"squared_error": error.detach()})

    def validate(self, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        return self.loss("model", batch, rng, at)

    def encode(self, image_BCHW: Tensor) -> Tensor:
        """-> int64[B, T], row by row."""
        digit_BDT = self._levels(image_BCHW).round().long().flatten(2)
        place_D = self.levels ** torch.arange(DIGITS, device=image_BCHW.device)
        return (digit_BDT * place_D[:, None]).sum(1)

    def decode(self, code_BT: Tensor) -> Tensor:
        """-> image_BCHW of a square picture."""
        place_D = self.levels ** torch.arange(DIGITS, device=code_BT.device)
        digit_BDT = code_BT[:, None] // place_D[:, None] % self.levels
        side = round(code_BT.shape[1] ** 0.5)
        return self._picture(digit_BDT.float().unflatten(2, (side, side)))

    def _levels(self, image_BCHW: Tensor) -> Tensor:
        return (self.modules["encoder"](image_BCHW).tanh() + 1) / 2 * (self.levels - 1)

    def _picture(self, level_BDHW: Tensor) -> Tensor:
        return self.modules["decoder"](2 * level_BDHW / (self.levels - 1) - 1).tanh()

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None: ...

    def flops(self, batch: Batch) -> float:
        weights = sum(parameter.numel() for parameter in self.modules.parameters())
        return 6.0 * weights * batch["data"][:, 0].numel() / SHRINK**2

    def export_tensors(self) -> dict[str, Tensor]:
        return module_tensors(self.modules, self.exported)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        load_module_tensors(self.modules, self.exported, tensors)

    def open(self, capacity: int, opening: BaseModel) -> OneStepSession:
        """What is given of a picture are its codes."""
        device = next(self.modules.parameters()).device
        return OneStepSession(capacity, 0, device, lambda noise, given, controls: self.decode(given["codes"]))
