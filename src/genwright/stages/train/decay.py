"""How fast weights decay where a training sees its data many times: else it learns them by heart.

Measured on 20,000 characters of Shakespeare, as nats a held-out character at the end of 24 passes; in brackets the lowest on the way to
it, which is what patience would have kept of a training without decay:

| parameters a character | none | 3 | 6 | 12 | 24 | the rule below |
|---|---|---|---|---|---|---|
| 20 | 4.06 (2.277) | | 2.289 | 2.180 | 2.301 | 11.8 |
| 5 | 2.86 (2.268) | 2.270 | 2.182 | 2.244 | | 5.9 |
| 1.2 | 2.31 (2.285) | 2.234 (4) | | | | 2.9 |

Twelve passes of the first end at 2.264, 2.175 and 2.214 with 3, 6 and 12 (the rule: 5.9), six without decay at 2.241, and without it more
only get worse. That much decay, some thirty times what is usual, is what arXiv:2509.14786 finds too.
"""

from __future__ import annotations

from genwright.families.base import OptimizerSpec
from genwright.recipe import TrainSettings
from genwright.stages.train.jobs import Job
from genwright.training.forecast import PartPlan

_FROM_PASSES = 4.0
"""Fewer passes need none."""
_MOST_PASSES = 24.0
"""More ask for no more decay in each."""
_A_PASS = 1 / 17
"""The share of a weight that decays in a pass, for each pass of the training, at the most parameters a token."""
_MOST_A_TOKEN, _LEAST_A_TOKEN = 20.0, 1.0
"""Parameters for each token of the data: the share grows with their square root between."""


def weight_decay(passes: float, steps: int, rate: float, parameters_a_token: float) -> float | None:
    """The decoupled decay for so many passes in so many steps at a learning rate; None for the optimizer's own."""
    if passes < _FROM_PASSES:
        return None
    large = min(max(parameters_a_token, _LEAST_A_TOKEN), _MOST_A_TOKEN) / _MOST_A_TOKEN
    a_pass = _A_PASS * min(passes, _MOST_PASSES) * large**0.5
    return a_pass * passes / (steps * rate)


def with_decay(plan: PartPlan, job: Job, train: TrainSettings, optimizer: OptimizerSpec) -> PartPlan:
    """The plan with the weight decay that its passes ask for, where the recipe leaves it to us."""
    settings, measured = plan.settings, plan.measured
    if train.weight_decay != "auto" or not job.part.decays_by_passes:
        return plan
    spec = settings.overriding(optimizer)
    tokens = plan.pass_examples * measured.weight_per_step / settings.batch
    decay = weight_decay(
        plan.passes,
        settings.steps,
        spec.matrix_learning_rate or spec.learning_rate,
        measured.parameters / max(tokens, 1),
    )
    return plan.model_copy(update={"settings": settings.model_copy(update={"weight_decay": decay})})
