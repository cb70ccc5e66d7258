"""A first guess at the size and the batch that a card's time is best spent on: arithmetic alone, which a rehearsal then confirms.

A card waits for Python where a step is small, so a step there takes as many examples as keep it busy, but no more than the data
bears (`BaseTask.most_batch`) and the budget has time for. What is foretold of a step was measured on an H200: 35 layers' operations,
eager, take 17.5 ms, and a decoder 768 wide reaches 36 % of the product's rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genwright.settings import Budget
from genwright.stages.train.rate import Rate

VALUES_PER_PARAMETER = 3.0
"""A model that sees less than this of its weight (tokens, or pixels) for each parameter is better smaller."""
_LAUNCHES = 50
"""Small operations' time that a step takes for each of a network's innermost modules, in a phase: forward, backward, optimizer."""
_COMPILED = 1 / 3
"""The share of it that is left where the step is compiled."""
_WAITS = 1.5
"""A step that takes no more than so many times what Python takes waits for it."""
_BEST_SHARE, _HALF_AT = 0.6, 512
"""A step's products reach at most this share of a large product's rate, and half of it at this width."""
_LEAST_PRODUCT_SECONDS = 3e-3
"""Of a step at the device's full rate."""
_BUSY = 2.0
"""How many times as long as Python a busy device takes."""
_LEARNING = 0.75
"""Share of a budget in minutes that is steps."""
_MODEL_SHARE = 0.6
"""Of the memory, for weights and what goes with them."""
_BYTES_PER_PARAMETER = 20


@dataclass(frozen=True)
class Cost:
    """What is known of a size before anything of it was made."""

    parameters: int
    flops: float
    """Of a training step, for each example."""
    modules: int
    """Innermost modules, times the phases of a step."""
    width: float
    """Of its matrices: the mean smaller side, by weight."""
    values: int
    """Tokens, or pixels by channel, that an example has."""
    least: int
    """Examples of a step where a device is slow."""
    most: int
    least_steps: int
    compiles: bool = True

    def product_seconds(self, batch: int, rate: Rate) -> float:
        share = _BEST_SHARE * self.width / (self.width + _HALF_AT)
        return self.flops * batch / (share * rate.flops)

    def launch_seconds(self, rate: Rate, compiled: bool) -> float:
        return self.modules * _LAUNCHES * rate.launch_seconds * (_COMPILED if compiled and self.compiles else 1.0)

    def seconds(self, batch: int, rate: Rate) -> float:
        return max(self.product_seconds(batch, rate), self.launch_seconds(rate, compiled=True))

    def once_compiled(self, eager_seconds: float, batch: int, rate: Rate) -> float:
        """What a step that took so long eagerly will take: a third where it only waited for Python, unless the device then is busy."""
        if not self.compiles or eager_seconds > _WAITS * self.launch_seconds(rate, compiled=False):
            return eager_seconds
        return min(max(eager_seconds * _COMPILED, self.product_seconds(batch, rate)), eager_seconds)

    def steps(self, budget: Budget, batch: int, rate: Rate) -> float:
        each = {
            "seconds": self.seconds(batch, rate) / _LEARNING,
            "steps": 1.0,
            "examples": float(batch),
            "tokens": float(batch * self.values),
        }[budget.unit]
        return budget.amount / each


def batch_for(cost: Cost, rate: Rate, budget: Budget) -> int:
    """Examples of a step: doubled from the least until the device is busy, the data bears no more, or too few steps would be left."""
    batch = cost.least
    while 2 * batch <= cost.most and not _busy(cost, batch, rate):
        if budget.unit != "steps" and cost.steps(budget, 2 * batch, rate) < 2 * cost.least_steps:
            break
        batch *= 2
    return batch


def _busy(cost: Cost, batch: int, rate: Rate) -> bool:
    full = cost.flops * batch / rate.flops >= _LEAST_PRODUCT_SECONDS
    return full and cost.product_seconds(batch, rate) >= _BUSY * cost.launch_seconds(rate, compiled=True)


def first_guess(costs: Sequence[Cost], rate: Rate, budget: Budget) -> tuple[int, list[int]]:
    """(which of some sizes, from small to large, the budget is enough for; the batch of each)."""
    batches = [batch_for(cost, rate, budget) for cost in costs]
    best = 0
    for number, (cost, batch) in enumerate(zip(costs, batches, strict=True)):
        steps = cost.steps(budget, batch, rate)
        seen = steps * batch * cost.values / cost.parameters
        fits = cost.parameters * _BYTES_PER_PARAMETER <= _MODEL_SHARE * rate.memory_bytes
        if fits and steps >= cost.least_steps and seen >= VALUES_PER_PARAMETER:
            best = number
    return best, batches
