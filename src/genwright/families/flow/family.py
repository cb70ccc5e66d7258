"""Rectified flow (arXiv:2209.03003, arXiv:2210.02747): from noise to data along straight lines, for any data and any condition.

Time runs from noise (0) to data (1): z_t = t data + (1 - t) noise, with velocity v = data - noise. The network sees z_t and t and
predicts the clean data; the loss is on the velocity that follows from it, v = (data - z_t) / (1 - t), as in JiT (arXiv:2511.13720), with
1 - t no less than `NEAREST`.

Large steps are learned in the last share of the training, without a teacher of their own (arXiv:2410.12557): the network is also told
until when a step goes, and predicts the data that its mean velocity points to. A step as long as two of the averaged weights' steps must
arrive where those do.

Shapes: B batch, S rows that learn large steps, X the data's own axes. data_BX in [-1, 1].
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from genwright.families.base import Batch, Loss, Moment, OptimizerSpec, Phase, load_module_tensors, module_tensors
from genwright.families.flow.options import Controls, Opening, Settings
from genwright.families.flow.session import FlowSession
from genwright.families.flow.solvers import leap, like
from genwright.families.given import Given, rows, split
from genwright.networks.flops import forward_flops

NEAREST = 0.05
"""Least distance from the data, in time, that the loss divides by; nearer, a velocity would count for next to nothing but rounding."""
FINEST = 5
"""The shortest steps that large ones are learned from are a whole way over two to this."""


class Flow:
    """`network(z_BX, time_B, until_B, given, told_B) -> data_BX`; its `shape` is that of a row, `conditional` says whether what is given
    tells anything. With `until` = `time` it predicts the data that the velocity at the time points to."""

    name: ClassVar[str] = "flow"
    Controls = Controls
    Opening = Opening
    exported: ClassVar[tuple[str, ...]] = ("network",)
    compiles: ClassVar[tuple[str, ...]] = ("cuda",)
    """On a processor compiling takes minutes, and its steps take as long as before: 203 ms where 190 were (24 channels, two cores)."""
    phases: tuple[Phase, ...]

    def __init__(self, network: nn.Module, settings: Settings):
        self.modules = nn.ModuleDict({"network": network})
        self.settings = settings
        self.shape: tuple[int, ...] = network.shape  # type: ignore[assignment]
        self.conditional: bool = network.conditional  # type: ignore[assignment]
        self.phases = phases(settings)

    def loss(self, phase: str, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        data_BX, given = split(batch)
        noise_BX = torch.randn(data_BX.shape, generator=rng, device=data_BX.device)
        logit_B = torch.randn(len(data_BX), generator=rng, device=data_BX.device)
        time_B = torch.sigmoid(self.settings.time_mean + self.settings.time_deviation * logit_B)
        told_B = torch.rand(len(data_BX), generator=rng, device=data_BX.device) >= self.settings.untold
        if self.settings.from_noise:
            chance_B = torch.rand(len(data_BX), generator=rng, device=data_BX.device)
            time_B = time_B * (chance_B >= self.settings.from_noise)
        if phase == "few_steps":
            return self._few_steps_loss(data_BX, noise_BX, time_B, given, told_B, rng, at)
        error_B = self._error(noisy(data_BX, noise_BX, time_B), time_B, time_B, given, told_B, data_BX)
        return Loss(error_B.mean(), len(data_BX), {"velocity_error": error_B.mean().detach()})

    def _few_steps_loss(
        self,
        data_BX: Tensor,
        noise_BX: Tensor,
        time_B: Tensor,
        given: Given,
        told_B: Tensor,
        rng: torch.Generator,
        at: Moment,
    ) -> Loss:
        """As before, but for the first rows, whose order is random already: they learn large steps."""
        count = max(1, round(self.settings.few_steps_share * len(data_BX)))
        from_S, to_S = large_steps(count, rng, data_BX.device)
        time_B, until_B = torch.cat([from_S, time_B[count:]]), torch.cat([to_S, time_B[count:]])
        z_BX, some = noisy(data_BX, noise_BX, time_B), slice(count)
        aim_SX = self._two_steps(z_BX[some], from_S, to_S, rows(given, some), told_B[some], at)
        target_BX = torch.cat([aim_SX, data_BX[count:]])
        error_B = self._error(z_BX, time_B, until_B, given, told_B, target_BX)
        parts = {"large_step_error": error_B[some].mean().detach()}
        if count < len(data_BX):
            parts["velocity_error"] = error_B[count:].mean().detach()
        return Loss(error_B.mean(), len(data_BX), parts)

    def _error(
        self, z_BX: Tensor, time_B: Tensor, until_B: Tensor, given: Given, told_B: Tensor, target_BX: Tensor
    ) -> Tensor:
        """The squared error of each row's velocity, mean over its values."""
        found_BX = self.modules["network"](z_BX, time_B, until_B, given, told_B)
        error_BX = (found_BX - target_BX) / like((1 - time_B).clamp(min=NEAREST), z_BX)
        return error_BX.square().flatten(1).mean(1)

    @torch.no_grad()
    def _two_steps(
        self, z_SX: Tensor, from_S: Tensor, to_S: Tensor, given: Given, told_S: Tensor, at: Moment
    ) -> Tensor:
        """The data that a step must point to, to arrive where two steps of half its length by the averaged weights do."""
        network, average = self.modules["network"], at.average("network")
        between_S = (from_S + to_S) / 2

        def velocity(z_SX: Tensor, time_S: Tensor, until_S: Tensor) -> Tensor:
            # The shortest steps go along the velocity that is learned from the data.
            until_S = torch.where(until_S - time_S > 0.75 / 2**FINEST, until_S, time_S)
            with torch.compiler.set_stance("force_eager"):
                clean_SX = functional_call(network, dict(average), (z_SX, time_S, until_S, given, told_S))
            return (clean_SX - z_SX) / like(1 - time_S, z_SX)

        arrived_SX = leap(velocity, leap(velocity, z_SX, from_S, between_S), between_S, to_S)
        return z_SX + (arrived_SX - z_SX) * like((1 - from_S) / (to_S - from_S), z_SX)

    def validate(self, batch: Batch, rng: torch.Generator, at: Moment) -> Loss | None:
        """The error of the velocity, at times that are spread evenly over their distribution, with the same noise every time."""
        data_BX, given = split(batch)
        noise_BX = torch.randn(data_BX.shape, generator=rng, device=data_BX.device)
        place_B = torch.randperm(len(data_BX), generator=rng, device=data_BX.device).to(data_BX.dtype)
        logit_B = math.sqrt(2) * torch.erfinv(2 * (place_B + 0.5) / len(data_BX) - 1)
        time_B = torch.sigmoid(self.settings.time_mean + self.settings.time_deviation * logit_B)
        time_B = time_B * (torch.arange(len(data_BX), device=data_BX.device) >= self.settings.from_noise * len(data_BX))
        told_B = torch.ones_like(time_B, dtype=torch.bool)
        error_B = self._error(noisy(data_BX, noise_BX, time_B), time_B, time_B, given, told_B, data_BX)
        return Loss(error_B.mean(), len(data_BX), {"velocity_error": error_B.mean()})

    @torch.inference_mode()
    def foresee(self, z_BX: Tensor, time: float, until: float, given: Given, guidance: float) -> Tensor:
        time_B, until_B = (torch.full((len(z_BX),), value, device=z_BX.device) for value in (time, until))
        told_B = torch.ones(len(z_BX), dtype=torch.bool, device=z_BX.device)
        clean_BX = self.modules["network"](z_BX, time_B, until_B, given, told_B)
        if guidance == 1 or not self.conditional:
            return clean_BX
        other_BX = self.modules["network"](z_BX, time_B, until_B, given, ~told_B)
        return other_BX + guidance * (clean_BX - other_BX)

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None: ...

    def flops(self, batch: Batch) -> float:
        """Counted by one forward pass on one row; a backward pass costs two, and two steps of the averages two."""
        data_BX, given = split(batch)
        zero, told = torch.zeros(1, device=data_BX.device), torch.ones(1, dtype=torch.bool, device=data_BX.device)
        forward = forward_flops(self.modules["network"], data_BX[:1], zero, zero, rows(given, slice(1)), told)
        return len(data_BX) * forward * (3 + 2 * self.settings.few_steps * self.settings.few_steps_share)

    def export_tensors(self) -> dict[str, Tensor]:
        return module_tensors(self.modules, self.exported)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        load_module_tensors(self.modules, self.exported, tensors)

    def open(self, capacity: int, opening: Any) -> FlowSession:
        network = self.modules["network"]
        return FlowSession(capacity, self.shape, next(network.parameters()).device, network, self.conditional)


