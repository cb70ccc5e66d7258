"""The task `write`: text that goes on in the manner of the texts it was trained on.

An example is a text (or a contiguous block of one) as tokens, with an end-of-text token where the text ends, and behind a header where
the recipe names conditions (see write_conditions.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from genwright.console import count, track
from genwright.duplicates import lines as write_groups
from genwright.duplicates.groups import keys
from genwright.engine.engine import Engine
from genwright.ledger import Drop, Item
from genwright.model import Model
from genwright.recipe import EvaluateSettings
from genwright.scores import ScoreSheet, Verdict
from genwright.shards import Example, ExampleStore
from genwright.tasks.base import Asked, Splits, TrainJudge, can_be_typed, evenly
from genwright.tasks.text.blocks import blocks
from genwright.tasks.text.samples import continue_all
from genwright.tasks.text.task import TextTask, item_text, say_cut, whole_text, window
from genwright.tasks.verdict import Training
from genwright.tasks.write import conditions as write_conditions
from genwright.tasks.write import options as write_options
from genwright.tasks.write import verdict as write_verdict
from genwright.tokens.tokenizer import Tokenizer

_LEAST_BLOCK = 1000
"""Characters: a paragraph or two, so that little text has enough blocks to score by."""
_PREVIEW_PROMPTS = 3
_PREVIEW_TOKENS = 160
_LOOKED_AT = 50
"""Held-out texts among which one is looked for that has words to show."""
_FIRST_WORDS, _FIRST_LETTERS = 5, 10


class Write(TextTask):
    name: ClassVar[str] = "write"
    Request = write_options.Request

    prepare: write_options.Prepare

    def group_key(self, item: Item) -> str:
        """The item's content, or what the recipe says must stay together."""
        if not self.prepare.group:
            return super().group_key(item)
        key = [item.fields.get(name, "") for name in self.prepare.group]
        return "\t".join(key) if any(key) else super().group_key(item)

    def group_keys(self, items: Sequence[Item], known: Collection[str]) -> list[str]:
        """One key for texts that share so many lines as the recipe says."""
        own = super().group_keys(items, known)
        if self.prepare.group_by_lines is None:
            return own
        texts = (text if isinstance(text := item_text(item), str) else "" for item in items)
        shown = track(texts, "look for texts that share lines", len(items))
        return keys(own, write_groups.clusters(shown, self.prepare.group_by_lines), known)

    def encoding_settings(self) -> dict[str, Any]:
        ours = super().encoding_settings()
        return {name: value for name, value in ours.items() if name not in ("numbers", "group", "group_by_lines")}

    def divide(self, item: Item) -> list[tuple[int, int]]:
        text = whole_text(item)
        return [] if isinstance(text, Drop) else blocks(text, least=_LEAST_BLOCK)

    def special_tokens(self) -> tuple[str, ...]:
        return write_conditions.marks(self.prepare.condition)

    def texts(self, item: Item) -> Iterable[str]:
        return [*super().texts(item), *write_conditions.fields_of(item, self.prepare.condition).values()]

    def fit(self, sample: Iterable[Item]) -> Tokenizer:
        items = list(sample)
        write_conditions.check_names(items, self.prepare.condition)
        return super().fit(items)

    def encode(self, item: Item, facts: Tokenizer) -> Iterator[Example | Drop]:
        """A text's tokens; the end-of-text token stands only where the whole text ends, not between its blocks.

        With conditions a long text is cut into blocks, each behind the header, so that no part of it goes without.
        """
        whole = whole_text(item)
        if isinstance(whole, Drop):
            yield whole
            return
        text = whole[item.start : item.stop]
        ends = item.stop is None or item.stop >= len(whole)
        if not text.strip():
            yield Drop("empty", "nothing but white space")
        elif len(text) < self.prepare.min_characters:
            yield Drop(
                "too_small", f"{count(len(text), 'character')}, the recipe asks for {self.prepare.min_characters}"
            )
        elif not self.prepare.condition:
            yield {"tokens": _tokens(facts, text, not item.start, ends)}
        else:
            fields = write_conditions.fields_of(item, self.prepare.condition)
            for start, stop in blocks(text, count=None) or [(0, len(text))]:
                tokens = _tokens(facts, text[start:stop], False, ends and stop == len(text))
                yield write_conditions.with_header(facts, tokens, fields, self.prepare.condition)

    def augment(self, example: Example, rng: np.random.Generator) -> Example:
        return write_conditions.leave_out(example, rng) if self.prepare.condition else example

    def prompt(self, model: Model, request: Any) -> list[int]:
        fields = write_conditions.requested(request.condition, self.prepare.condition)
        tokens = self.opening(model, fields, request.prompt)
        if self.prepare.condition and len(tokens) == window(model) * 3 // 4:
            say_cut(len(model.facts.encode(request.prompt)), window(model))
        return tokens

    def opening(self, model: Model, fields: dict[str, str], text: str) -> list[int]:
        """The tokens before what the model is to write: header and the text so far, whose start is let go where it is too long."""
        facts: Tokenizer = model.facts
        tokens = facts.encode(text).tolist()
        if not self.prepare.condition:
            return [*facts.begin_tokens, *tokens]
        head = write_conditions.opening(facts, write_conditions.header(facts, fields, self.prepare.condition)[0])
        room = window(model) * 3 // 4 - len(head)
        return head + tokens[max(len(tokens) - max(room, 0), 0) :]

    def example(self, facts: Tokenizer, splits: Splits) -> Asked | None:
        """The first words of a held-out text, or what a held-out text can be asked for by."""
        store = splits.held_out()[1]
        for row in evenly(store, _LOOKED_AT):
            item, names = splits.items.get(store.ids[row]), self.prepare.condition
            if names:
                fields = write_conditions.fields_of(item, names) if item is not None else {}
                values: Any = [f"{name}={value}" for name, value in fields.items() if can_be_typed(value)]
            else:
                values = first_words(facts.decode(store[row]["tokens"]))
            if values:
                return Asked({"condition" if names else "prompt": values}, store.ids[row])
        return None

    def known(self, facts: Tokenizer) -> dict[str, list[str]]:
        return {"conditions": list(self.prepare.condition)} if self.prepare.condition else {}

    def preview(self, model: Model, engine: Engine, splits: Splits, file_stem: Path) -> Path:
        """Continuations of the same few held-out lines each time; the mark >>> stands between the line and what the model made."""
        store = splits["validation"] if len(splits["validation"]) else splits["train"]
        if self.prepare.condition:
            return self._preview_conditions(model, engine, splits, store, file_stem)
        prompts = preview_prompts(store, model.facts)
        controls = model.family.Controls.model_validate({"max_tokens": _PREVIEW_TOKENS})
        openings = [np.array(self.opening(model, {}, prompt)) for prompt in prompts]
        answers = continue_all(model, engine, openings, controls, 0, "texts for a preview")
        passages = [f"{prompt}>>>{model.facts.decode(answer)}" for prompt, answer in zip(prompts, answers, strict=True)]
        return _write_passages(passages, file_stem)

    def _preview_conditions(
        self, model: Model, engine: Engine, splits: Splits, store: ExampleStore, file_stem: Path
    ) -> Path:
        """Texts for the fields of the same few held-out items each time."""
        ids = [store.ids[number * len(store) // _PREVIEW_PROMPTS] for number in range(_PREVIEW_PROMPTS)]
        asked = [write_conditions.fields_of(splits.items[i], self.prepare.condition) for i in ids if i in splits.items]
        controls = model.family.Controls.model_validate({"max_tokens": _PREVIEW_TOKENS})
        prompts = [np.array(self.opening(model, fields, "")) for fields in asked]
        answers = continue_all(model, engine, prompts, controls, 0, "texts for a preview")
        passages = [
            f"{write_conditions.shown_fields(fields)}>>>\n{model.facts.decode(answer)}"
            for fields, answer in zip(asked, answers, strict=True)
        ]
        return _write_passages(passages, file_stem)

    def score(
        self, model: Model, splits: Splits, settings: EvaluateSettings, train_judge: TrainJudge, folder: Path
    ) -> ScoreSheet:
        from genwright.tasks.write.scores import score

        return score(model, splits, settings, folder)

    def verdict(self, sheet: ScoreSheet, training: Training) -> Verdict:
        return write_verdict.verdict(sheet, training, not self.starts_from_weights)


def first_words(text: str) -> str:
    """The first words of a line that goes on behind them, or its first letters where it has no spaces; "" where no line will do."""
    for line in text.split("\n"):
        words = line.split()
        if len(words) > _FIRST_WORDS:
            start = " ".join(words[:_FIRST_WORDS])
        else:
            start = words[0][:_FIRST_LETTERS] if len(words) == 1 and len(words[0]) > 2 * _FIRST_LETTERS else ""
        if can_be_typed(start):
            return start
    return ""


def _tokens(facts: Tokenizer, text: str, begins: bool, ends: bool) -> np.ndarray:
    before, after = facts.begin_tokens if begins else (), (facts.end_token,) if ends else ()
    return np.concatenate([before, facts.encode(text), after]).astype(facts.dtype)


def _write_passages(passages: list[str], file_stem: Path) -> Path:
    file = file_stem.with_name(f"{file_stem.name}.txt")
    file.write_text("\n\n----\n\n".join(passage.strip() for passage in passages) + "\n", encoding="utf-8")
    return file


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
