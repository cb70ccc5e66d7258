"""Settings and request of the task `write`: torch-free, so that recipes and help are quick."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genwright.recipe import Section

MEDIUM = "text"
FAMILIES = ("transformer",)
EXAMPLE = '"ROMEO:" --max-tokens 300'
"""What to type after `genwright generate RUN`, shown at the end of a run."""


class Prepare(Section):
    tokenizer: Literal["auto", "bpe", "characters"] = Field(
        "auto",
        description="Byte-level BPE, or one token a character; `auto` chooses by the size and script of the text.",
    )
    vocabulary: int | None = Field(
        None, ge=257, le=65_535, description="Size of the BPE vocabulary; default: by the size of the text."
    )
    min_characters: int = Field(1, ge=1, description="Shorter texts are dropped as too_small.")
    workers: int | None = Field(None, ge=1, description="Processes that encode; default: one a core.")


class Model(Section):
    context: int | None = Field(
        None, ge=8, description="Tokens that the model sees at once; default: chosen with the size."
    )


class Request(Section):
    prompt: str = Field("", description="The text to go on from.")
    n: int = Field(1, ge=1, le=1024, description="How many continuations.")
    seed: int = Field(0, description="Same seed, same output.")
