"""The task `write`: text that goes on in the manner of the texts it was trained on.

An example is a text (or a contiguous block of one) as tokens, with an end-of-text token where the text ends. The model reads
windows of the stream that the examples of a split make when they are laid after one another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from genwright.engine.engine import Engine
from genwright.families.transformer import Transformer
from genwright.ledger import Drop, Item
from genwright.media import text as medium
from genwright.media.base import Media, Medium
from genwright.media.tokenizer import Tokenizer
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.recipe import EvaluateSettings
from genwright.scores import ScoreSheet
from genwright.shards import Example, ExampleStore
from genwright.tasks import write_options, write_sizes
from genwright.tasks.base import BaseTask, Batches, ModelConfig, Part, Splits, TrainJudge, controls_of
from genwright.tasks.write_batches import Windows
from genwright.tasks.write_samples import continue_all, request_rng
from genwright.tasks.write_tokens import fit_tokenizer

if TYPE_CHECKING:
    from genwright.model import Model

CAPACITY = 16
"""Slots of the session that answers requests; one number, so that all requests share one session."""

_BLOCKS = 100
_BLOCK_CHARACTERS = 2000
_PREVIEW_PROMPTS = 3
_PREVIEW_TOKENS = 160


class Write(BaseTask):
    name: ClassVar[str] = "write"
    medium: ClassVar[Medium] = "text"
    Request = write_options.Request

    prepare: write_options.Prepare
    model: Any
    """`write_options.Model` with the family's settings."""

    def divide(self, item: Item) -> list[tuple[int, int]]:
        text = whole_text(item)
        return [] if isinstance(text, Drop) else blocks(text)

    def fit(self, sample: Iterable[Item]) -> Tokenizer:
        texts = (text for item in sample if isinstance(text := item_text(item), str))
        return fit_tokenizer(texts, self.prepare)

    def load_facts(self, folder: Path) -> Tokenizer:
        return Tokenizer.load(folder)

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

    def batches(
        self, store: ExampleStore, facts: Any, config: ModelConfig, seed: int, part: str, training: bool = True
    ) -> Batches:
        return Windows(store.flat("tokens"), config.network["max_position_embeddings"], facts.end_token, seed, training)

    def candidates(self, facts: Any, splits: Splits, device: torch.device) -> list[ModelConfig]:
        tokens = int(splits["train"].lengths("tokens").sum())
        return write_sizes.candidates(self.model, facts.size, tokens)

    def parts(self, config: ModelConfig, facts: Any) -> list[Part]:
        network = DecoderConfig(**config.network)
        return [Part("model", lambda trained: Transformer(Decoder(network), facts.end_token))]

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

    def answer(self, model: Model, request: Any, engine: Engine) -> Iterator[Media]:
        """The continuation alone, without the prompt, in pieces of whole characters; n outputs grow side by side."""
        prompt = model.facts.encode(request.prompt).tolist()
        controls = controls_of(request, model.family.Controls)
        session = model.session(CAPACITY)
        waiting = iter(range(request.n))
        running: dict[int, _Output] = {}
        try:
            while True:
                while len(running) < CAPACITY and (index := next(waiting, None)) is not None:
                    rng = request_rng(request.seed, index)
                    tokens = engine.submit(session, lambda s, rng=rng: s.start(prompt, rng, controls))
                    running[index] = _Output(tokens, model.facts)
                if not running:
                    return
                for index, output in list(running.items()):
                    text, final = output.advance()
                    if final:
                        del running[index]
                    if text or final:
                        yield Media("text", text, index, final, {"seed": request.seed} if final else {})
        finally:
            for output in running.values():
                output.close()


class _Output:
    """One continuation on its way: tokens from the engine to text."""

    def __init__(self, tokens: Iterator[int], facts: Tokenizer):
        self._tokens, self._stream = tokens, facts.stream()

    def advance(self) -> tuple[str, bool]:
        """The next piece of text (often empty inside a character), and whether it was the last."""
        for token in self._tokens:
            return self._stream.feed(token), False
        return self._stream.close(), True

    def close(self) -> None:
        getattr(self._tokens, "close", lambda: None)()


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
