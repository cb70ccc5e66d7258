"""What the processes of test_resume.py run, so that they can be killed."""

from __future__ import annotations

from pathlib import Path

import torch

from genwright import recipe as recipes
from genwright.model import build_task
from genwright.run import Run
from genwright.stages import train


def prepare(recipe_file: str, run_folder: str) -> None:
    """Collect and prepare, as `genwright prepare` would."""
    from genwright.run import write_atomic
    from genwright.stages import collect
    from genwright.stages import prepare as preparing

    recipe, run = recipes.load(Path(recipe_file)), Run(Path(run_folder))
    task = build_task(recipe)
    run.folder.mkdir(parents=True)
    write_atomic(run.folder / "recipe.yaml", recipe.to_yaml())
    with run.lock():
        collect.run(recipe, run, task=task, offline=True)
        preparing.run(recipe, run, task=task)


def train_run(recipe_file: str, run_folder: str) -> None:
    """The train stage, as `genwright train` runs it. One thread: the machine's load must not decide the order of sums."""
    torch.set_num_threads(1)
    recipe, run = recipes.load(Path(recipe_file)), Run(Path(run_folder))
    with run.lock():
        train.run(recipe, run, task=build_task(recipe), device=torch.device("cpu"))
