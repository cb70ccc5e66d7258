"""A judge: a discriminator trained from scratch to tell real data from generated data (classifier two-sample test).

Its accuracy on data it has not seen says how easily a set is found out: 0.5 is guessing. It never sees the generator's
gradient, so it judges every family alike, those without a discriminator too. arXiv:1610.06545.

Shapes: B batch, X the data's own axes. data_BX in [-1, 1].
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import BaseModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from genwright.families.base import (
    Batch,
    Loss,
    Moment,
    OptimizerSpec,
    Phase,
    Session,
    load_module_tensors,
    module_tensors,
)


class Nothing(BaseModel):
    """A judge makes nothing, so there is nothing to control."""


class TwoSample:
    """`discriminator(data_BX) -> logit_B`, above zero for real. A batch is {"data": data_BX, "real": 0 or 1 as float_B}."""

    name: ClassVar[str] = "two_sample"
    Controls: ClassVar[type[BaseModel]] = Nothing
    Opening: ClassVar[type[BaseModel]] = Nothing
    exported: ClassVar[tuple[str, ...]] = ("discriminator",)
    phases: tuple[Phase, ...]

    def __init__(self, discriminator: nn.Module, learning_rate: float = 1e-3):
        self.modules = nn.ModuleDict({"discriminator": discriminator})
        spec = OptimizerSpec(
            learning_rate=learning_rate, betas=(0.9, 0.99), weight_decay=0.05, warmup=0.05, decay=0.5, final=0.02
        )
        self.phases = (Phase("judge", ("discriminator",), spec),)

    def loss(self, phase: str, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        """Logistic loss, in nats a row."""
        logit_B, real_B = self.modules["discriminator"](batch["data"]), batch["real"]
        value = F.binary_cross_entropy_with_logits(logit_B, real_B)
        right = ((logit_B > 0) == (real_B > 0.5)).float().mean()
        return Loss(value, len(real_B), {"judge_loss": value.detach(), "right": right.detach()})

    def validate(self, batch: Batch, rng: torch.Generator, at: Moment) -> Loss | None:
        return self.loss("judge", batch, rng, at)

    def discriminate(self, data_BX: Tensor) -> Tensor:
        """-> logit_B: above zero where a row is taken for real."""
        return self.modules["discriminator"](data_BX)

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None: ...

    def flops(self, batch: Batch) -> float:
        """Counted by one forward pass on one row; a backward pass costs two of them."""
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            self.modules["discriminator"](batch["data"][:1])
        return 3 * len(batch["data"]) * float(counter.get_total_flops())

    def export_tensors(self) -> dict[str, Tensor]:
        return module_tensors(self.modules, self.exported)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        load_module_tensors(self.modules, self.exported, tensors)

    def open(self, capacity: int, opening: Any) -> Session:
        raise TypeError("a two-sample discriminator judges and makes nothing")
