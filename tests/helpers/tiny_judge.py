"""A judge that learns which side of a line a point lies on."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel
from torch import Tensor, nn

from genwright.families.base import Batch, Loss, OptimizerSpec, Phase


class Sides:
    name: ClassVar[str] = "sides"
    Controls: ClassVar[type[BaseModel]] = BaseModel
    Opening: ClassVar[type[BaseModel]] = BaseModel
    exported: ClassVar[tuple[str, ...]] = ("judge",)

    def __init__(self) -> None:
        self.modules = nn.ModuleDict({"judge": nn.Sequential(nn.Linear(2, 8), nn.GELU(), nn.Linear(8, 1))})
        self.phases = (Phase("judge", ("judge",), OptimizerSpec(learning_rate=0.05, ema_halflife=5)),)

    def loss(self, phase: str, batch: Batch, rng: torch.Generator) -> Loss:
        logit = self.modules["judge"](batch["x"])[:, 0]
        return Loss(F.binary_cross_entropy_with_logits(logit, batch["side"]), len(logit))

    def validate(self, batch: Batch, rng: torch.Generator) -> Loss | None:
        return None

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None: ...

    def flops(self, batch: Batch) -> float:
        return 100.0 * len(batch["x"])

    def export_tensors(self) -> dict[str, Tensor]:
        return self.modules.state_dict()

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        self.modules.load_state_dict(tensors)

    def open(self, capacity: int, opening: Any) -> Any:
        raise NotImplementedError("a judge makes nothing")


class Points:
    pass_examples = 1000

    def batch(self, position: int, size: int) -> Batch:
        rows = [np.random.default_rng([3, slot]).standard_normal(2) for slot in range(position, position + size)]
        x = torch.tensor(np.stack(rows), dtype=torch.float32)
        return {"x": x, "side": (x[:, 0] > x[:, 1]).float()}
