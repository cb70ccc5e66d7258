"""What people are shown to ask of a model: chosen once, by export, out of what the model's own data holds out. Torch-free.

The whole example stands in the record of export, for the terminal and the report. Where its words may be passed on, by the licence
of the item that they are from, it goes into the model folder and its card too; a model folder is made to be handed on.
"""

from __future__ import annotations

from typing import Any, Protocol

from genwright.registry import TASKS, about
from genwright.request import Shown, positional, shown
from genwright.rights.duties import allows
from genwright.run import Run

OWN, PUBLIC = "example", "public_example"
"""Keys of the record of export. What the model folder has stands under the first in `about` of its config.json."""


class Asked(Protocol):
    """`tasks.base.Asked`."""

    @property
    def values(self) -> dict[str, Any]: ...

    @property
    def quoted(self) -> str: ...


def chosen(task: str, asked: Asked | None, licence: str | None) -> dict[str, dict[str, Any]]:
    """Values of a request's fields: the owner's example, and the one that may be passed on. `licence`: of the item that is quoted."""
    plain = dict(about(task).example)
    if asked is None:
        return {OWN: plain, PUBLIC: plain}
    bare = positional(
        TASKS[task].load_options().Request
    )  # what the data has to ask takes the place of what anybody might ask
    own = {**{name: value for name, value in plain.items() if name != bare}, **asked.values}
    return {OWN: own, PUBLIC: own if not asked.quoted or allows(licence) else plain}


def shown_of(run: Run, task: str, family: str, *, public: bool) -> Shown:
    """A run's example as people are shown it; the task's own where the run has none."""
    record = run.record("export")
    return shown(task, family, record.summary.get(PUBLIC if public else OWN) if record else None)
