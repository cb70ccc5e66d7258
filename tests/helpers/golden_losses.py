"""The losses of the first steps of a tiny fixed run of each family, kept in tests/golden/losses.json.

A change of these numbers is a change of what training does: where it is wanted, write them anew with
`PYTHONPATH=tests python tests/helpers/golden_losses.py --write` and say why in the commit.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import yaml

from genwright import recipe as recipes
from genwright.families.base import Batch
from genwright.model_folder import build_task
from genwright.run import Run
from genwright.stages.train.jobs import Workshop
from genwright.training.base import Batches, Settings
from genwright.training.trainer import Trainer
from helpers.training_child import CODES, RECIPES, prepare

FILE = Path(__file__).parents[1] / "golden" / "losses.json"
STEPS = 5
RUNS = {family: (recipe, 0) for family, recipe in RECIPES.items()} | {"codec": (CODES, 0), "codes": (CODES, 1)}
"""By family, a recipe, and which of its model's parts is the family's."""


def losses(family: str, folder: Path) -> list[dict[str, float]]:
    """What each of the first steps logs (losses and gradient norms), on one CPU thread in fp64."""
    file = folder / f"{family}.yaml"
    content, part = RUNS[family]
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    # The data is split as when the losses were written down, whatever the rule is by now: a recorded split stays.
    prepare(str(file), str(folder / family), FILE.with_name(f"{content['task']}-splits.parquet"))
    recipe, device = recipes.load(file), torch.device("cpu")
    task = build_task(recipe)
    workshop = Workshop.open(recipe, Run(folder / family), task, device)
    config = task.candidates(workshop.facts, workshop.splits, device)[0]
    *before, job = workshop.jobs(config)[: part + 1]
    for earlier in before:  # with its first weights
        earlier.finish(earlier.build(), None)
        job.derive_sample(folder / "derived")
    records = []
    with double_precision():
        trainer = Trainer(job.build(), Doubled(job.training()), Settings(steps=STEPS, batch=8, accumulate=2), device)
        for _ in range(STEPS):
            trainer.take_step()
            records.append(trainer.window.take())
    return records


@contextmanager
def double_precision() -> Iterator[None]:
    """New tensors are fp64. A GAN's first steps blow fp32's rounding, which differs between processors, up to percents."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


class Doubled:
    """Batches with their fp32 tensors in fp64."""

    def __init__(self, batches: Batches):
        self._batches, self.pass_examples = batches, batches.pass_examples

    def batch(self, position: int, size: int) -> Batch:
        found = self._batches.batch(position, size)
        return {name: value.double() if value.dtype == torch.float32 else value for name, value in found.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write tests/golden/losses.json instead of printing")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        found = json.dumps({family: losses(family, Path(scratch)) for family in sorted(RUNS)}, indent=1) + "\n"
    if wanted.write:
        FILE.write_text(found, encoding="utf-8")
    else:
        print(found)
