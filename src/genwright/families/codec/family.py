"""An autoencoder of whole numbers: data to a short row of codes and back, for a model that learns which code follows on which.

The way of VQGAN (arXiv:2012.09841) with finite scalar quantisation (arXiv:2309.15505): at first it learns the values alone; from a share
of the training on also to look alike to a discriminator that learns beside it. Two things come from that one: its verdict on each patch of
the data beside the same patch given back (relativistic pairs, arXiv:2501.05441), and how far apart the two lie in what its layers see, the
perceptual term of arXiv:1512.09300 (equation 7). So nothing that was trained elsewhere has a say in what looks alike.

Shapes: B batch, X the data's own axes, T codes of a row. data_BX in [-1, 1].
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import BaseModel
from torch import Tensor, nn

from genwright.families import losses
from genwright.families.base import Batch, Loss, Moment, OptimizerSpec, Phase, load_module_tensors, module_tensors
from genwright.families.codec.options import Controls, Opening, Settings
from genwright.families.given import Given
from genwright.families.one_step import OneStepSession
from genwright.networks.codes.codec import Quantiser
from genwright.networks.flops import forward_flops

_PENALTY_SHARE = 4
"""The penalties are taken on every so many-th part of a batch."""


class Codec:
    """`encoder(data_BX)` gives numbers, `quantiser` rounds them or names them by codes, `decoder` makes data of rounded ones;
    `discriminator(data_BX) -> (logits of patches, features of its layers)`."""

    name: ClassVar[str] = "codec"
    Controls: ClassVar[type[BaseModel]] = Controls
    Opening: ClassVar[type[BaseModel]] = Opening
    exported: ClassVar[tuple[str, ...]] = ("quantiser", "decoder")
    compiles: ClassVar[bool] = False  # the penalties need a second backward pass

    def __init__(
        self,
        encoder: nn.Module,
        quantiser: Quantiser,
        decoder: nn.Module,
        discriminator: nn.Module,
        settings: Settings,
    ):
        self.modules = nn.ModuleDict(
            {"encoder": encoder, "quantiser": quantiser, "decoder": decoder, "discriminator": discriminator}
        )
        self.settings = settings
        self.phases = phases(settings)

    @property
    def quantiser(self) -> Quantiser:
        quantiser = self.modules["quantiser"]
        assert isinstance(quantiser, Quantiser)
        return quantiser

    @property
    def count(self) -> int:
        """How many different codes there are."""
        return self.quantiser.count

    def loss(self, phase: str, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        data_BX = batch["data"]
        if phase == "discriminator":
            return self._discriminator_loss(data_BX)
        back_BX = self.reconstruct(data_BX, {})
        error = F.l1_loss(back_BX, data_BX)
        value, parts = error, {"value_error": error}
        if phase == "look_alike":
            perceptual, adversarial = self._judged(data_BX, back_BX)
            value = error + self.settings.perceptual * perceptual + self.settings.adversarial * adversarial
            parts |= {"perceptual_error": perceptual, "adversarial_loss": adversarial}
        return Loss(value, len(data_BX), {name: part.detach() for name, part in parts.items()})

    def _judged(self, data_BX: Tensor, back_BX: Tensor) -> tuple[Tensor, Tensor]:
        """(how far what the discriminator's layers see differs, as a share of what there is; its relativistic verdict)."""
        judge = self.modules["discriminator"]
        with torch.no_grad():
            real_BP, real = judge(data_BX)
        back_BP, back = judge(back_BX)
        apart = [F.l1_loss(b, r) / r.abs().mean() for b, r in zip(back, real, strict=True)]
        return torch.stack(apart).mean(), losses.relativistic_generator(real_BP, back_BP)

    def _discriminator_loss(self, data_BX: Tensor) -> Loss:
        judge = self.modules["discriminator"]
        with torch.no_grad():
            back_BX = self.reconstruct(data_BX, {})
        real_BP, back_BP = judge(torch.cat([data_BX, back_BX]))[0].chunk(2)
        value = losses.relativistic_discriminator(real_BP, back_BP)
        parts = {"discriminator_loss": value, "real_above_given_back": (real_BP > back_BP).float().mean()}
        if self.settings.gamma:
            count = max(1, len(data_BX) // _PENALTY_SHARE)

            def logits(some_BX: Tensor) -> Tensor:
                return judge(some_BX)[0].flatten(1).mean(1)

            r1, r2 = losses.zero_centred(logits, data_BX[:count], back_BX[:count])
            value = value + self.settings.gamma / 2 * (r1 + r2)
            parts |= {"r1": r1, "r2": r2}
        return Loss(value, len(data_BX), {name: part.detach() for name, part in parts.items()})

    def validate(self, batch: Batch, rng: torch.Generator, at: Moment) -> Loss | None:
        """The error of the values, which means the same at all moments, as a discriminator's verdict does not."""
        data_BX = batch["data"]
        back_BX = self.reconstruct(data_BX, {}).clamp(-1, 1)
        squared_B = (back_BX - data_BX).square().flatten(1).mean(1)
        error = F.l1_loss(back_BX, data_BX)
        decibels = 10 * torch.log10(4 / squared_B.clamp(min=1e-9)).mean()
        return Loss(error, len(data_BX), {"value_error": error, "psnr_db": decibels})

    def reconstruct(self, data: Tensor, given: Given) -> Tensor:
        """The data as it comes back of its codes."""
        return self.modules["decoder"](self.quantiser(self.modules["encoder"](data)))

    def encode(self, data_BX: Tensor) -> Tensor:
        """-> codes, int64[B, T]."""
        return self.quantiser.codes(self.modules["encoder"](data_BX))

    def decode(self, code_BT: Tensor) -> Tensor:
        """-> data_BX."""
        return self.modules["decoder"](self.quantiser.values(code_BT))

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None: ...

    def flops(self, batch: Batch) -> float:
        """Counted by one forward pass of each network; a backward pass costs two, one where only the input's gradient is needed, a
        penalty about six."""
        one = batch["data"][:1]
        number = self.modules["encoder"](one)
        codec = forward_flops(self.modules["encoder"], one) + forward_flops(self.modules["decoder"], number)
        if not _judges(self.settings):
            return 3 * len(batch["data"]) * codec
        judge = forward_flops(self.modules["discriminator"], one)
        penalty = 12 / _PENALTY_SHARE if self.settings.gamma else 0
        beside = (1 - self.settings.adversarial_from) * (codec + judge * (6 + 3 + penalty))
        return len(batch["data"]) * (3 * codec + beside)

    def export_tensors(self) -> dict[str, Tensor]:
        return module_tensors(self.modules, self.exported)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        load_module_tensors(self.modules, self.exported, tensors)

    def open(self, capacity: int, opening: Any) -> OneStepSession:
        """What is given of a row are its codes."""
        device = next(self.modules["decoder"].parameters()).device
        return OneStepSession(capacity, 0, device, lambda noise, given, controls: self.decode(given["codes"]))


def _judges(settings: Settings) -> bool:
    return settings.perceptual > 0 or settings.adversarial > 0


def phases(settings: Settings) -> tuple[Phase, ...]:
    """At full rate until the discriminator has its say; then the rate falls."""
    trained = ("encoder", "decoder")
    if not _judges(settings):
        return (Phase("values", trained, _optimizer(warmup=0.02, decay=0.5)),)
    begins = settings.adversarial_from
    return (
        Phase("values", trained, _optimizer(warmup=0.02 / begins, decay=0.0), ends=begins),
        Phase("discriminator", ("discriminator",), _judge_optimizer(), begins=begins),
        Phase("look_alike", trained, _optimizer(warmup=0.02, decay=0.7), begins=begins),
    )


def _optimizer(warmup: float, decay: float) -> OptimizerSpec:
    return OptimizerSpec(
        learning_rate=2e-3,
        matrix_learning_rate=0.015,
        betas=(0.9, 0.99),
        momentum=0.9,
        warmup=warmup,
        decay=decay,
        final=0.02,
        ema_halflife=50,
    )


def _judge_optimizer() -> OptimizerSpec:
    """Without first moment, as R3GAN has it: momentum makes two players that answer each other overshoot."""
    return OptimizerSpec(learning_rate=1e-3, betas=(0.0, 0.99), clip_norm=None, warmup=0.02, decay=0.5, final=0.1)
