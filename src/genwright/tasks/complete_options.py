"""Settings and request of the task `complete`: torch-free, so that recipes and help are quick."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from genwright.output import Around, read_text
from genwright.tasks import text_options
from genwright.tasks.text_options import Model

__all__ = ["EXAMPLE", "FAMILIES", "MEDIUM", "Hole", "Model", "Prepare", "Request", "around", "hole_of"]

MEDIUM = "text"
FAMILIES = ("transformer",)
EXAMPLE = "--prefix 'for name in sorted(' --suffix '):'"
"""What to type after `genwright generate RUN`, shown at the end of a run."""


class Prepare(text_options.Prepare):
    fim_rate: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the pieces of files that are shown with a hole to fill (fill-in-the-middle); the others are "
        "read from left to right.",
    )
    spm_rate: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the holes that are shown suffix first (SPM); the others prefix first (PSM).",
    )
    syntax_rate: float = Field(
        0.7,
        ge=0,
        le=1,
        description="Share of the holes that follow the syntax: lines, statements, bodies, brackets; the others are cut "
        "between any two characters.",
    )
    near_duplicates: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Files whose runs of five words agree to this share (estimated by MinHash) stay on one side of the split.",
    )


class Request(text_options.Request):
    prompt: str = Field("", description="Text to go on from; for a hole in a text, use --prefix and --suffix.")
    prefix: str | None = Field(None, description="What stands before the hole.")
    suffix: str | None = Field(None, description="What stands behind the hole.")
    prefix_file: str | None = Field(None, description="Read what stands before the hole from this file.")
    suffix_file: str | None = Field(None, description="Read what stands behind the hole from this file.")
    path: str | None = Field(
        None, description="Path of the file in its project, as the model was shown it; default: the prefix file's name."
    )
    beside: list[str] = Field(
        [],
        description="A file that the one with the hole imports, shown to the model first; may be given more than once.",
    )
    order: Literal["psm", "spm"] | None = Field(
        None,
        description="Show the model the prefix first (psm) or the suffix first (spm); default: as it was trained, psm where both.",
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> Request:
        for name in ("prefix", "suffix"):
            if getattr(self, name) is not None and getattr(self, f"{name}_file") is not None:
                raise ValueError(f"give either {name} or {name}_file")
        if self.prompt and self.has_hole:
            raise ValueError("give either a prompt to go on from, or a prefix and a suffix")
        return self

    @property
    def has_hole(self) -> bool:
        return any(v is not None for v in (self.prefix, self.suffix, self.prefix_file, self.suffix_file))


@dataclass(frozen=True)
class Hole:
    """What a request wants filled: the text on both sides, line ends as they are, and the file's path in its project."""

    prefix: str
    suffix: str
    path: str


def hole_of(request: Any) -> Hole | None:
    """The hole of a request, its files read; None where it is a prompt to go on from. Raises RequestError."""
    if not request.has_hole:
        return None
    sides = {}
    for name in ("prefix", "suffix"):
        file = getattr(request, f"{name}_file")
        sides[name] = getattr(request, name) or "" if file is None else read_text(Path(file), f"--{name}-file")
    path = request.path or (Path(request.prefix_file).name if request.prefix_file else "")
    return Hole(sides["prefix"], sides["suffix"], path)


def around(request: Any) -> Around | None:
    """What a whole file has before and behind the answer; None where the answer just follows the prompt."""
    hole = hole_of(request)
    like = request.prefix_file or request.suffix_file or request.path
    return hole and Around(hole.prefix, hole.suffix, Path(like) if like else None)
