"""A task of two parts from outside the package: new pictures, laid of codes.

The part `codec` learns to turn a picture into a few whole numbers and back; the part `prior` then learns which numbers follow
on which, from those that the trained codec makes of the data. An example is {"image": uint8[S, S, 3]}; one of the prior's is
{"codes": uint16[T]}.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import mosaic_options
import numpy as np
import torch
from code_prior import CodePrior
from codec import SHRINK, Codec, decoder, encoder
from PIL import Image
from pydantic import BaseModel

from genwright.engine.engine import Engine
from genwright.families.base import Batch, Family
from genwright.ledger import Drop, Item
from genwright.media import image as pictures
from genwright.media.base import Media
from genwright.model import Model, ModelConfig
from genwright.networks.decoder import Decoder
from genwright.recipe import EvaluateSettings
from genwright.request import controls_of
from genwright.scores import Exhibit, Metric, Row, Score, ScoreSheet
from genwright.seeds import request_stream
from genwright.shards import Example
from genwright.tasks.base import BaseTask, Part, Splits, TrainJudge
from genwright.tasks.image.pixels import to_bytes, to_network
from genwright.tasks.text.sizes import network_for


class Nothing:
    """The facts: nothing has to be measured before the first part learns."""

    def save(self, folder: Path) -> None:
        (folder / "facts.json").write_text("{}\n", encoding="utf-8")


class Mosaic(BaseTask):
    prepare: Any
    model: Any

    name: ClassVar[str] = "mosaic"
    Request: ClassVar[type[BaseModel]] = mosaic_options.Request

    def fit(self, sample: Iterable[Item]) -> Nothing:
        return Nothing()

    def load_facts(self, folder: Path) -> Nothing:
        return Nothing()

    def encode(self, item: Item, facts: Nothing) -> Iterator[Example | Drop]:
        picture = pictures.decode(item.read_bytes(), self.prepare.background)
        if isinstance(picture, Drop):
            yield picture
        else:
            yield {"image": pictures.resize_square(picture, self.model.size)}

    def encoding_settings(self) -> dict[str, Any]:
        return super().encoding_settings() | {"size": self.model.size}

    def collate(self, examples: list[Example]) -> Batch:
        if "codes" in examples[0]:
            return {"codes": torch.from_numpy(np.stack([example["codes"] for example in examples])).long()}
        return {"data": to_network(np.stack([example["image"] for example in examples]))}

    def candidates(self, facts: Nothing, splits: Splits, device: torch.device) -> list[ModelConfig]:
        widths = (32, 64) if self.model.prior.width is None else (self.model.prior.width,)
        return [
            ModelConfig(family=self.family, network={"width": width}, title=f"{width} wide", least_steps=20)
            for width in widths
        ]

    def parts(self, config: ModelConfig, facts: Nothing) -> list[Part]:
        settings, length = self.model.codec, (self.model.size // SHRINK) ** 2

        def codec(trained: Mapping[str, Family]) -> Family:
            return Codec(encoder(settings.width), decoder(settings.width), settings)

        def prior(trained: Mapping[str, Family]) -> Family:
            codes = codec_of(trained).codes
            return CodePrior(Decoder(network_for(1, config.network["width"], length, codes + 1)), codes, length)

        return [
            Part("codec", codec, batch=16, share=0.4, source=settings.from_),
            Part("prior", prior, batch=8, share=0.6, source=self.model.prior.from_, derive=self.codes_of, main=True),
        ]

    def codes_of(self, trained: Mapping[str, Family], examples: Sequence[Example]) -> Iterator[Example]:
        codec = codec_of(trained)
        device = next(codec.modules.parameters()).device
        for code_T in codec.encode(self.collate(list(examples))["data"].to(device)).cpu().numpy():
            yield {"codes": code_T.astype(np.uint16)}

    def preview(self, model: Model, engine: Engine, splits: Splits, file_stem: Path) -> Path:
        file = file_stem.with_name(file_stem.name + ".png")
        pictures.save_png(pictures.grid(list(drawn(model, engine, 8, 0)), columns=4), file)
        return file

    def score(
        self, model: Model, splits: Splits, settings: EvaluateSettings, train_judge: TrainJudge, folder: Path
    ) -> ScoreSheet:
        """How far the mean colour is from that of the training pictures."""
        name, held_out = splits.held_out()
        made = np.stack(list(drawn(model, Engine(), settings.samples, settings.seed)))
        shown = {"floor": np.zeros_like(made), "model": made, "real": images(held_out)}
        mean_C = images(splits["train"]).mean((0, 1, 2))
        pictures.save_png(pictures.grid(list(made[:16]), columns=4), folder / "samples.png")
        return ScoreSheet(
            metrics=[
                Metric(name="colour", title="Colour", better="lower", description="Distance of the mean colours.")
            ],
            rows=[
                Row(
                    name=row,
                    title=row,
                    kind=row,
                    scores={"colour": Score(value=distance(images, mean_C), n=len(images))},
                )  # type: ignore[arg-type]
                for row, images in shown.items()
            ],
            protocol={"held_out": name, "samples": len(made)},
            exhibits=[Exhibit(name="samples", title="Samples", file="samples.png")],
            headline=f"The colours of {len(made)} samples are {distance(made, mean_C):.1f} away from the data's.",
        )

    def answer(self, model: Model, request: Any, engine: Engine) -> Iterator[Media]:
        controls = controls_of(request, model.family.Controls)
        for index, image_HWC in enumerate(drawn(model, engine, request.n, request.seed, controls)):
            yield Media("image", Image.fromarray(image_HWC), index)


def codec_of(parts: Mapping[str, Family]) -> Codec:
    codec = parts["codec"]
    assert isinstance(codec, Codec)
    return codec


def drawn(
    model: Model, engine: Engine, count: int, seed: int, controls: BaseModel | None = None
) -> Iterator[np.ndarray]:
    """New pictures, uint8[S, S, 3]: the prior's codes by the engine, then what the codec makes of them."""
    controls = controls or model.family.Controls()
    session = model.session()
    streams = [request_stream(seed, index) for index in range(count)]
    outputs = [engine.submit(session, lambda s, rng=rng: s.start(None, rng, controls)) for rng in streams]
    for output in outputs:
        (code_T,) = output
        with torch.inference_mode():
            data_BCHW = codec_of(model.parts).decode(code_T[None].to(model.device))
        yield to_bytes(data_BCHW)[0]


def images(store: Any) -> np.ndarray:
    return np.stack([store[index]["image"] for index in range(len(store))])


def distance(image_NHWC: np.ndarray, mean_C: np.ndarray) -> float:
    return float(np.linalg.norm(image_NHWC.mean((0, 1, 2)) - mean_C))
