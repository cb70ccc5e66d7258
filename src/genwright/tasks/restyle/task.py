"""The task `restyle`: a picture in another hand, from pictures that have their other drawing (paired) or from two sets (unpaired).

A paired example is {"image": uint8[S, S, 3], "source": uint8[S, S, 3], "style": int32[1]}: a drawing in the hand `style`, and the picture
it is the other drawing of. One of two sets is {"image", "style"}, of which hand 0 is that of `as: a` and 1 that of `as: b`.

A batch is {"data": image_BCHW, "condition": int64[B, 1]}, with the source as "beside": image_BCHW where there is one. A flow that learns from
pairs sees the source beside the noise; its networks find the difference to that, so it begins with the picture as it is, and a plain ground,
which differs in nothing, is learned at once. One that does not learn from pairs goes back with the source along the flow under the source's hand, and
forth under the other (families/flow/session.py). The family `cycle` learns from two sets, and takes pairs for such.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel

from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.families.base import Batch
from genwright.ledger import Drop, Item
from genwright.media import image as pictures
from genwright.media.base import Media
from genwright.metrics import features
from genwright.model import Model, ModelConfig
from genwright.recipe import EvaluateSettings
from genwright.scores import ScoreSheet, Verdict
from genwright.shards import Example, ExampleStore
from genwright.tasks.base import BaseTask, Part, Shown, ShuffledBatches, Splits, TrainJudge
from genwright.tasks.image.networks import Drawn, sizes_for
from genwright.tasks.image.parts import most_batch, one_part
from genwright.tasks.image.pixels import given_of, to_network
from genwright.tasks.restyle.carry import controls, restyled
from genwright.tasks.restyle.facts import RestyleFacts
from genwright.tasks.restyle.options import Request
from genwright.tasks.restyle.sides import TwoSides, sides
from genwright.tasks.restyle.verdict import verdict
from genwright.tasks.restyle.whole import Whole
from genwright.tasks.verdict import Training
from genwright.training.base import Stackable

TARGET = "target"
"""What the further file of an item is that shows the same in the other hand."""
_SHOWN = 8


class Restyle(BaseTask):
    """See the module's docstring. `prepare` and `model` are those of tasks/restyle/options.py, with the family's settings."""

    prepare: Any
    model: Any

    name: ClassVar[str] = "restyle"
    Request: ClassVar[type[BaseModel]] = Request
    split_shares: ClassVar[dict[str, float]] = {"train": 0.85, "validation": 0.05, "test": 0.1}

    def check(self) -> None:
        features.weights_file()

    def amount(self, item: Item) -> int:
        return 1 + len(item.files)

    def group_key(self, item: Item) -> str:
        """Drawings of one thing stand on one side of the split: by `group` or `pair` where the table has them, else the content."""
        return item.fields.get("group") or item.fields.get("pair") or super().group_key(item)

    def encoding_settings(self) -> dict[str, Any]:
        named = {"size": self.model.size, "a": self.model.a, "b": self.model.b, "paired": self._may_pair}
        return super().encoding_settings() | named

    @property
    def _may_pair(self) -> bool:
        return self.family != "cycle"

    def fit(self, sample: Iterable[Item]) -> RestyleFacts:
        """Raises RequestError where there is no other hand."""
        items = list(sample)
        targets = [item for item in items if TARGET in item.files]
        if targets and self._may_pair:
            return RestyleFacts(True, sorted({self._style(item) for item in targets}), len(items))
        if missing := {"a", "b"} - {item.role for item in items} if not targets else set():
            raise RequestError(
                f"There is no other hand to carry pictures over to: no source is `as: {min(missing)}`, and no item has a further file "
                "`target`; say in the recipe which sources are `as: a` and `as: b`, or name each picture's other drawing with `files`."
            )
        return RestyleFacts(False, [self.model.a, self.model.b], len(items))

    def load_facts(self, folder: Path) -> RestyleFacts:
        return RestyleFacts.load(folder)

    def _style(self, item: Item) -> str:
        """In whose hand an item's target is: what the table says, else what the recipe calls it."""
        return item.fields.get("style") or str(self.model.b)

    def encode(self, item: Item, facts: RestyleFacts) -> Iterable[Example | Drop]:
        found: list[np.ndarray] = []
        for file in (item, *(item.files[role] for role in (TARGET,) if role in item.files)):
            square = self._square(file.read_bytes())
            if isinstance(square, Drop):
                yield square
                return
            found.append(square)
        if not facts.paired:
            hands = ("a", "b") if len(found) == 2 else (item.role,)
            for hand, square in zip(hands, found, strict=True):
                yield {"image": square, "style": np.array([hand == "b"], np.int32)}
            return
        style = facts.style(self._style(item))
        if len(found) < 2:
            yield Drop("missing_file", "no further file `target`, as others have")
        elif style[0] < 0:
            yield Drop("missing_text", f"its hand {self._style(item)!r} is none that the training pictures have")
        else:
            yield {"image": found[1], "source": found[0], "style": style}

    def _square(self, data: bytes) -> np.ndarray | Drop:
        limits = {"min_pixels": self.prepare.min_pixels, "max_pixels": self.prepare.max_pixels}
        picture = pictures.decode(data, self.prepare.background, **limits)
        return (
            picture if isinstance(picture, Drop) else pictures.resize_square(picture, self.model.size, self.prepare.fit)
        )

    def shown(self, example: Example, facts: RestyleFacts) -> list[Shown]:
        size, style = self.model.size, facts.styles[int(example["style"][0])]
        return [
            Shown(
                f"{size} x {size} pixels by {style}{', beside what it is the other drawing of' if facts.paired else ''}"
            )
        ]

    def augment(self, example: Example, rng: np.random.Generator) -> Example:
        """Mirrored half of the time where the recipe allows it, both drawings alike."""
        if not self.prepare.flip or rng.random() < 0.5:
            return example
        return {name: value[:, ::-1] if name in ("image", "source") else value for name, value in example.items()}

    def collate(self, examples: list[Example]) -> Batch:
        batch = {"data": _stacked(examples, "image"), **given_of(np.stack([one["style"] for one in examples]))}
        if "source" in examples[0]:
            batch["beside"] = _stacked(examples, "source")
        return batch

    def batches(
        self, store: ExampleStore, facts: RestyleFacts, config: ModelConfig, seed: int, part: str, training: bool = True
    ) -> Stackable:
        if config.family == "cycle" and not facts.paired:
            return TwoSides(self, store, seed, part, augment=training)
        return ShuffledBatches(self, store, seed, part, augment=training)

    def candidates(self, facts: RestyleFacts, splits: Splits, device: torch.device) -> list[ModelConfig]:
        return sizes_for(self.family, self.model, self._drawn(facts), splits.stores.get("train", ()), device)

    def parts(self, config: ModelConfig, facts: RestyleFacts) -> list[Part]:
        return one_part(config, self._drawn(facts), self.model)

    def most_batch(self, config: ModelConfig, splits: Splits) -> int | None:
        return most_batch(splits)

    def _drawn(self, facts: RestyleFacts) -> Drawn:
        beside = 3 if facts.paired else 0
        return Drawn(self.model.size, facts.condition, len(facts.styles), beside=beside)

    def preview(self, model: Model, engine: Engine, splits: Splits, file_stem: Path) -> Path:
        """Some held-out pictures, below them what becomes of them, and of pairs the true other drawing."""
        store = splits["validation"] if len(splits["validation"]) else splits["train"]
        if not model.facts.paired:
            store = next((side for side in sides(store) if len(side)), store)
        rows = np.linspace(0, len(store) - 1, min(_SHOWN, len(store))).round().astype(int)
        examples = [store[int(row)] for row in rows]
        sources = np.stack([one["source" if model.facts.paired else "image"] for one in examples])
        style = examples[0]["style"] if model.facts.paired else model.facts.other(examples[0]["style"])
        shown = [*sources, *restyled(model, engine, sources, [style] * len(sources), 0)]
        shown += [one["image"] for one in examples] if model.facts.paired else []
        file = file_stem.with_name(file_stem.name + ".png")
        pictures.save_png(pictures.grid(shown, columns=len(sources), scale=max(1, 64 // self.model.size)), file)
        return file

    def score(
        self, model: Model, splits: Splits, settings: EvaluateSettings, train_judge: TrainJudge, folder: Path
    ) -> ScoreSheet:
        from genwright.tasks.restyle.scores import score

        return score(model, splits, settings, train_judge, folder)

    def verdict(self, sheet: ScoreSheet, training: Training) -> Verdict:
        return verdict(sheet, training, self.family)

    def answer(self, model: Model, request: Any, engine: Engine) -> Iterator[Media]:
        style = model.facts.asked(request.style, self.model.b)
        whole = Whole.of(request.picture, self.prepare, self.model.size)
        asked = {name: value for name, value in request if name in model.family.Controls.model_fields}
        (found_HWC,) = restyled(model, engine, np.stack([whole.square]), [style], request.seed, asked)
        made_of = {"picture": request.picture.name, "style": model.facts.styles[int(style[0])], "seed": request.seed}
        made_of |= controls(model, asked).model_dump() | {"task": self.name, "family": self.family}
        made_of |= {key: value for key, value in model.about.items() if isinstance(value, str | int | float)}
        yield Media("image", Image.fromarray(whole.restored(found_HWC)), metadata=made_of)

    def known(self, facts: RestyleFacts) -> dict[str, list[str]]:
        return {"styles": facts.styles}


def _stacked(examples: list[Example], name: str) -> torch.Tensor:
    return to_network(np.stack([example[name] for example in examples]))
