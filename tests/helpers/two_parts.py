"""The task `mosaic` of tests/outside, a codec and a prior over its codes, for tests and for processes that are to be killed."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from genwright.registry import FAMILIES, TASKS, Entry, Registry
from genwright.training.trainer import Trainer
from helpers import ASSETS, TESTS, training_child

ENTRIES: list[tuple[Registry, str, Entry]] = [
    (FAMILIES, "codec", Entry("codec:Codec", "codec_options")),
    (FAMILIES, "code_prior", Entry("code_prior:CodePrior", "code_prior_options")),
    (TASKS, "mosaic", Entry("mosaic:Mosaic", "mosaic_options")),
]
TRAIN: dict[str, Any] = {
    "budget": "50 steps",
    "accumulate": 2,
    "checkpoint_every": "5 steps",
    "validate_times": 4,
    "previews": 2,
    "patience": 0,
    "precision": "fp32",
    "compile": "off",
}
"""20 steps for the codec, 30 for the prior."""
RECIPE: dict[str, Any] = {
    "task": "mosaic",
    "data": {"sources": [{"folder": str(ASSETS / "pictures")}]},
    "model": {"prior": {"width": 32}},
    "train": TRAIN,
    "evaluate": {"samples": 16},
}


def register() -> None:
    place = str(TESTS / "outside")
    if place not in sys.path:
        sys.path.insert(0, place)
    for registry, name, entry in ENTRIES:
        if name not in registry:
            registry.register(name, entry)


def unregister() -> None:
    for registry, name, _ in ENTRIES:
        registry.unregister(name)


def train_run(recipe_file: str, run_folder: str, dies_in: str = "") -> None:
    """For a process of its own, which kills itself at step 12 of a part, or (`derive`) while examples are derived for the prior."""
    register()
    import mosaic

    real_step, real_codes = Trainer.take_step, mosaic.Mosaic.codes_of

    def step(trainer: Trainer) -> None:
        if trainer.settings.part == dies_in and trainer.step == 12 and trainer.folder:
            os.kill(os.getpid(), signal.SIGKILL)
        real_step(trainer)

    def codes(task: Any, trained: Any, examples: Any) -> Any:
        if dies_in == "derive" and len(examples) < 20:  # the first chunk, that of the training split, is written
            os.kill(os.getpid(), signal.SIGKILL)
        return real_codes(task, trained, examples)

    Trainer.take_step, mosaic.Mosaic.codes_of = step, codes
    training_child.train_run(recipe_file, run_folder)
