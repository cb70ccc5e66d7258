"""What each stage depends on: a hash that tells whether its result still stands."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from genwright.recipe import Recipe
from genwright.run import Run

if TYPE_CHECKING:
    from genwright.tasks.base import BaseTask


def digest(*content: Any) -> str:
    """A short hash of JSON-able content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def stage_inputs(stage: str, recipe: Recipe, run: Run, task: BaseTask) -> str:
    """The hash that `run.complete(stage, inputs=...)` records and `run.up_to_date` compares.

    A stage depends on its sections of the recipe and on the `outputs` hash of the stages it reads. `collect` has to look at
    its sources to know, so it is always run and says by its outputs whether anything is new.
    """
    made = {
        name: record.outputs if (record := run.record(name)) else None
        for name in ("collect", "prepare", "train", "evaluate")
    }
    return {
        "collect": lambda: digest("collect", recipe.hash("task", "data")),
        "prepare": lambda: digest("prepare", made["collect"], recipe.task, task.encoding_settings()),
        "train": lambda: digest("train", made["prepare"], recipe.hash("model", "train")),
        "evaluate": lambda: digest("evaluate", made["train"], made["prepare"], recipe.hash("evaluate")),
        "export": lambda: digest("export", made["train"], made["evaluate"]),
        "report": lambda: digest("report", made, recipe.hash()),
    }[stage]()
