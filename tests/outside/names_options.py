"""Settings and request of the task `names`: those of `write`, and no prompt is needed."""

from __future__ import annotations

from genwright.tasks.write.options import Model, Prepare, Request

MEDIUM = "text"
FAMILIES = ("transformer",)
EXAMPLE = "-n 10"

__all__ = ["EXAMPLE", "FAMILIES", "MEDIUM", "Model", "Prepare", "Request"]
