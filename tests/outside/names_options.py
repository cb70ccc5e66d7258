"""Settings and request of the task `names`: those of `write`, and no prompt is needed."""

from __future__ import annotations

from genwright.about import About
from genwright.tasks.write.options import Model, Prepare, Request

ABOUT = About(
    medium="text",
    families=("transformer",),
    example={"n": 10},
    pipeline="text-generation",
    traceable=True,
)

__all__ = ["ABOUT", "Model", "Prepare", "Request"]
