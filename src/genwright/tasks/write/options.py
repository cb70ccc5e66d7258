"""Settings and request of the task `write`: torch-free, so that recipes and help are quick."""

from __future__ import annotations

import re
from typing import Any

from pydantic import AliasChoices, Field, field_validator

from genwright.about import About, Least, Survey, Verdict, on_scale
from genwright.tasks.text import options as text_options
from genwright.tasks.text.options import Model

__all__ = ["ABOUT", "Model", "Prepare", "Request"]

_CHARACTERS = (
    (2_000, "too little to learn from"),
    (
        100_000,
        "enough to teach weights that can write already its manner; too little to learn writing from, but by heart",
    ),
    (
        1_000_000,
        "enough for a small model that spells and imitates the style; too little for one that makes sense for long",
    ),
    (50_000_000, "enough for a model of its style; too little for one that knows more than these texts"),
    (None, "enough for a model of tens of millions of parameters"),
)


def _example(prepare: dict[str, Any]) -> str:
    names = prepare.get("condition") or []
    return " ".join(f'--condition {name}="..."' for name in names) if names else '"ROMEO:" --max-tokens 300'


def _verdict(survey: Survey) -> Verdict:
    table = survey.table if survey.table and survey.table.path is None else None
    items = survey.texts + (table.rows if table else 0)
    if not items:
        return Verdict(0, False, "no texts")
    characters = max(survey.characters, table.characters if table else 0)
    text = f"{characters:,} characters: {on_scale(characters, _CHARACTERS)}"
    return Verdict(items, characters >= _CHARACTERS[0][0], text)


ABOUT = About(
    medium="text",
    families=("transformer",),
    example=_example,
    arguments='"Once upon a time"',
    use="print(made.text)",
    pipeline="text-generation",
    limits="Text in the manner of the texts it learned from: sketches, play, study of a corpus. It knows nothing of the world, states "
    "what is false as readily as what is true, and should not be asked for facts, advice or decisions.",
    transformers=text_options.in_transformers("Once upon a time"),
    verdict=_verdict,
    least=Least.on("characters", _CHARACTERS),
    continues=True,
    traceable=True,
)


class Prepare(text_options.Prepare):
    min_characters: int = Field(1, ge=1, description="Shorter texts are dropped as too_small.")
    numbers: bool = Field(
        False,
        description="Learn files that are mostly a table of numbers (CSV and the like) too; they are left out otherwise.",
    )
    condition: list[str] = Field(
        [],
        description="Fields that a text can be asked for by: those of a joined table (`[author, title]`), or `folder`, the name of "
        "the folder that a file lies in.",
    )
    group: list[str] = Field(
        [],
        description="Texts that are equal in these fields stay on one side of the split. Default: only texts that are the same.",
    )
    group_by_lines: float | None = Field(
        None,
        validation_alias=AliasChoices("group_by_lines", "near_duplicates"),
        gt=0,
        le=1,
        description="Texts that share this much of the shorter one's lines, and two at least, stay on one side of the split: the same "
        "poem in two editions. A line ends at any mark of punctuation.",
    )

    @field_validator("condition")
    @classmethod
    def _can_be_marks(cls, value: list[str]) -> list[str]:
        for name in value:
            if not re.fullmatch(r"[^\W\d][\w-]*", name) or name in ("text", "endoftext"):
                raise ValueError(f"{name!r} can be no condition; use the name of a field, in letters, digits, _ and -")
        if len(set(value)) < len(value):
            raise ValueError("names a field twice")
        return value


class Request(text_options.Request):
    condition: list[str] = Field(
        [],
        description="A field of the text to write: NAME=VALUE, like author=Shakespeare; may be given more than once.",
    )

    @field_validator("condition", mode="before")
    @classmethod
    def _a_mapping_will_do(cls, value: Any) -> Any:
        return [f"{name}={text}" for name, text in value.items()] if isinstance(value, dict) else value
