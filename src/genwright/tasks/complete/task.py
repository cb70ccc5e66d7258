"""The task `complete`: program text with a hole, filled; or gone on with from left to right.

An example is a file: "tokens", with an end-of-text token where it ends; "header", the tokens of its path; "edges", where it may be
cut; "defines" and "uses", by which the pieces of files are laid beside those they import (`complete_order`). What the model reads
are rows of such pieces, some of them with a hole (`complete_fim`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from genwright.duplicates.groups import keys
from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.ledger import Drop, Item
from genwright.media.base import Media
from genwright.model import Model, ModelConfig
from genwright.recipe import EvaluateSettings
from genwright.scores import ScoreSheet, Verdict
from genwright.shards import Example, ExampleStore
from genwright.tasks.base import Asked, Shown, Splits, TrainJudge, can_be_typed, evenly
from genwright.tasks.complete import options as complete_options
from genwright.tasks.complete import verdict as complete_verdict
from genwright.tasks.complete.fim import SPECIAL, can_fill, header, mark, with_holes
from genwright.tasks.complete.imports import names_of
from genwright.tasks.complete.lead import Constraint, beginning
from genwright.tasks.complete.options import hole_of
from genwright.tasks.complete.order import bundles_of
from genwright.tasks.complete.prompt import Prompt, lay_out
from genwright.tasks.complete.shown import hole_shown
from genwright.tasks.complete.syntax import edges_of, is_python
from genwright.tasks.packing import Packed
from genwright.tasks.text.blocks import blocks
from genwright.tasks.text.task import TextTask, item_text, say_cut, whole_text, window
from genwright.tasks.verdict import Training
from genwright.tokens.tokenizer import Tokenizer
from genwright.training.base import Stackable

_MOST_PROMPT = 1_000_000
"""Characters of a prompt that are counted."""
_LOOKED_AT = 50
"""Held-out files among which a line is looked for that can be shown."""
_SHOWN_TOKENS = 256
"""Tokens of the piece of a file that is shown to people, where the recipe does not say how many the model sees."""


class Complete(TextTask):
    name: ClassVar[str] = "complete"
    marked: ClassVar[str] = "what fills the hole that stands before <|fim_suffix|>"
    Request = complete_options.Request
    split_shares: ClassVar[dict[str, float]] = {"train": 0.85, "validation": 0.05, "test": 0.1}
    """More is held out than elsewhere: functions whose behaviour can be recorded are few."""
    cut_below: ClassVar[int] = 20
    """A function that is to be run needs its whole file, and a cut one need not parse, so all but very few files are held out whole."""

    prepare: complete_options.Prepare

    def encoding_settings(self) -> dict[str, Any]:
        return {k: v for k, v in super().encoding_settings().items() if k != "group_by_words"}

    def group_keys(self, items: Sequence[Item], known: Collection[str]) -> list[str]:
        """One key for files that are nearly the same: that of one that has a split already, else of the first."""
        from genwright.duplicates.words import clusters

        texts = (text if isinstance(text := item_text(item), str) else "" for item in items)
        roots = clusters(texts, self.prepare.group_by_words)
        return keys([self.group_key(item) for item in items], roots, known)

    def divide(self, item: Item) -> list[tuple[int, int]]:
        text = whole_text(item)
        return [] if isinstance(text, Drop) else blocks(text)

    def special_tokens(self) -> tuple[str, ...]:
        return SPECIAL

    def missing_special_tokens(self, tokenizer: Tokenizer) -> tuple[str, ...]:
        return tuple(name for name in SPECIAL if mark(tokenizer, name) is None)

    def fit(self, sample: Any) -> Tokenizer:
        """Raises RequestError where a text can't be cut in two and put together again in the vocabulary of the weights started from."""
        facts = super().fit(sample)
        if self.prepare.fim_rate and not can_fill(facts):
            raise RequestError(
                "the vocabulary of these weights puts a space before every text, so a hole can't be filled exactly; set "
                "`prepare.fim_rate: 0`, or start from weights with a byte-level vocabulary (Qwen2.5-Coder, StarCoder2, SmolLM2)."
            )
        marks = (mark(facts, name) for name in SPECIAL)
        facts.end_tokens = tuple(dict.fromkeys([*facts.end_tokens, *(m for m in marks if m is not None)]))
        return facts

    def encode(self, item: Item, facts: Tokenizer) -> Iterator[Example | Drop]:
        whole = whole_text(item)
        if isinstance(whole, Drop):
            yield whole
            return
        text = whole[item.start : item.stop]
        if not text.strip():
            yield Drop("empty", "nothing but white space")
            return
        tokens = facts.encode(text)
        if item.stop is None or item.stop >= len(whole):
            tokens = np.append(tokens, facts.end_token).astype(facts.dtype)
        path, python = item.path.partition("#")[0], is_python(item.path.partition("#")[0])
        places = _Places(text, tokens, facts)
        edges = [
            (token, level) for place, level in edges_of(text, python) if (token := places.exact(place)) is not None
        ]
        names = names_of(text, path, item.source) if python else None
        defines = [(places.token(place), *rest) for place, *rest in names.defines] if names else []
        uses = [(places.token(place), name) for place, name in names.uses] if names else []
        yield {
            "tokens": tokens,
            "header": header(facts, path),
            "edges": np.array(edges, dtype=np.int64).reshape(-1, 2),
            "defines": np.array(sorted(defines), dtype=np.int64).reshape(-1, 3),
            "uses": np.array(sorted(uses), dtype=np.int64).reshape(-1, 2),
        }

    def shown(self, example: Example, facts: Tokenizer) -> list[Shown]:
        """One piece of the file with a hole, prefix first, so that the hole's place and what fills it can be seen."""
        return hole_shown(example, facts, self.prepare, self.context or _SHOWN_TOKENS)

    def batches(
        self, store: ExampleStore, facts: Any, config: ModelConfig, seed: int, part: str, training: bool = True
    ) -> Stackable:
        """Rows of bundles; in training each piece of a file is given a hole at the recipe's rate, another each time it is read."""
        context = config.network["max_position_embeddings"]

        def augment(example: Example, rng: np.random.Generator) -> Example:
            return self.augment(example, rng, facts)

        documents, led_in = bundles_of(store, context, training, facts), not facts.begin_tokens
        return Packed(documents, context, facts.end_token, seed, part, training, augment=augment, led_in=led_in)

    def augment(self, example: Example, rng: np.random.Generator, facts: Tokenizer | None = None) -> Example:
        return example if facts is None else with_holes(example, facts, self.prepare, rng)

    def preview(self, model: Model, engine: Engine, splits: Splits, file_stem: Path) -> Path:
        from genwright.tasks.complete.preview import preview

        return preview(model, engine, splits, file_stem)

    def score(
        self, model: Model, splits: Splits, settings: EvaluateSettings, train_judge: TrainJudge, folder: Path
    ) -> ScoreSheet:
        from genwright.tasks.complete.scores import score

        return score(model, splits, settings, folder)

    def example(self, facts: Tokenizer, splits: Splits) -> Asked | None:
        """A line of a held-out file with a hole in its brackets; its head alone, for a model that fills none."""
        store = splits.held_out()[1]
        for row in evenly(store, _LOOKED_AT):
            for line in map(str.strip, facts.decode(store[row]["tokens"]).split("\n")):
                head, opens, rest = line.partition("(")
                middle, closes, tail = rest.rpartition(")")
                if head.strip() and middle.strip() and closes and can_be_typed(line):
                    hole = {"prefix": head + opens, "suffix": closes + tail}
                    return Asked(hole if self.prepare.fim_rate else {"prompt": head + opens}, store.ids[row])
        return None

    def verdict(self, sheet: ScoreSheet, training: Training) -> Verdict:
        return complete_verdict.verdict(sheet, training, not self.starts_from_weights)

    def order(self, asked: str | None = None) -> str:
        """SPM where it was trained: what comes before a hole is then next to what goes in, which small models need."""
        return asked or ("spm" if self.prepare.spm_rate else "psm")

    def laid_out(self, model: Model, request: Any) -> Prompt:
        return lay_out(
            model.facts,
            hole_of(request),
            request.prompt,
            context=model.config.network["max_position_embeddings"],
            max_tokens=request.max_tokens,
            order=self.order(request.order),
            path=request.path or "",
            beside=request.beside,
        )

    def prompt(self, model: Model, request: Any) -> list[int]:
        whole = 0 if request.has_hole else len(model.facts.encode(request.prompt[-_MOST_PROMPT:]))
        if whole >= window(model):
            say_cut(whole, window(model))
        return self.laid_out(model, request).tokens

    def guide(self, model: Model, request: Any, vocabulary: int) -> Constraint | None:
        return beginning(
            model.facts, self.laid_out(model, request).lead, vocabulary, super().guide(model, request, vocabulary)
        )

    def answer(self, model: Model, request: Any, engine: Engine) -> Iterator[Media]:
        """What fills the hole, and nothing else, in pieces of whole characters; or what follows the prompt.

        Raises RequestError where the model was not trained to fill holes.
        """
        hole, lead = hole_of(request), ""
        if hole is not None:
            if not self.prepare.fim_rate or not can_fill(model.facts):
                raise RequestError(
                    "this model was trained from left to right alone (`prepare.fim_rate: 0`); give a prompt instead."
                )
            laid = self.laid_out(model, request)
            lead = laid.lead
            most = request.max_tokens + len(model.facts.encode(lead))
            request = request.model_copy(update={"max_tokens": min(most, laid.room)})
        windows_ends = hole is not None and "\r\n" in hole.prefix + hole.suffix
        left: dict[int, int] = {}
        for piece in super().answer(model, request, engine):
            skipped = min(left.setdefault(piece.index, len(lead)), len(piece.data))
            left[piece.index] -= skipped
            piece.data = piece.data[skipped:]
            if skipped and not piece.data and not piece.final:
                continue
            if windows_ends:
                piece.data = piece.data.replace("\n", "\r\n")
            yield piece


class _Places:
    """From characters of a text to its tokens."""

    def __init__(self, text: str, tokens: np.ndarray, facts: Tokenizer):
        self._ascii = text.isascii()
        self._bytes = None if self._ascii else np.cumsum([0, *(len(c.encode("utf-8", "replace")) for c in text)])
        self._starts = np.concatenate([[0], np.cumsum(facts.byte_lengths[tokens])])

    def exact(self, place: int) -> int | None:
        """The token that begins at a character, or None where none does."""
        number = self.token(place)
        return number if self._starts[number] == self._byte(place) else None

    def token(self, place: int) -> int:
        """The token that holds a character."""
        return int(np.searchsorted(self._starts, self._byte(place), side="right")) - 1

    def _byte(self, place: int) -> int:
        return place if self._bytes is None else int(self._bytes[place])
