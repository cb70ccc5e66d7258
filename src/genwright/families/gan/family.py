"""Generative adversarial network: two networks that learn from each other, for any data and any condition.

Training goes in six steps: (1) initialise both networks; (2) the generator makes data from noise; (3) the discriminator
judges real and generated data; (4) the two losses are taken, each in its phase; (5) each phase's optimizer updates its own
network; (6) repeat from 2. The trainer turns the crank; `loss` holds steps 2 to 4.

Shapes: B batch, X the data's own axes, Z latent width. data_BX in [-1, 1].
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genwright.families import losses
from genwright.families.base import Batch, Loss, Moment, OptimizerSpec, Phase, load_module_tensors, module_tensors
from genwright.families.gan.augmentation import augment
from genwright.families.gan.options import Controls, Opening, Settings
from genwright.families.given import Given, rows, split
from genwright.families.one_step import OneStepSession
from genwright.networks.flops import forward_flops


class Gan:
    """`generator(noise_BZ, given) -> data_BX` against `discriminator(data_BX, given) -> logit_B`.

    The discriminator also takes a multiple of the rows that are given ([real, generated]) and goes through those again.

    The default objective is R3GAN's (arXiv:2501.05441): the relativistic pairing loss with both zero-centred gradient
    penalties. The penalties are taken on every `penalty_share`-th part of the batch and weighted up for it.
    """

    name: ClassVar[str] = "gan"
    Controls = Controls
    Opening = Opening
    exported: ClassVar[tuple[str, ...]] = ("generator",)
    compiles: ClassVar[bool] = False  # the penalties need a second backward pass

    def __init__(self, generator: nn.Module, discriminator: nn.Module, settings: Settings):
        self.modules = nn.ModuleDict({"generator": generator, "discriminator": discriminator})
        self.settings = settings
        self.latent: int = generator.latent  # type: ignore[assignment]
        self.phases = (
            Phase("discriminator", ("discriminator",), optimizer(0.01)),
            Phase("generator", ("generator",), optimizer(0.02, ema_halflife=settings.ema_halflife)),
        )

    def loss(self, phase: str, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        real_BX, given = split(batch)
        noise_BZ = torch.randn(len(real_BX), self.latent, generator=rng, device=real_BX.device)
        if phase == "generator":
            return self._generator_loss(real_BX, given, noise_BZ, rng)
        return self._discriminator_loss(real_BX, given, noise_BZ, rng)

    def _generator_loss(self, real_BX: Tensor, given: Given, noise_BZ: Tensor, rng: torch.Generator) -> Loss:
        generated_BX = self.modules["generator"](noise_BZ, given)
        judge = self.modules["discriminator"]
        logit_B = judge(augment(generated_BX, rng, self.settings.augment), given)
        if self.settings.objective == "classic":
            value = losses.classic_generator(logit_B)
        else:
            with torch.no_grad():
                real_B = judge(augment(real_BX, rng, self.settings.augment), given)
            value = losses.relativistic_generator(real_B, logit_B)
        return Loss(value, len(real_BX), {"generator_loss": value.detach()})

    def _discriminator_loss(self, real_BX: Tensor, given: Given, noise_BZ: Tensor, rng: torch.Generator) -> Loss:
        judge = self.modules["discriminator"]
        with torch.no_grad():
            generated_BX = self.modules["generator"](noise_BZ, given)
        seen_BX = augment(torch.cat([real_BX, generated_BX]), rng, self.settings.augment)
        real_B, generated_B = judge(seen_BX, given).chunk(2)
        classic = self.settings.objective == "classic"
        value = (losses.classic_discriminator if classic else losses.relativistic_discriminator)(real_B, generated_B)
        parts = {
            "discriminator_loss": value,
            "real_above_generated": (real_B > generated_B).float().mean(),
        }
        if classic:  # elsewhere a logit has no zero of its own, and only the order of pairs means anything
            parts["right_on_real"] = (real_B > 0).float().mean()
            parts["right_on_generated"] = (generated_B < 0).float().mean()
        gamma = 0.0 if classic else self.settings.gamma
        if gamma:
            r1, r2 = penalties(judge, seen_BX, given, self.settings.penalty_share)
            value = value + gamma / 2 * (r1 + r2)
            parts |= {"r1": r1, "r2": r2}
        return Loss(value, len(real_BX), {name: part.detach() for name, part in parts.items()})

    def validate(self, batch: Batch, rng: torch.Generator, at: Moment) -> Loss | None:
        """None: neither loss says how good what is generated is."""
        return None

    @property
    def relativistic(self) -> bool:
        return self.settings.objective == "relativistic"

    def discriminate(self, data: Tensor, given: Given) -> Tensor:
        return self.modules["discriminator"](data, given)

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None: ...

    def flops(self, batch: Batch) -> float:
        """Counted by one forward pass of each network."""
        data_BX, given = split(batch)
        one, first = data_BX[:1], rows(given, slice(1))
        noise = torch.zeros(1, self.latent, device=one.device)
        generator = forward_flops(self.modules["generator"], noise, first)
        discriminator = forward_flops(self.modules["discriminator"], one, first)
        # A backward pass costs two forwards, one where only the input's gradient is needed; a penalty costs about six.
        relativistic = self.settings.objective == "relativistic"
        judged = 2 * 3 + 3 + relativistic * (1 + 2 * 6 / self.settings.penalty_share)
        return len(data_BX) * (generator * (1 + 3) + discriminator * judged)

    def export_tensors(self) -> dict[str, Tensor]:
        return module_tensors(self.modules, self.exported)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        load_module_tensors(self.modules, self.exported, tensors)

    def open(self, capacity: int, opening: Any) -> OneStepSession:
        generator = self.modules["generator"]
        device = next(generator.parameters()).device

        def decode(noise_BZ: Tensor, given: Given, controls: Any) -> Tensor:
            return generator(noise_BZ * controls.truncation, given)

        return OneStepSession(capacity, self.latent, device, decode)


def penalties(judge: nn.Module, seen_BX: Tensor, given: Given, share: int) -> tuple[Tensor, Tensor]:
    """R1 and R2 on every `share`-th part of a batch [real, generated]: on its first rows, whose order is random already."""
    halves = seen_BX.chunk(2)
    count = max(1, len(halves[0]) // share)
    some = rows(given, slice(count))
    real_BX, generated_BX = (half[:count] for half in halves)

    def both(data_BX: Tensor) -> Tensor:
        return judge.forward(data_BX, some)  # not through torch.compile, which can't differentiate twice

    return losses.zero_centred(both, real_BX, generated_BX)


def optimizer(matrix_learning_rate: float, ema_halflife: float | None = None) -> OptimizerSpec:
    """Muon for matrices with half the usual momentum, Adam without first moment (as R3GAN has it) for the rest.

    Momentum makes two players that answer each other overshoot.
    """
    return OptimizerSpec(
        learning_rate=1e-3,
        matrix_learning_rate=matrix_learning_rate,
        betas=(0.0, 0.99),
        clip_norm=None,
        momentum=0.5,
        warmup=0.025,
        decay=0.3,
        final=0.1,
        ema_halflife=ema_halflife,
    )