def noisy(data_BX: Tensor, noise_BX: Tensor, time_B: Tensor) -> Tensor:
    time = like(time_B, data_BX)
    return time * data_BX + (1 - time) * noise_BX


def large_steps(count: int, rng: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
    """When some steps begin and end: a whole way, a half, ... down to two of the finest, at the places where equal steps of that length do."""
    number_S = 2.0 ** torch.randint(0, FINEST, (count,), generator=rng, device=device)
    place_S = (torch.rand(count, generator=rng, device=device) * number_S).floor()
    return place_S / number_S, (place_S + 1) / number_S


def phases(settings: Settings) -> tuple[Phase, ...]:
    """At full rate until large steps are learned too; then the rate falls."""
    if not settings.few_steps:
        return (Phase("flow", ("network",), optimizer(settings, warmup=0.02, decay=0.4)),)
    begins = 1 - settings.few_steps
    return (
        Phase("flow", ("network",), optimizer(settings, warmup=0.02 / begins, decay=0.0), ends=begins),
        Phase("few_steps", ("network",), optimizer(settings, warmup=0.02, decay=1.0), begins=begins),
    )


def optimizer(settings: Settings, warmup: float, decay: float) -> OptimizerSpec:
    return OptimizerSpec(
        learning_rate=2e-3,
        matrix_learning_rate=0.02,
        betas=(0.9, 0.99),
        momentum=0.9,
        polar_steps=4,
        orthogonal_groups=2,
        warmup=warmup,
        decay=decay,
        ema_halflife=settings.ema_halflife,
    )
