"""A family small enough to follow by hand: fits y = a x + b in two phases, with noise, a buffer, a frozen module and extra state."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor, nn

from genwright.families.base import Batch, Loss, OptimizerSpec, Phase


class Tiny:
    name: ClassVar[str] = "tiny"
    Controls: ClassVar[type[BaseModel]] = BaseModel
    Opening: ClassVar[type[BaseModel]] = BaseModel
    exported: ClassVar[tuple[str, ...]] = ("slope", "offset")

    def __init__(self, noise: float = 0.1, spec: OptimizerSpec | None = None, held_out: bool = True):
        spec = spec or OptimizerSpec(learning_rate=0.05, ema_halflife=5)
        muon = OptimizerSpec(learning_rate=0.05, matrix_learning_rate=0.05)
        self.modules = nn.ModuleDict(
            {
                "slope": nn.Sequential(nn.BatchNorm1d(4, affine=False), nn.Linear(4, 4, bias=False), nn.Dropout(0.2)),
                "offset": nn.Linear(4, 4),
                "reference": nn.Linear(4, 4),
            }
        )
        self.phases = (Phase("first", ("slope",), spec), Phase("second", ("offset",), muon, every=2))
        self.noise, self.held_out, self.calls = noise, held_out, 0
        self.break_at: int | None = None
        self.flops_per_example = 1000.0

    def loss(self, phase: str, batch: Batch, rng: torch.Generator) -> Loss:
        self.calls += 1
        x, y = batch["x"], batch["y"]
        x = x + self.noise * torch.randn(x.shape, generator=rng)
        predicted = self.modules["offset"](self.modules["slope"](x))
        value = ((predicted - y) ** 2).mean()
        if self.break_at is not None and self.calls >= self.break_at:
            value = value * float("nan")
        return Loss(value, float(len(x)), {"error": (predicted - y).abs().mean().detach()})

    def validate(self, batch: Batch, rng: torch.Generator) -> Loss | None:
        if not self.held_out:
            return None
        predicted = self.modules["offset"](self.modules["slope"](batch["x"]))
        return Loss(((predicted - batch["y"]) ** 2).mean(), float(len(batch["x"])))

    def extra_state(self) -> dict[str, Any]:
        return {"calls": self.calls, "trace": torch.tensor([self.calls])}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        self.calls = state["calls"]

    def flops(self, batch: Batch) -> float:
        return self.flops_per_example * len(batch["x"])

    def export_tensors(self) -> dict[str, Tensor]:
        return {k: v for k, v in self.modules.state_dict().items() if not k.startswith("reference")}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        self.modules.load_state_dict(tensors, strict=False)

    def open(self, capacity: int, opening: Any) -> Any:
        raise NotImplementedError("the tests only train it")


class Lines:
    """Batches of points on a plane, a pure function of the position."""

    pass_examples = 64

    def batch(self, position: int, size: int) -> Batch:
        rows = [
            np.random.default_rng([5, slot % self.pass_examples]).standard_normal(4)
            for slot in range(position, position + size)
        ]
        x = torch.tensor(np.stack(rows), dtype=torch.float32)
        return {"x": x, "y": 2 * x + 1}


def tiny(seed: int = 0, **keywords: Any) -> Tiny:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Tiny(**keywords)
