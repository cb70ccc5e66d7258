"""How fast weights decay where a training sees its data many times: else it learns them by heart.

Measured on 20,000 characters of Shakespeare, as nats a held-out character at the end of 24 passes; in brackets the lowest on the way to
it, which is what patience would have kept of a training without decay:

| parameters a character | none | 3 | 6 | 12 | 24 | the rule below |
|---|---|---|---|---|---|---|
| 20 | 4.06 (2.277) | | 2.289 | 2.180 | 2.301 | 11.8 |
| 5 | 2.86 (2.268) | 2.270 | 2.182 | 2.244 | | 5.9 |
| 1.2 | 2.31 (2.285) | 2.234 (4) | | | | 2.9 |

Twelve passes of the first end at 2.264, 2.175 and 2.214 with 3, 6 and 12 (the rule: 5.9), six without decay at 2.241, and without it more
only get worse; 48 passes end at 2.224, so that a budget in minutes is left where 24 are done (more, where there are fewer parameters). That
much decay, some thirty times what is usual, is what arXiv:2509.14786 finds too.
"""

from __future__ import annotations

from genwright.families.base import OptimizerSpec
from genwright.recipe import TrainSettings
from genwright.stages.train.jobs import Job
from genwright.training.forecast import PartPlan
from genwright.training.rehearsal import Measured

_FROM_PASSES = 4.0
"""Fewer passes need none."""
_MOST_PASSES = 24.0
"""More do no good, and ask for no more decay in each."""
_MANY_FROM = 5.0
"""With fewer parameters than this for each token more passes are taken, by the square root."""
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
    if not _is_ours(job, train):
        return plan
    spec = settings.overriding(optimizer)
    a_token = _a_token(measured, settings.batch, plan.pass_examples)
    decay = weight_decay(plan.passes, settings.steps, spec.matrix_learning_rate or spec.learning_rate, a_token)
    return plan.model_copy(update={"settings": settings.model_copy(update={"weight_decay": decay})})


def most_passes(job: Job, train: TrainSettings, measured: Measured, batch: int) -> float:
    """Passes beyond which a training is not worth its minutes; infinite where the recipe says how weights decay."""
    if not _is_ours(job, train):
        return float("inf")
    return _MOST_PASSES * max(_MANY_FROM / _a_token(measured, batch, job.pass_examples()), 1.0) ** 0.5


def _is_ours(job: Job, train: TrainSettings) -> bool:
    return train.weight_decay == "auto" and job.part.decays_by_passes


def _a_token(measured: Measured, batch: int, pass_examples: int) -> float:
    """Parameters for each token of the data."""
    return measured.parameters / max(pass_examples * measured.weight_per_step / batch, 1.0)
