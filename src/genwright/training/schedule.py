"""The learning rate over a phase's steps: warm up, stay, decay (arXiv:2404.06395, section 4), as a pure function of the step.

So a resumed training follows the same curve, and a longer one only stays for longer.
"""

from __future__ import annotations

from genwright.families.base import OptimizerSpec


def rate_scale(step: int, total: int, spec: OptimizerSpec) -> float:
    """The factor on every learning rate at `step` of 0 .. total - 1.

    Rises over the first `spec.warmup` of the steps, the first step already moving; falls in a straight line over the last
    `spec.decay` of them towards `spec.final`, which the step after the last would have. Where a short training makes the two
    overlap, the lower counts.
    """
    warmup_steps = round(spec.warmup * total)
    decay_steps = round(spec.decay * total)
    rising = min(1.0, (step + 1) / (warmup_steps + 1))
    if step < total - decay_steps:
        return rising
    left = max(0, total - step) / decay_steps if decay_steps else 0.0
    return min(rising, spec.final + (1.0 - spec.final) * left)
