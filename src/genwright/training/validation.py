"""The held-out loss: one number a family can be compared by at two moments, the same draws each time."""

from __future__ import annotations

import torch

from genwright.families.base import Family, Moment
from genwright.seeds import derive_seed
from genwright.training import precision
from genwright.training.base import Batches, Settings
from genwright.training.stream import to_device


@torch.no_grad()
def held_out_loss(
    family: Family, batches: Batches, examples: int, settings: Settings, device: torch.device, step: int, steps: int
) -> dict[str, float] | None:
    """Weighted means of the loss and its parts over the first `examples` of a split; None where the family has no such loss.

    `step`: steps taken so far, of `steps`. The averages must stand in the modules, so these are what is read as averages.
    """
    sums: dict[str, float] = {}
    total, size = 0.0, settings.micro_batches()[0]
    rng = torch.Generator(device)
    at = Moment(step, steps, step, steps, lambda module: dict(family.modules[module].named_parameters()))
    for position in range(0, examples, size):
        batch = to_device(batches.batch(position, min(size, examples - position)), device)
        rng.manual_seed(derive_seed(settings.seed, settings.part, "validation", position))
        with precision.autocast(settings.precision, device):
            out = family.validate(batch, rng, at)
        if out is None:
            return None
        weight = float(out.weight)
        total += weight
        for name, value in {"loss": out.value, **out.parts}.items():
            sums[name] = sums.get(name, 0.0) + float(value) * weight
    return {name: value / total for name, value in sums.items()} if total else None
