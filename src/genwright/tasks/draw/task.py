"""The task `draw`: pictures from words, from a class label, or from nothing.

An example is {"image": uint8[S, S, 3], "condition": int32[L], "label": int32[1]}. `condition` is what the networks are told:
the caption's tokens, the label alone (L = 1), or 0. `label` is -1 where the data has none. Where pictures have a field `long`, a caption
that says more, its tokens are `long`: int32[L], and half of the time they are learned from. A batch is {"data": image_BCHW in
[-1, 1], "condition": int64[B, L]}; see families/given.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel

from genwright.console import count, say
from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.families.base import Batch
from genwright.families.given import AGAINST, START, Given
from genwright.ledger import Drop, Item
from genwright.media import image as pictures
from genwright.media.base import Media
from genwright.metrics import features
from genwright.model import Model, ModelConfig
from genwright.networks.text_encoder import PAD
from genwright.recipe import EvaluateSettings
from genwright.request import Blob, controls_of
from genwright.rights.duties import forbids
from genwright.scores import ScoreSheet, Verdict
from genwright.shards import Example, ExampleStore
from genwright.tasks.base import Asked, BaseTask, Part, Shown, Splits, TrainJudge, can_be_typed, evenly
from genwright.tasks.draw import from_run
from genwright.tasks.draw.options import Request
from genwright.tasks.draw.verdict import verdict
from genwright.tasks.image import codes
from genwright.tasks.image.facts import (
    DrawFacts,
    caption_tokenizer,
    evenly_captions,
    group_of,
    tokens_read,
    words_by_count,
)
from genwright.tasks.image.networks import Drawn, sizes_for
from genwright.tasks.image.parts import BATCH, most_batch, one_part
from genwright.tasks.image.pixels import Pictures, given_of, to_network
from genwright.tasks.image.sampling import draw, sample
from genwright.tasks.verdict import Training

_WORD_DROPOUT = 0.1
_CAPTION_DROPOUT = 0.05
_ENOUGH_FOR_JUDGE = 500
"""Pictures with words from which on a new run sets some aside to fit a judge of words and pictures on."""
_LOOKED_AT = 200
"""Held-out pictures among which one is looked for that has words to ask for."""


class Draw(BaseTask):
    """See the module's docstring. `prepare` and `model` are those of tasks/draw/options.py, with the family's settings."""

    prepare: Any
    model: Any

    name: ClassVar[str] = "draw"
    Request: ClassVar[type[BaseModel]] = Request
    split_shares: ClassVar[dict[str, float]] = {"train": 0.85, "validation": 0.05, "test": 0.1}
    judge_share: ClassVar[float] = 0.1
    parts_groups: ClassVar[bool] = True

    @property
    def starts_from_weights(self) -> bool:
        return self.model.from_ is not None

    def check(self) -> None:
        features.weights_file()
        from_run.check(self.model, self.family)

    def group_key(self, item: Item) -> str:
        """Pictures of one thing stand on one side: by `group` or the words where the table has them, else the content."""
        return group_of(item) or super().group_key(item)

    def wants_judge(self, items: Sequence[Item]) -> bool:
        """With words only: they are what the judge has to learn."""
        told = sum(bool(item.fields.get("text")) for item in items)
        return self.model.condition in ("auto", "text") and told >= _ENOUGH_FOR_JUDGE

    def kind(self, item: Item) -> str:
        return "" if item.fields.get("text") else item.fields.get("label", "")

    def encoding_settings(self) -> dict[str, Any]:
        from_weights = {"from": from_run.opened(self.model).identity()} if self.starts_from_weights else {}
        return super().encoding_settings() | {"size": self.model.size, "condition": self.model.condition} | from_weights

    def exported_settings(self) -> dict[str, Any]:
        """Where the model that it went on from lay is nobody else's business."""
        settings = super().exported_settings()
        return settings | ({"from": Path(self.model.from_).name} if self.starts_from_weights else {})

    def fit(self, sample: Iterable[Item]) -> DrawFacts:
        items = list(sample)
        short = [item.fields["text"] for item in items if item.fields.get("text")]
        long = [item.fields["long"] for item in items if item.fields.get("long") and item.fields.get("text")]
        captions = short + long
        shown = [item.fields["text"] for item in items if item.fields.get("text") and not forbids(item.licence)]
        if self.starts_from_weights:
            facts = from_run.more_facts(self.model, captions, shown, len(items))
            _tell_cut(facts, captions)
            return facts
        labels = sorted({item.fields["label"] for item in items if item.fields.get("label")})
        condition = self.model.condition
        if condition == "auto":
            condition = "text" if 2 * len(short) > len(items) else "label" if len(labels) > 1 else "none"
        told = (words_by_count(captions), evenly_captions(shown)) if condition == "text" else ([], [])
        tokenizer = caption_tokenizer(captions)
        facts = DrawFacts(condition, labels, tokenizer, len(items), *told)
        if condition == "text":
            facts.tokens, facts.two_captions = tokens_read(tokenizer, captions), bool(long)
        _tell_cut(facts, captions)
        return facts

    def load_facts(self, folder: Path) -> DrawFacts:
        return DrawFacts.load(folder)

    def encode(self, item: Item, facts: DrawFacts) -> Iterable[Example | Drop]:
        text, label = item.fields.get("text", ""), item.fields.get("label", "")
        if self.model.condition == "text" and not text:
            yield Drop("missing_text", "the recipe asks for `condition: text`")
            return
        if facts.condition == "label" and label not in facts.labels:
            yield Drop("missing_text", f"its label {label!r} is none that the training pictures have")
            return
        limits = {"min_pixels": self.prepare.min_pixels, "max_pixels": self.prepare.max_pixels}
        picture = pictures.decode(item.read_bytes(), self.prepare.background, **limits)
        if isinstance(picture, Drop):
            yield picture
            return
        example = {
            "image": pictures.resize_square(picture, self.model.size, self.prepare.fit),
            "condition": facts.encode(text, label),
            "label": np.array([facts.label_id(label)], np.int32),
        }
        if facts.two_captions:
            example["long"] = facts.encode(item.fields.get("long") or text, label)
        yield example

    def shown(self, example: Example, facts: DrawFacts) -> list[Shown]:
        size, words = self.model.size, facts.words(example["condition"])
        told = {"text": f'the words "{words}"', "label": f'the label "{words}"', "none": "no words"}[facts.condition]
        return [Shown(f"{size} x {size} pixels, with {told}")]

    def augment(self, example: Example, rng: np.random.Generator) -> Example:
        """Mirror (where the recipe allows it), take the long caption half of the time where there are two, and leave words out, so that
        each of them comes to mean something alone."""
        changed = dict(example)
        condition = example["condition"]
        mirrored, all_words, each_word = rng.random(), rng.random(), rng.random(len(condition))
        if self.prepare.flip and mirrored < 0.5:
            changed |= codes.mirrored(example) if "codes" in example else {"image": example["image"][:, ::-1]}
        if "long" in example and rng.random() < 0.5:
            condition = example["long"]
        if len(condition) > 1:
            kept = each_word >= (1.0 if all_words < _CAPTION_DROPOUT else _WORD_DROPOUT)
            kept[0] = True  # the token that opens every caption
            changed["condition"] = np.where(kept, condition, PAD)
        return changed

    def collate(self, examples: list[Example]) -> Batch:
        if "codes" in examples[0]:
            return codes.collate(examples)
        data = to_network(np.stack([example["image"] for example in examples]))
        return {"data": data, **given_of(np.stack([example["condition"] for example in examples]))}

    def candidates(self, facts: DrawFacts, splits: Splits, device: torch.device) -> list[ModelConfig]:
        if self.family == codes.FAMILY:
            return codes.candidates(self.model, device)
        if self.starts_from_weights:
            return [from_run.candidate(self.model, BATCH)]
        return sizes_for(self.family, self.model, self._drawn(facts), splits.stores.get("train", ()), device)

    def parts(self, config: ModelConfig, facts: DrawFacts) -> list[Part]:
        if self.family == codes.FAMILY:
            return codes.parts(self.model, config, facts, self.prepare.flip)

        initial = partial(from_run.start, self.model) if self.starts_from_weights else None
        return one_part(config, self._drawn(facts), self.model, initial)

    def most_batch(self, config: ModelConfig, splits: Splits) -> int | None:
        return most_batch(splits)

    def _drawn(self, facts: DrawFacts) -> Drawn:
        return Drawn(self.model.size, facts.condition, facts.condition_count)

    def preview(self, model: Model, engine: Engine, splits: Splits, file_stem: Path) -> Path:
        """Eight held-out conditions side by side, four pictures of each below one another."""
        store = splits["validation"] if len(splits["validation"]) else splits["train"]
        chosen = np.linspace(0, len(store) - 1, min(8, len(store))).round().astype(int)
        conditions = np.stack([store[int(i)]["condition"] for i in chosen])
        images = [image for seed in range(4) for image in sample(model, engine, conditions, seed)]
        file = file_stem.with_name(file_stem.name + ".png")
        pictures.save_png(pictures.grid(images, columns=len(chosen), scale=max(1, 64 // self.model.size)), file)
        return file

    def score(
        self, model: Model, splits: Splits, settings: EvaluateSettings, train_judge: TrainJudge, folder: Path
    ) -> ScoreSheet:
        from genwright.tasks.draw.scores import score

        sheet = score(model, splits, settings, train_judge, folder)
        if self.starts_from_weights and sheet.protocol["samples"]:
            base = self._gone_on_from(model.device)
            from_run.add_kept(sheet, model, base, settings.samples, settings.seed)
        return sheet

    def _gone_on_from(self, device: torch.device) -> Model:
        own, facts = from_run.opened(self.model), from_run.facts(self.model)
        config = ModelConfig.model_validate(own.config)
        family = self.parts(config, facts)[0].build({})
        family.load_tensors(own.tensors())
        family.modules.to(device).eval().requires_grad_(False)
        return Model(self, config, facts, {"model": family}, device)

    def verdict(self, sheet: ScoreSheet, training: Training) -> Verdict:
        return verdict(sheet, training, self.family)

    def answer(self, model: Model, request: Any, engine: Engine) -> Iterator[Media]:
        """Picture i of a seed is the same whether it is drawn alone or with others. Without a prompt each has words of its own."""
        facts: DrawFacts = model.facts
        if request.prompt.strip():
            prompts, conditions = [request.prompt] * request.n, [facts.prompt(request.prompt)] * request.n
        else:
            prompts = facts.mix(request.n, request.seed)
            conditions = [facts.encode(words, words) for words in prompts]
        controls = controls_of(request, model.family.Controls)
        drawn = draw(model, engine, conditions, request.seed, controls, also=self._steered(facts, request))
        for index, image_HWC in enumerate(drawn):
            picture = Image.fromarray(image_HWC)
            yield Media("image", picture, index, metadata=self._metadata(model, request, prompts[index], index))

    def _steered(self, facts: DrawFacts, request: Any) -> Given:
        """What a request holds beside its words where the family goes in several steps: words to lead away from, a picture to start from."""
        asked, found = dict(request), Given()
        if asked.get("negative"):
            if asked["guidance"] == 1:
                raise RequestError("`negative` leads away from something by `guidance`; give one above 1.")
            found |= {AGAINST + name: value for name, value in given_of(facts.prompt(asked["negative"])).items()}
        if asked.get("init") is not None:
            found[START] = to_network(np.stack([self._picture(asked["init"])]))[0]
        elif "strength" in request.model_fields_set:
            raise RequestError("`strength` says how much of the picture `init` may change; give that picture.")
        return found

    def _picture(self, blob: Blob) -> Pictures:
        """A picture of a request as the training pictures are. Raises RequestError when it is none, or too large."""
        picture = pictures.decode(blob.data, self.prepare.background, max_pixels=self.prepare.max_pixels)
        if isinstance(picture, Drop):
            raise RequestError(
                f"`init`: {blob.name or 'the picture'} can't be used ({picture.reason}: {picture.detail}); give another."
            )
        return pictures.resize_square(picture, self.model.size, self.prepare.fit)

    def example(self, facts: DrawFacts, splits: Splits) -> Asked | None:
        """The words of a held-out picture: a caption that says nothing but what the model has seen words for, or a label. Those of a
        training picture where every held-out one has words that are new to it."""
        found = (self._asked(facts, splits, store) for store in (splits.held_out()[1], splits["train"]))
        return next(filter(None, found), None)

    def _asked(self, facts: DrawFacts, splits: Splits, store: ExampleStore) -> Asked | None:
        for row in evenly(store, _LOOKED_AT):
            if facts.condition == "label" and int(store[row]["label"][0]) >= 0:
                label = facts.labels[int(store[row]["label"][0])]
                if can_be_typed(label):
                    return Asked({"prompt": label})
            item = splits.items.get(store.ids[row])
            caption = " ".join(item.fields.get("text", "").split()) if item else ""
            strange = facts.condition != "text" or facts.is_cut(caption) or bool(facts.unseen(caption))
            if can_be_typed(caption) and not strange:
                return Asked({"prompt": caption}, store.ids[row])
        return None

    def known(self, facts: DrawFacts) -> dict[str, list[str]]:
        names = {"label": ("labels", facts.labels), "text": ("words", facts.known_words)}
        return dict([names[facts.condition]]) if facts.condition in names else {}

    def _metadata(self, model: Model, request: Any, prompt: str, index: int) -> dict[str, Any]:
        made = {
            "prompt": prompt,
            "seed": request.seed,
            "index": index,
            "task": self.name,
            "family": self.family,
        }
        asked = dict(request)
        made |= controls_of(request, model.family.Controls).model_dump()
        if asked.get("negative"):
            made["negative"] = asked["negative"]
        if asked.get("init") is not None:
            made["init"] = asked["init"].name
        else:
            made.pop("strength", None)
        return made | {key: value for key, value in model.about.items() if isinstance(value, str | int | float)}


def _tell_cut(facts: DrawFacts, captions: list[str]) -> None:
    cut = [caption for caption in captions if facts.is_cut(caption)] if facts.condition == "text" else []
    if cut:
        say(
            f"prepare: {len(cut):,} of {count(len(captions), 'caption')} {'is' if len(cut) == 1 else 'are'} longer than the {facts.tokens - 1} tokens "
            f'that the model reads, and cut: of "{cut[0][:200]}" it reads "{facts.read(cut[0])}".'
        )
