"""The task `repair`: mends pictures of which parts are missing, or that have noise, blur, JPEG blocks or too few pixels.

An example is {"image": uint8[S, S, 3]}: a picture, or a piece cut from one. It is damaged on the fly (tasks/repair/damage.py), which adds
"seen" uint8[S, S, 3], "known" uint8[S, S] and "condition" int32[2], what is to be mended. A batch is {"data": image_BCHW in [-1, 1],
"condition": int64[B, 2], "beside": float32[B, 4, S, S]}; see families/given.py. Held-out pictures are damaged in the same way every time.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel

from genwright.console import progress
from genwright.engine.engine import Engine
from genwright.families.base import Batch
from genwright.ledger import Drop, Item
from genwright.media import image as pictures
from genwright.media.base import Media
from genwright.metrics import features
from genwright.metrics.image import sharpness
from genwright.model import Model, ModelConfig
from genwright.recipe import EvaluateSettings
from genwright.scores import ScoreSheet, Verdict
from genwright.seeds import stream
from genwright.shards import Example
from genwright.tasks.base import BaseTask, Part, Shown, Splits, TrainJudge
from genwright.tasks.image.facts import group_of
from genwright.tasks.image.networks import Drawn, sizes_for
from genwright.tasks.image.parts import most_batch, one_part
from genwright.tasks.image.pixels import to_network
from genwright.tasks.repair import damage
from genwright.tasks.repair.asking import answer_of, controls_of, job_of
from genwright.tasks.repair.mending import MEAN, SAMPLE, mended, repaired
from genwright.tasks.repair.options import COUNTED, Request, crops_of
from genwright.tasks.repair.verdict import verdict
from genwright.tasks.verdict import Training

_SMALLEST_SCALE = 8
"""Times that a piece is made smaller, at most."""
_SHOWN = 8


class Nothing:
    """The facts: nothing has to be measured before the model learns."""

    def save(self, folder: Path) -> None:
        (folder / "repair.json").write_text("{}\n", encoding="utf-8")


class Repair(BaseTask):
    """See the module's docstring. `prepare` and `model` are those of tasks/repair/options.py, with the family's settings."""

    prepare: Any
    model: Any

    name: ClassVar[str] = "repair"
    Request: ClassVar[type[BaseModel]] = Request
    condition_ids: ClassVar[int] = damage.TOLD
    split_shares: ClassVar[dict[str, float]] = {"train": 0.85, "validation": 0.05, "test": 0.1}

    def check(self) -> None:
        features.weights_file()

    def amount(self, item: Item) -> int:
        pieces = 1 + crops_of(item.width or 0, item.height or 0, self.model.size, self.prepare.crops)
        return min(pieces, COUNTED)

    def group_key(self, item: Item) -> str:
        """All that is cut from a picture stands on one side, and so do pictures of one thing where a table tells."""
        return group_of(item) or super().group_key(item)

    def encoding_settings(self) -> dict[str, Any]:
        return super().encoding_settings() | {"size": self.model.size}

    def fit(self, sample: Iterable[Item]) -> Nothing:
        return Nothing()

    def load_facts(self, folder: Path) -> Nothing:
        return Nothing()

    def encode(self, item: Item, facts: Nothing) -> Iterator[Example | Drop]:
        """The whole picture, then pieces of it; which ones follows from its content."""
        size = self.model.size
        limits = {"min_pixels": self.prepare.min_pixels, "max_pixels": self.prepare.max_pixels}
        picture = pictures.decode(item.read_bytes(), self.prepare.background, **limits)
        if isinstance(picture, Drop):
            yield picture
            return
        yield {"image": pictures.resize_square(picture, size, self.prepare.fit)}
        height, width = picture.shape[:2]
        rng, whole = stream("repair", "pieces", item.sha256 or item.id), Image.fromarray(picture)
        largest = min(min(height, width) / size, _SMALLEST_SCALE)

        def piece() -> np.ndarray:
            side = round(size * largest ** rng.random())
            left, top = (int(rng.integers(0, length - side + 1)) for length in (width, height))
            cut = whole.crop((left, top, left + side, top + side))
            return np.asarray(cut.resize((size, size), Image.Resampling.LANCZOS))

        for _ in range(crops_of(width, height, size, self.prepare.crops)):
            # Most of a photograph is sky and blur, of which little is learned: of two pieces the one with more in it is kept.
            pieces = np.stack([piece(), piece()])
            yield {"image": pieces[int(sharpness(pieces).argmax())]}

    def shown(self, example: Example, facts: Nothing) -> list[Shown]:
        return [Shown(f"{self.model.size} x {self.model.size} pixels, damaged anew each time")]

    def augment(self, example: Example, rng: np.random.Generator) -> Example:
        image = example["image"]
        if rng.random() < 0.5 and self.prepare.flip:
            image = image[:, ::-1]
        return {"image": image, **damage.at_random(np.ascontiguousarray(image), rng)}

    def collate(self, examples: list[Example]) -> Batch:
        examples = [example if "seen" in example else held_out(example) for example in examples]
        stacked = {name: np.stack([example[name] for example in examples]) for name in examples[0]}
        return {
            "data": to_network(stacked["image"]),
            "condition": torch.from_numpy(stacked["condition"]).long(),
            "beside": damage.beside(stacked["seen"], stacked["known"]),
        }

    def candidates(self, facts: Nothing, splits: Splits, device: torch.device) -> list[ModelConfig]:
        return sizes_for(self.family, self.model, self._drawn, splits.stores.get("train", ()), device)

    def parts(self, config: ModelConfig, facts: Nothing) -> list[Part]:
        return one_part(config, self._drawn, self.model)

    def most_batch(self, config: ModelConfig, splits: Splits) -> int | None:
        return most_batch(splits)

    @property
    def _drawn(self) -> Drawn:
        return Drawn(self.model.size, "label", len(damage.KINDS), beside=damage.CHANNELS)

    def preview(self, model: Model, engine: Engine, splits: Splits, file_stem: Path) -> Path:
        """Held-out pictures damaged, mended by `mean` and by `sample`, and as they were, below one another."""
        store = splits["validation"] if len(splits["validation"]) else splits["train"]
        chosen = np.linspace(0, len(store) - 1, min(_SHOWN, len(store))).round().astype(int)
        images = [store[int(i)]["image"] for i in chosen]
        trials = [damage.TRIALS[i % len(damage.TRIALS)] for i in range(len(images))]
        examples = [
            trial.apply(image, stream("preview", i))
            for i, (trial, image) in enumerate(zip(trials, images, strict=True))
        ]
        rows = [visible(examples), *(list(mended(model, engine, examples, how, 0)) for how in (MEAN, SAMPLE)), images]
        file = file_stem.with_name(file_stem.name + ".png")
        sheet = pictures.grid(
            [image for row in rows for image in row], columns=len(chosen), scale=max(1, 64 // self.model.size)
        )
        pictures.save_png(sheet, file)
        return file

    def score(
        self, model: Model, splits: Splits, settings: EvaluateSettings, train_judge: TrainJudge, folder: Path
    ) -> ScoreSheet:
        from genwright.tasks.repair.scores import score

        return score(model, splits, settings, folder)

    def verdict(self, sheet: ScoreSheet, training: Training) -> Verdict:
        return verdict(sheet, training)

    def answer(self, model: Model, request: Any, engine: Engine) -> Iterator[Media]:
        """Picture i of a seed is the same whether it is made alone or with others."""
        job = job_of(request, self.prepare.background, self.prepare.max_pixels)
        controls, answer = controls_of(request, job), answer_of(request, job)
        for index in range(request.n):
            with progress(f"mend {request.picture.name or 'the picture'}") as line:
                made = repaired(model, engine, job, controls, request.seed, index, self.model.size, line)
            yield Media(
                "image", made.picture(), index, metadata=self._metadata(model, request, answer, controls, index)
            )

    def _metadata(
        self, model: Model, request: Any, answer: str, controls: dict[str, Any], index: int
    ) -> dict[str, Any]:
        made = {"of": request.picture.name, "answer": answer, "task": self.name, "family": self.family}
        made |= {name: value for name, value in (("fix", " ".join(request.fix)), ("box", request.box)) if value}
        made |= {"scale": request.scale} if request.scale > 1 else {}
        made |= {"mask": request.mask.name} if request.mask else {}
        made |= {"seed": request.seed, "index": index, **controls}
        return made | {key: value for key, value in model.about.items() if isinstance(value, str | int | float)}


def held_out(example: Example) -> Example:
    """An example damaged in a way that follows from its picture: the same every time."""
    return example | damage.at_random(
        example["image"], stream("repair", "held out", zlib.crc32(example["image"].tobytes()))
    )


def visible(examples: Sequence[Example]) -> list[np.ndarray]:
    """Damaged pictures as people are shown them: what is missing is grey."""
    return [np.where(one["known"][..., None] > 0, one["seen"], np.uint8(128)) for one in examples]
