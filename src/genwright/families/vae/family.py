"""Variational autoencoder (arXiv:1312.6114): an encoder, a prior and a decoder that gives every value a probability.

The prior is a normal distribution learned from the condition, p(z | c), so the latent carries only what the condition
leaves open. Losses are in bits per dimension: what a byte of the data would cost to store.

Shapes: B batch, X the data's own axes (channels first), Z latent width. data_BX in [-1, 1], values being byte / 127.5 - 1.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genwright.families import losses
from genwright.families.base import Batch, Loss, Moment, OptimizerSpec, Phase, load_module_tensors, module_tensors
from genwright.families.given import Given, rows, split
from genwright.families.one_step import OneStepSession
from genwright.families.vae.options import Controls, Opening, Settings
from genwright.networks.flops import forward_flops


class Vae:
    """`encoder(data_BX, given)` and `prior(given)` give (mean_BZ, log_variance_BZ); `decoder(z_BZ, given)` gives twice the data's
    channels: the logistic distribution's mean and log scale of every value.
    """

    name: ClassVar[str] = "vae"
    Controls = Controls
    Opening = Opening
    exported: ClassVar[tuple[str, ...]] = ("decoder", "prior")
    phases: tuple[Phase, ...]

    def __init__(self, encoder: nn.Module, decoder: nn.Module, prior: nn.Module, settings: Settings):
        self.modules = nn.ModuleDict({"encoder": encoder, "decoder": decoder, "prior": prior})
        self.settings = settings
        self.latent: int = decoder.latent  # type: ignore[assignment]
        spec = OptimizerSpec(
            learning_rate=2e-3,
            matrix_learning_rate=0.015,
            betas=(0.9, 0.99),
            clip_norm=1.0,
            warmup=0.02,
            decay=0.5,
            final=0.02,
            ema_halflife=50,
        )
        self.phases = (Phase("model", ("encoder", "decoder", "prior"), spec),)

    def loss(self, phase: str, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        return self._loss(batch, rng, self.settings.beta, self.settings.free_bits)

    def validate(self, batch: Batch, rng: torch.Generator, at: Moment) -> Loss | None:
        """The negative ELBO, whatever beta and free bits the training uses."""
        return self._loss(batch, rng, beta=1.0, free_bits=0.0)

    def _loss(self, batch: Batch, rng: torch.Generator, beta: float, free_bits: float) -> Loss:
        data_BX, given = split(batch)
        mean_BZ, log_variance_BZ = self.modules["encoder"](data_BX, given)
        prior_mean_BZ, prior_log_variance_BZ = self.modules["prior"](given)
        noise_BZ = torch.randn(mean_BZ.shape, generator=rng, device=mean_BZ.device)
        z_BZ = mean_BZ + noise_BZ * torch.exp(0.5 * log_variance_BZ)
        value_mean, value_log_scale = self.modules["decoder"](z_BZ, given).chunk(2, 1)
        nats_BX = losses.discretised_logistic(data_BX, value_mean, value_log_scale)
        data = nats_BX.sum(tuple(range(1, nats_BX.ndim))).mean()
        kl_Z = losses.kl_normal(mean_BZ, log_variance_BZ, prior_mean_BZ, prior_log_variance_BZ).mean(0)
        to_bits = 1 / (math.log(2) * data_BX[0].numel())
        value = (data + beta * kl_Z.clamp(min=free_bits).sum()) * to_bits
        parts = {
            "bits_per_dimension": (data + kl_Z.sum()) * to_bits,
            "picture_bits_per_dimension": data * to_bits,
            "kl_bits_per_dimension": kl_Z.sum() * to_bits,
        }
        return Loss(value, len(data_BX), {name: part.detach() for name, part in parts.items()})

    def reconstruct(self, data: Tensor, given: Given) -> Tensor:
        """What the most likely latent of the data decodes to."""
        mean_BZ, _ = self.modules["encoder"](data, given)
        return self.modules["decoder"](mean_BZ, given).chunk(2, 1)[0]

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None: ...

    def flops(self, batch: Batch) -> float:
        """Counted by one forward pass on one row; a backward pass costs two of them."""
        data_BX, given = split(batch)
        first = rows(given, slice(1))
        latent = torch.zeros(1, self.latent, device=data_BX.device)
        forward = forward_flops(self.modules["encoder"], data_BX[:1], first)
        forward += forward_flops(self.modules["prior"], first)
        forward += forward_flops(self.modules["decoder"], latent, first)
        return 3 * len(data_BX) * forward

    def export_tensors(self) -> dict[str, Tensor]:
        return module_tensors(self.modules, self.exported)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        load_module_tensors(self.modules, self.exported, tensors)

    def open(self, capacity: int, opening: Any) -> OneStepSession:
        decoder, prior = self.modules["decoder"], self.modules["prior"]

        def decode(noise_BZ: Tensor, given: Given, controls: Any) -> Tensor:
            mean_BZ, log_variance_BZ = prior(given)
            z_BZ = mean_BZ + noise_BZ * torch.exp(0.5 * log_variance_BZ) * controls.truncation
            return decoder(z_BZ, given).chunk(2, 1)[0]

        return OneStepSession(capacity, self.latent, next(decoder.parameters()).device, decode)
