"""The task `write`: text that goes on in the manner of the texts it was trained on.

An example is a text (or a contiguous block of one) as tokens, with an end-of-text token where the text ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from genwright.engine.engine import Engine
from genwright.ledger import Drop, Item
from genwright.media.tokenizer import Tokenizer
from genwright.recipe import EvaluateSettings
from genwright.scores import ScoreSheet
from genwright.shards import Example, ExampleStore
from genwright.tasks import write_options
from genwright.tasks.base import Splits, TrainJudge
from genwright.tasks.text import TextTask, whole_text
from genwright.tasks.text_samples import continue_all

if TYPE_CHECKING:
    from genwright.model import Model

_BLOCKS = 100
_BLOCK_CHARACTERS = 2000
_PREVIEW_PROMPTS = 3
_PREVIEW_TOKENS = 160


class Write(TextTask):
    name: ClassVar[str] = "write"
    Request = write_options.Request

    prepare: write_options.Prepare

    def divide(self, item: Item) -> list[tuple[int, int]]:
        text = whole_text(item)
        return [] if isinstance(text, Drop) else blocks(text)

    def encode(self, item: Item, facts: Tokenizer) -> Iterator[Example | Drop]:
        """A text's tokens; the end-of-text token stands only where the whole text ends, not between its blocks."""
        whole = whole_text(item)
        if isinstance(whole, Drop):
            yield whole
            return
        text = whole[item.start : item.stop]
        if not text.strip():
            yield Drop("empty", "nothing but white space")
        elif len(text) < self.prepare.min_characters:
            yield Drop("too_small", f"{len(text)} characters, the recipe asks for {self.prepare.min_characters}")
        else:
            ends = item.stop is None or item.stop >= len(whole)
            tokens = facts.encode(text)
            yield {"tokens": np.append(tokens, facts.end_token).astype(facts.dtype) if ends else tokens}

    def preview(self, model: Model, engine: Engine, splits: Splits, file_stem: Path) -> Path:
        """Continuations of the same few held-out lines each time; the mark >>> stands between the line and what the model made."""
        store = splits["validation"] if len(splits["validation"]) else splits["train"]
        prompts = preview_prompts(store, model.facts)
        controls = model.family.Controls.model_validate({"max_tokens": _PREVIEW_TOKENS})
        answers = continue_all(model, engine, [model.facts.encode(prompt) for prompt in prompts], controls, seed=0)
        passages = [f"{prompt}>>>{model.facts.decode(answer)}" for prompt, answer in zip(prompts, answers, strict=True)]
        file = file_stem.with_name(f"{file_stem.name}.txt")
        file.write_text("\n\n----\n\n".join(passage.strip() for passage in passages) + "\n", encoding="utf-8")
        return file

    def score(
        self, model: Model, splits: Splits, settings: EvaluateSettings, train_judge: TrainJudge, folder: Path
    ) -> ScoreSheet:
        from genwright.tasks.write_scores import score

        return score(model, splits, settings, folder)


def blocks(text: str) -> list[tuple[int, int]]:
    """Contiguous spans of about a hundredth of a text, and at least 2,000 characters, that end at paragraphs or lines."""
    size = max(_BLOCK_CHARACTERS, -(-len(text) // _BLOCKS))
    edges = [0]
    while len(text) - edges[-1] > 1.5 * size:
        edges.append(_edge(text, edges[-1] + size, size // 4))
    edges.append(len(text))
    return list(pairwise(edges)) if len(edges) > 2 else []


def _edge(text: str, target: int, reach: int) -> int:
    """The best place to cut near `target`: behind a blank line, else a line end, else a space, else there."""
    low, high = target - reach, target + reach
    for mark in ("\n\n", "\n", " "):
        before, after = text.rfind(mark, low, target), text.find(mark, target, high)
        found = [place + len(mark) for place in (before, after) if place >= 0]
        if found:
            return min(found, key=lambda place: abs(place - target))
    return target


def preview_prompts(store: ExampleStore, facts: Tokenizer) -> list[str]:
    """The first words of lines spread evenly over a split."""
    prompts = []
    for number in range(_PREVIEW_PROMPTS):
        tokens = store[number * len(store) // _PREVIEW_PROMPTS]["tokens"]
        start = (2 * number + 1) * len(tokens) // (2 * _PREVIEW_PROMPTS)
        lines = [line for line in facts.decode(tokens[start : start + 400]).split("\n")[1:] if len(line.strip()) > 8]
        if lines:
            prompts.append(lines[0][:40].rsplit(" ", 1)[0])
    return prompts or [""]
