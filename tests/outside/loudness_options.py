"""Settings and request of the task `loudness`, settings and controls of its family `mean`: torch-free."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from genwright.about import About
from genwright.request import POSITIONAL, Blob, of_medium
from genwright.settings import Section

ABOUT = About(
    medium="wav",
    families=("mean",),
    example={"recording": "quiet.wav"},
    use='made.save("loud.wav")',
    pipeline="audio-to-audio",
)
TASKS = ()
"""The tasks that name the family `mean` do so themselves."""


class Prepare(Section):
    min_seconds: float = Field(0.1, ge=0, description="Shorter recordings are dropped as too_small.")
    workers: int | None = Field(None, ge=1, description="Processes that encode; default: one a core.")


class Model(Section): ...


class Request(Section):
    recording: Annotated[Blob, of_medium("wav")] = Field(
        description="The recording to make louder or quieter.", json_schema_extra=POSITIONAL
    )
    seed: int = Field(0, ge=0, description="Not used: there is one way to do it.")


class Settings(Section): ...


class Controls(Section):
    gain: float = Field(1.0, gt=0, description="Times as loud as what was learnt from.")


class Opening(Section):
    """Nothing is fixed when it is opened."""
