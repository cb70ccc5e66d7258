"""The task `mosaic` of tests/outside, a codec and a prior over its codes, for tests and for processes that are to be killed."""

from __future__ import annotations

import sys
from typing import Any

from genwright.registry import FAMILIES, TASKS, Entry, Registry
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


def train_run(recipe_file: str, run_folder: str) -> None:
    """For a process of its own."""
    register()
    training_child.train_run(recipe_file, run_folder)
