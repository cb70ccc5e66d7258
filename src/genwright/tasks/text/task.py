"""What the text tasks (write, chat, complete) have in common: a tokenizer as facts, packed documents, one decoder, streamed answers.

An example is a document as "tokens", with an end-of-text token where it ends, and optionally "weight" (uint8, as long): 1 where the
token counts in the loss.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from genwright.console import say
from genwright.engine.engine import Engine
from genwright.families.transformer.family import Transformer
from genwright.ledger import Drop, Item
from genwright.media import text as medium
from genwright.media.base import Media
from genwright.model import Model, ModelConfig
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.request import controls_of
from genwright.scores import Metric, Score
from genwright.seeds import request_stream
from genwright.shards import Example, ExampleStore
from genwright.tasks.base import BaseTask, Part, Shown, Splits
from genwright.tasks.packing import Packed
from genwright.tasks.text import from_weights as text_from
from genwright.tasks.text import sizes as text_sizes
from genwright.tasks.text.answers import stream_texts
from genwright.tasks.text.guided import Constraint, constraint
from genwright.tasks.text.held_out import BITS_PER_BYTE, held_out_bits
from genwright.tokens.fit import fit_tokenizer
from genwright.tokens.tokenizer import Tokenizer
from genwright.training.base import Stackable


class TextTask(BaseTask):
    """A task whose examples are sequences of tokens. A subclass has `encode`, `preview`, `score`, and what it needs of the rest."""

    growth: ClassVar[int] = 0
    """How many tokens longer `augment` may make an example."""
    led_in: ClassVar[bool] = True
    """Whether a document is led in by the end of a text, as after another one; else by its own first token."""

    prepare: Any
    model: Any
    """The task's `Model` with the family's settings."""

    @property
    def context(self) -> int | None:
        """Tokens that the model sees at once, where it is not left to the data."""
        return self.model.context

    @property
    def starts_from_weights(self) -> bool:
        return self.model.from_ is not None

    def check(self) -> None:
        text_from.check(self.model, self.prepare, self.context)

    def encoding_settings(self) -> dict[str, Any]:
        return {**super().encoding_settings(), **text_from.encoding_settings(self.model)}

    def exported_settings(self) -> dict[str, Any]:
        return text_from.exported_settings(self.model)

    def special_tokens(self) -> tuple[str, ...]:
        """Tokens the task needs beside the end of a text; no text ever becomes one of them."""
        return ()

    def fingerprints(self, item: Item, spans: Sequence[tuple[int, int]]) -> list[str]:
        text = whole_text(item)
        if isinstance(text, Drop):
            return []
        blocks = (text[start:stop].encode("utf-8", "surrogatepass") for start, stop in spans)
        return [hashlib.sha256(block).hexdigest() for block in blocks]

    def missing_special_tokens(self, tokenizer: Tokenizer) -> tuple[str, ...]:
        """Those of them that a tokenizer which came with weights must be given."""
        return tuple(name for name in self.special_tokens() if name not in tokenizer.special)

    def texts(self, item: Item) -> Iterable[str]:
        """The text of an item that the vocabulary is learned from."""
        text = item_text(item)
        return [] if isinstance(text, Drop) else [text]

    def fit(self, sample: Iterable[Item]) -> Tokenizer:
        if self.model.from_ is not None:
            return text_from.tokenizer(self.model, self.missing_special_tokens)
        texts = (text for item in sample for text in self.texts(item))
        return fit_tokenizer(texts, self.prepare.tokenizer, self.prepare.vocabulary, self.special_tokens())

    def load_facts(self, folder: Path) -> Tokenizer:
        return Tokenizer.load(folder)

    def shown(self, example: Example, facts: Tokenizer) -> list[Shown]:
        """The tokens as text; marked are those that count in the loss, where not all do."""
        tokens = example["tokens"]
        if "weight" not in example:
            return [Shown(facts.spelled(tokens))]
        edges = [0, *(np.flatnonzero(np.diff(example["weight"])) + 1).tolist(), len(tokens)]
        return [Shown(facts.spelled(tokens[a:b]), bool(example["weight"][a])) for a, b in pairwise(edges) if a < b]

    def batches(
        self, store: ExampleStore, facts: Any, config: ModelConfig, seed: int, part: str, training: bool = True
    ) -> Stackable:
        context = config.network["max_position_embeddings"]
        changes = type(self).augment is not BaseTask.augment
        return Packed(
            store,
            context,
            facts.end_token,
            seed,
            part,
            training,
            augment=self.augment if changes else None,
            growth=self.growth,
            led_in=self.led_in and not facts.begin_tokens,
        )

    def candidates(self, facts: Any, splits: Splits, device: torch.device) -> list[ModelConfig]:
        if self.model.from_ is not None:
            return [text_from.candidate(self.model, self.context, facts, splits, device)]
        lengths = splits["train"].lengths("tokens")
        text_sizes.check_context(self.context, int(lengths.max()))
        longest = int(np.quantile(lengths, 0.95)) if device.type == "cuda" else None
        settings = self.model.model_copy(update={"context": self.context})
        return text_sizes.candidates(settings, facts.size, int(lengths.sum()), longest)

    def most_batch(self, config: ModelConfig, splits: Splits) -> int | None:
        if self.model.from_ is not None:
            return None
        tokens = int(splits["train"].lengths("tokens").sum())
        return text_sizes.most_batch(config.network["max_position_embeddings"], tokens)

    def parts(self, config: ModelConfig, facts: Any) -> list[Part]:
        if self.model.from_ is not None:
            return [text_from.part(self.model, config, facts)]
        network, ends = DecoderConfig(**config.network), {"end_tokens": facts.end_tokens, "token_ids": facts.token_ids}
        optimizer = text_sizes.optimizer_for(network, config.batches["model"])

        def build(trained: object) -> Transformer:
            return Transformer(Decoder(network), facts.end_token, optimizer, **ends)

        return [Part("model", build, batch=config.batches["model"], decays_by_passes=True)]

    def held_out_scores(self, model: Model, store: ExampleStore, seed: int) -> list[tuple[Metric, Score]]:
        score = held_out_bits(model, store, seed)
        return [(BITS_PER_BYTE, score)] if score else []

    def prompt(self, model: Model, request: Any) -> list[int]:
        """The tokens that a request's answer goes on from."""
        return [*model.facts.begin_tokens, *model.facts.encode(request.prompt).tolist()]

    def guide(self, model: Model, request: Any, vocabulary: int) -> Constraint | None:
        """What an answer is held to."""
        return constraint(request, model.facts, vocabulary)

    def controls(self, model: Model, request: Any) -> Any:
        """How the tokens of an answer are drawn: the family's part of the request."""
        return controls_of(request, model.family.Controls)

    def answer(self, model: Model, request: Any, engine: Engine) -> Iterator[Media]:
        """The answer alone, without the prompt, in pieces of whole characters; n outputs grow side by side."""
        prompt = self.prompt(model, request)
        context = window(model)
        if len(prompt) >= context:
            say_cut(len(prompt), context)
        controls = self.controls(model, request)
        vocabulary = model.config.network["vocab_size"]

        def guide() -> Constraint | None:
            return self.guide(model, request, vocabulary)

        guide()  # what can't be followed is refused before the first answer begins
        return stream_texts(
            model.session(),
            engine,
            model.facts,
            request.n,
            request.seed,
            lambda session, index: session.start(prompt, request_stream(request.seed, index), controls, guide()),
            request.stop,
        )


def say_cut(tokens: int, context: int) -> None:
    say(f"The prompt has {tokens:,} tokens and the model sees {context:,} at once, so it goes on from its end.")


def window(model: Model) -> int:
    """Tokens that a model sees at once when it writes."""
    assert isinstance(model.family, Transformer)
    return model.family.context


def item_text(item: Item) -> str | Drop:
    """The characters that an item stands for."""
    text = whole_text(item)
    return text if isinstance(text, Drop) else text[item.start : item.stop]


def whole_text(item: Item) -> str | Drop:
    """The text of an item's table field or file, parent's text included where the item is a block of it."""
    if "text" in item.fields:
        return item.fields["text"]
    if item.file is None:
        return Drop("missing_text", "a table row without a text field")
    stat = Path(item.file).stat()
    return _decoded(item.file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _decoded(file: str, mtime_ns: int, size: int) -> str | Drop:
    # The blocks of one file follow one another, so keeping the last file spares decoding it for each.
    return medium.decode(Path(file).read_bytes())
