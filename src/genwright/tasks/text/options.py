"""Settings and requests that all text tasks share: torch-free, so that recipes and help are quick."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, field_validator

from genwright.request import AT_FILE, POSITIONAL
from genwright.settings import Section


class Prepare(Section):
    tokenizer: Literal["auto", "bpe", "characters"] = Field(
        "auto",
        description="Byte-level BPE, or one token a character; `auto` chooses by the size and script of the text.",
    )
    vocabulary: int | None = Field(
        None,
        ge=257,
        le=65_535,
        description="Size of the vocabulary; default: by the size of the text. Rarer characters are spelled by their bytes.",
    )
    workers: int | None = Field(None, ge=1, description="Processes that encode; default: one a core.")


class Model(Section):
    context: int | None = Field(
        None, ge=8, description="Tokens that the model sees at once; default: chosen with the size."
    )


class Request(Section):
    prompt: str = Field("", description="The text to go on from.", json_schema_extra=POSITIONAL)
    n: int = Field(1, ge=1, le=1024, description="How many answers.")
    seed: int = Field(0, ge=0, lt=2**63, description="Same seed, same output.")
    stop: list[str] = Field([], description="End before this text; may be given more than once.")
    logit_bias: list[str] = Field(
        [], description="Make a text or token likelier or less: TEXT=VALUE, added to its logit (-100 forbids it)."
    )
    json_schema: str | None = Field(None, description="Answer in JSON of this schema.", json_schema_extra=AT_FILE)
    regex: str | None = Field(None, description="Answer in the form of this regular expression.")

    @field_validator("json_schema", mode="before")
    @classmethod
    def _as_python_has_it(cls, value: Any) -> Any:
        return json.dumps(value) if isinstance(value, dict) else value

    @field_validator("stop", mode="before")
    @classmethod
    def _one_will_do(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("logit_bias", mode="before")
    @classmethod
    def _by_text(cls, value: Any) -> Any:
        return [f"{text}={bias}" for text, bias in value.items()] if isinstance(value, dict) else value


def in_transformers(prompt: str) -> str:
    """Lines for the card that go on from a prompt in transformers (see `About.transformers`)."""
    return f"""\
tokens = tokenizer("{prompt}", return_tensors="pt", add_special_tokens=False)
print(tokenizer.decode(model.generate(**tokens, max_new_tokens=100, do_sample=True)[0]))"""
