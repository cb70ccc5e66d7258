"""What people are shown to ask of a new model: chosen once, out of what the model's own data holds out.

The whole example stands in the record of export, for the terminal and the report. Where its words may be passed on, by the licence
of the item that they are from, it goes into the model folder and its card too; a model folder is made to be handed on.
"""

from __future__ import annotations

from typing import Any

from genwright.model import Model
from genwright.registry import about
from genwright.request import Shown, shown
from genwright.rights.duties import allows
from genwright.run import Run
from genwright.tasks.base import Splits

OWN, PUBLIC = "example", "public_example"
"""Keys of the record of export. What the model folder has stands under the first in `about` of its config.json."""


def choose(model: Model, splits: Splits) -> dict[str, dict[str, Any]]:
    """Values of a request's fields: the owner's example, and the one that may be passed on."""
    plain = dict(about(model.task.name).example)
    asked = model.task.example(model.facts, splits)
    own = plain if asked is None else {**plain, **asked.values}
    item = splits.items.get(asked.quoted) if asked else None
    free = asked is not None and (not asked.quoted or (item is not None and allows(item.licence)))
    return {OWN: own, PUBLIC: own if free else plain}


def shown_of(run: Run, task: str, family: str, *, public: bool) -> Shown:
    """A run's example as people are shown it; the task's own where the run has none."""
    record = run.record("export")
    return shown(task, family, record.summary.get(PUBLIC if public else OWN) if record else None)
