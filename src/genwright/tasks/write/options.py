"""Settings and request of the task `write`: torch-free, so that recipes and help are quick."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator

from genwright.tasks.text import options as text_options
from genwright.tasks.text.options import Model

__all__ = ["CONTINUES", "EXAMPLE", "FAMILIES", "MEDIUM", "Model", "Prepare", "Request", "example"]

MEDIUM = "text"
FAMILIES = ("transformer",)
EXAMPLE = '"ROMEO:" --max-tokens 300'
"""What to type after `genwright generate RUN`, shown at the end of a run."""


def example(prepare: dict[str, Any]) -> str:
    """The same for a run whose texts can be asked for by conditions."""
    names = prepare.get("condition") or []
    return " ".join(f'--condition {name}="..."' for name in names) if names else EXAMPLE


CONTINUES = True
"""Whether `genwright generate --continue FILE` makes sense."""


class Prepare(text_options.Prepare):
    min_characters: int = Field(1, ge=1, description="Shorter texts are dropped as too_small.")
    condition: list[str] = Field(
        [],
        description="Fields that a text can be asked for by: those of a joined table (`[author, title]`), or `folder`, the name of "
        "the folder that a file lies in.",
    )
    group: list[str] = Field(
        [],
        description="Texts that are equal in these fields stay on one side of the split. Default: only texts that are the same.",
    )
    near_duplicates: float | None = Field(
        None,
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
