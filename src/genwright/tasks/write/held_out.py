"""What a writing model is scored on: held-out documents, and for each of some prompts what really followed and what others write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from genwright.engine.engine import Engine
from genwright.metrics.ngrams import KneserNey
from genwright.model import Model
from genwright.recipe import EvaluateSettings
from genwright.shards import Example, ExampleStore
from genwright.tasks.base import Splits
from genwright.tasks.text.samples import continue_all, prompts_and_continuations
from genwright.tasks.write.conditions import fields_of, opening, shown_fields
from genwright.tokens.tokenizer import Tokenizer

PROMPT_TOKENS = 32
SAMPLE_TOKENS = 200
HELD_OUT_TOKENS = 400_000


@dataclass
class HeldOut:
    """Documents evenly taken from a split, with the ids of the items they are from."""

    documents: list[Example]
    ids: list[str]
    dtype: np.dtype

    @classmethod
    def take(cls, store: ExampleStore, dtype: np.dtype, limit: int = HELD_OUT_TOKENS) -> HeldOut:
        """All documents, or every n-th of them where they have more than `limit` tokens."""
        every = max(-(-int(store.lengths("tokens").sum()) // limit), 1)
        chosen = range(0, len(store), every)
        documents = [{name: np.array(values) for name, values in store[i].items()} for i in chosen]
        return cls(documents, [store.ids[i] for i in chosen], dtype)

    @cached_property
    def tokens(self) -> list[np.ndarray]:
        return [document["tokens"] for document in self.documents]

    @cached_property
    def stream(self) -> np.ndarray:
        return np.concatenate([np.empty(0, self.dtype), *self.tokens])

    @cached_property
    def counts(self) -> np.ndarray:
        """1 for the tokens of the stream that are scored, 0 for headers."""
        ones = [document.get("weight", np.ones(len(document["tokens"]), np.uint8)) for document in self.documents]
        return np.concatenate([np.empty(0, np.uint8), *ones])

    def alone(self) -> HeldOut:
        """The same documents without the fields of their headers."""
        bare = []
        for document in self.documents:
            stays = np.isin(document["field"], (0, 255))
            bare.append({name: values[stays] for name, values in document.items()})
        return HeldOut(bare, self.ids, self.dtype)


@dataclass
class Samples:
    """Texts by row: what was really written, what the baseline and the model make of the same prompts (shown as `prompts`)."""

    prompts: list[str]
    asked: list[np.ndarray]
    """The prompts as tokens."""
    baseline: list[str]
    model: list[str]
    real: list[str]
    about: dict[str, Any]
    """The protocol: how long prompts and samples are, and how tokens were drawn."""
    writers: dict[str, Callable[[list[np.ndarray], int], list[str]]]
    """How the baseline and the model wrote them: prompts and a seed in, texts out."""

    @property
    def rows(self) -> dict[str, list[str]]:
        return {"baseline": self.baseline, "model": self.model, "real": self.real}


def sample(model: Model, held_out: HeldOut, splits: Splits, baseline: KneserNey, settings: EvaluateSettings) -> Samples:
    """Whole texts for held-out conditions where the model knows any, else continuations of held-out beginnings."""
    facts: Tokenizer = model.facts
    most, length, seed = settings.samples, settings.length(SAMPLE_TOKENS), settings.seed
    if model.task.prepare.condition:  # type: ignore[attr-defined]
        asked = _conditions(model, held_out, splits, most, length)
        shown, prompts, real = [list(part) for part in zip(*asked, strict=True)]
        protocol: dict[str, Any] = {"prompts": "the conditions of held-out texts"}
    else:
        passages = prompts_and_continuations(held_out.stream, most, PROMPT_TOKENS, length)
        prompts, real, length = passages.prompts, passages.real, passages.length
        shown, protocol = [facts.decode(prompt) for prompt in prompts], {"prompt_tokens": passages.prompt_length}
    controls = model.family.Controls.model_validate({"max_tokens": length})

    def by_model(prompts: list[np.ndarray], seed: int) -> list[str]:
        rows = continue_all(model, Engine(), prompts, controls, seed, "evaluate: the model writes")
        return [facts.decode(row) for row in rows]

    def by_baseline(prompts: list[np.ndarray], seed: int) -> list[str]:
        drawn: Iterable[np.ndarray] = baseline.generate(prompts, length, seed)
        if model.task.prepare.condition:  # type: ignore[attr-defined]
            drawn = (_until(row, facts.end_token) for row in drawn)
        return [facts.decode(row) for row in drawn]

    return Samples(
        shown,
        prompts,
        by_baseline(prompts, seed),
        by_model(prompts, seed),
        [facts.decode(row) for row in real],
        {
            "samples": len(prompts),
            **protocol,
            "sample_tokens": length,
            **controls.model_dump(exclude={"max_tokens"}),
        },
        {"baseline": by_baseline, "model": by_model},
    )


def _conditions(
    model: Model, held_out: HeldOut, splits: Splits, most: int, length: int
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """For documents evenly taken: the conditions as people see them, as a prompt, and the text that stands behind them."""
    names: Sequence[str] = model.task.prepare.condition  # type: ignore[attr-defined]
    count = min(most, len(held_out.documents))
    found = []
    for number in range(count):
        place = number * len(held_out.documents) // count
        document, item = held_out.documents[place], splits.items.get(held_out.ids[place])
        head = document["field"] > 0
        prompt = np.array(opening(model.facts, document["tokens"][head]))
        shown = shown_fields(fields_of(item, names)) if item is not None else model.facts.decode(prompt)
        found.append((shown, prompt, document["tokens"][~head][:length]))
    return found


def _until(tokens: np.ndarray, end_token: int) -> np.ndarray:
    ends = np.flatnonzero(tokens == end_token)
    return tokens[: ends[0]] if len(ends) else tokens
