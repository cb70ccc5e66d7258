"""Settings and request of the task `write`: torch-free, so that recipes and help are quick."""

from __future__ import annotations

from pydantic import Field

from genwright.tasks import text_options
from genwright.tasks.text_options import Model, Request

__all__ = ["EXAMPLE", "FAMILIES", "MEDIUM", "Model", "Prepare", "Request"]

MEDIUM = "text"
FAMILIES = ("transformer",)
EXAMPLE = '"ROMEO:" --max-tokens 300'
"""What to type after `genwright generate RUN`, shown at the end of a run."""


class Prepare(text_options.Prepare):
    min_characters: int = Field(1, ge=1, description="Shorter texts are dropped as too_small.")
