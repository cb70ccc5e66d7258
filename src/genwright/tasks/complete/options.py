"""Settings and request of the task `complete`: torch-free, so that recipes and help are quick."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, model_validator

from genwright.about import About, Around, Least, Survey, Verdict, on_scale
from genwright.request import FILE_TOO, NAMED_BY_FILE, POSITIONAL, File
from genwright.tasks.text import options as text_options
from genwright.tasks.text.options import Model

__all__ = ["ABOUT", "Hole", "Model", "Prepare", "Request", "hole_of"]

_CHARACTERS = (
    (20_000, "too little to learn from"),
    (
        2_000_000,
        "enough to teach weights that know the language already its habits; too little to learn the language from",
    ),
    (None, "enough for a small model of its style; better from weights that know the language already (`model.from`)"),
)


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
    group_by_words: float = Field(
        0.7,
        validation_alias=AliasChoices("group_by_words", "near_duplicates"),
        gt=0,
        le=1,
        description="Files whose runs of five words agree to this share (estimated by MinHash) stay on one side of the split.",
    )


class Request(text_options.Request):
    prompt: str = Field(
        "",
        description="Text to go on from; for a hole in a text, use --prefix and --suffix.",
        json_schema_extra=POSITIONAL,
    )
    prefix: str | None = Field(None, description="What stands before the hole.", json_schema_extra=FILE_TOO)
    suffix: str | None = Field(None, description="What stands behind the hole.", json_schema_extra=FILE_TOO)
    path: str | None = Field(
        None, description="Path of the file in its project, as the model was shown it.", json_schema_extra=NAMED_BY_FILE
    )
    beside: list[File] = Field(
        [],
        description="A file that the one with the hole imports, shown to the model first; may be given more than once.",
    )
    order: Literal["psm", "spm"] | None = Field(
        None,
        description="Show the model the prefix first (psm) or the suffix first (spm); default: as it was trained, spm where both.",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Request:
        if self.prompt and self.has_hole:
            raise ValueError("give either a prompt to go on from, or a prefix and a suffix")
        return self

    @property
    def has_hole(self) -> bool:
        return self.prefix is not None or self.suffix is not None


@dataclass(frozen=True)
class Hole:
    """What a request wants filled: the text on both sides, line ends as they are, and the file's path in its project."""

    prefix: str
    suffix: str
    path: str


def hole_of(request: Any) -> Hole | None:
    """The hole of a request; None where it is a prompt to go on from."""
    return Hole(request.prefix or "", request.suffix or "", request.path or "") if request.has_hole else None


def _around(request: Any) -> Around | None:
    hole = hole_of(request)
    return hole and Around(hole.prefix, hole.suffix, Path(hole.path) if hole.path else None)


def _verdict(survey: Survey) -> Verdict:
    if not survey.code:
        return Verdict(0, False, "no program text")
    text = f"{survey.code_characters:,} characters of program text: {on_scale(survey.code_characters, _CHARACTERS)}"
    most = 2 * survey.code >= survey.texts
    enough = survey.code_characters >= _CHARACTERS[0][0]
    return Verdict(survey.texts if most else survey.code, enough, text, made_for=most)


ABOUT = About(
    medium="text",
    families=("transformer",),
    example="--prefix 'for name in sorted(' --suffix '):'",
    arguments='prefix="for name in sorted(", suffix="):"',
    use="print(made.text)",
    pipeline="text-generation",
    tags=("code",),
    limits="Program text in the manner of the files it learned from: a suggestion to read, as an editor makes them while one types. "
    "It runs nothing and checks nothing: what it suggests may be wrong, insecure, or call what does not exist, so read and test it "
    "before you use it.",
    transformers=text_options.in_transformers("def main("),
    verdict=_verdict,
    least=Least.on("characters", _CHARACTERS),
    around=_around,
    traceable=True,
)
