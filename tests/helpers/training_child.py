"""Small runs on the tests' real data: what processes that are to be killed run, and what golden losses are of."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from genwright import recipe as recipes
from genwright.model_folder import build_task
from genwright.run import Run
from genwright.stages.train import stage as train
from helpers import ASSETS

PICTURES = {"folder": str(ASSETS / "pictures"), "join": {"table": "emoji.jsonl", "path": "{image}", "text": "{text}"}}

RECIPES: dict[str, dict[str, Any]] = {
    "transformer": {
        "task": "write",
        "data": {"sources": [{"folder": str(ASSETS / "text")}]},
        "model": {"layers": 1, "width": 32, "context": 32},
    },
    "flow": {"task": "draw", "data": {"sources": [PICTURES]}, "model": {"family": "flow", "size": 16, "width": 16}},
    "gan": {"task": "draw", "data": {"sources": [PICTURES]}, "model": {"family": "gan", "size": 16, "width": 16}},
    "vae": {"task": "draw", "data": {"sources": [PICTURES]}, "model": {"family": "vae", "size": 16, "width": 16}},
}
"""The smallest useful run of each family that is a model's only part."""

CODES: dict[str, Any] = {
    "task": "draw",
    "data": {"sources": [PICTURES]},
    "model": {"family": "transformer", "size": 16, "codec": {"width": 16}, "prior": {"layers": 1, "width": 32}},
}
"""The smallest useful run of two parts."""


def prepare(recipe_file: str, run_folder: str, splits: Path | None = None) -> None:
    """Collect and prepare, as `genwright prepare` would; `splits` is the record of a split that was decided before."""
    from genwright.run import write_atomic
    from genwright.stages.collect import stage as collect
    from genwright.stages.prepare import stage as preparing

    recipe, run = recipes.load(Path(recipe_file)), Run(Path(run_folder))
    task = build_task(recipe)
    run.folder.mkdir(parents=True)
    if splits is not None:
        shutil.copy(splits, run.reopen("collect") / "splits.parquet")
    write_atomic(run.folder / "recipe.yaml", recipe.to_yaml())
    with run.lock():
        collect.run(recipe, run, task=task, offline=True)
        preparing.run(recipe, run, task=task)


def train_run(recipe_file: str | Path, run_folder: str | Path) -> None:
    """The train stage, as `genwright train` runs it. One thread: the machine's load must not decide the order of sums."""
    torch.set_num_threads(1)
    recipe, run = recipes.load(Path(recipe_file)), Run(Path(run_folder))
    with run.lock():
        train.run(recipe, run, task=build_task(recipe), device=torch.device("cpu"))
