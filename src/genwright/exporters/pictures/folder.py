"""A model that draws as an ONNX folder, drawn with in onnxruntime by the very script that goes with it, and compared.

model.onnx       the network (graph.py)         pipeline.json   how it is asked
captions.json    the tokenizer of the words     drawing.py      draws with it, without Genwright
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

from genwright.engine.engine import Engine
from genwright.errors import RequestError, WorkError
from genwright.exporters.pictures import graph
from genwright.families.base import normal
from genwright.model import Model
from genwright.networks.text_encoder import PAD, START
from genwright.seeds import request_stream, stream
from genwright.tasks.image.facts import DrawFacts
from genwright.tasks.image.pixels import given_of

NETWORK, PIPELINE, TOKENIZER, SCRIPT = "model.onnx", "pipeline.json", "captions.json", "drawing.py"
TOLERANCE = 2e-3
"""How far a picture's values, in [-1, 1], may lie from ours in fp32: a quarter of a step of 8 bits."""
COMPARED = 4
"""Pictures that are drawn here and there."""


class PictureComparison(BaseModel):
    """One line of an export's record: how far a runtime drew what the model draws."""

    runtime: str
    version: str
    pictures: int
    largest_difference: float
    """Between values in [-1, 1]; a step of 8 bits is 0.0078."""
    notes: list[str] = []

    def __str__(self) -> str:
        said = f"{self.pictures} pictures drawn from the same noise, largest difference {self.largest_difference:.1g} on a scale from -1 to 1"
        return f"{self.runtime} {self.version}: {', '.join([said, *self.notes])}"

    def checked(self) -> PictureComparison:
        """Raises WorkError where the pictures lie further apart than rounding explains."""
        if not self.largest_difference <= TOLERANCE:
            raise WorkError(
                f"export: what {self.runtime} draws differs from ours by {self.largest_difference:.2g}, more than {TOLERANCE}; report this as a bug."
            )
        return self


@dataclass
class PictureWork:
    """An export under way."""

    name: str
    model: Model
    source: Path
    """The model folder that is written elsewhere."""
    kind: str
    folder: Path
    compared: list[PictureComparison]
    not_compared: list[str]

    @property
    def facts(self) -> DrawFacts:
        """Raises RequestError for a task that draws by other facts."""
        if not isinstance(self.model.facts, DrawFacts):
            raise RequestError(
                f"{self.source}: what `{self.model.task.name}` is asked for can't be written for other programs; its model folder is its export."
            )
        return self.model.facts

    @property
    def wordless(self) -> bool:
        """Whether it is of a task that tells its network ids which are no words."""
        return not isinstance(self.model.facts, DrawFacts)

    def ids(self, prompt: str) -> np.ndarray:
        """A prompt as the network is told it."""
        return np.zeros(self.model.task.condition_ids, np.int32) if self.wordless else self.facts.encode(prompt, prompt)

    def prompts(self) -> list[str]:
        """Words that both sides draw: labels or training captions, an empty one where there are none."""
        if self.wordless or self.facts.condition == "none":
            return [""]
        return self.facts.mix(COMPARED - 1, 0) or [""]


def write_folder(work: PictureWork) -> None:
    shapes = graph.shapes_of(work.model, len(work.ids("")))
    inputs = graph.write(work.model, shapes, work.folder / NETWORK)
    about = {
        "family": work.model.family.name,
        "network": NETWORK,
        "inputs": inputs,
        "noise": list(shapes.noise),
        "condition": _condition(work),
        "beside": shapes.beside,
        "defaults": _defaults(work.model),
    }
    (work.folder / PIPELINE).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if not work.wordless and work.facts.condition == "text":
        work.facts.captions.save(str(work.folder / TOKENIZER))
    shutil.copyfile(Path(__file__).with_name(SCRIPT), work.folder / SCRIPT)
    for name in ("README.md", "NOTICES.txt"):
        if (work.source / name).is_file():
            shutil.copyfile(work.source / name, work.folder / name)


def can_leave(model: Model) -> bool:
    """Whether what a model is asked for can be said outside: words or a label, or ids of a known number."""
    return isinstance(model.facts, DrawFacts) or model.task.condition_ids > 0


def _condition(work: PictureWork) -> dict[str, Any]:
    if work.wordless:
        return {"kind": "ids", "count": work.model.task.condition_ids}
    facts = work.facts
    if facts.condition == "text":
        return {"kind": "text", "tokenizer": TOKENIZER, "tokens": facts.tokens, "start": START, "pad": PAD}
    return {"kind": facts.condition, **({"labels": facts.labels} if facts.condition == "label" else {})}


def _defaults(model: Model) -> dict[str, Any]:
    """The controls that the script follows."""
    found = model.family.Controls().model_dump(mode="json")
    return {name: found[name] for name in ("truncation", "steps", "guidance", "solver") if name in found}


def compare(work: PictureWork, threads: int) -> PictureComparison:
    """Draws as a request would, here and in onnxruntime. Raises WorkError where the pictures are not the same."""
    import onnxruntime

    from genwright.exporters.pictures.drawing import Pipeline

    pipeline = Pipeline(work.folder, threads)
    worst, prompts = 0.0, work.prompts()
    for number, prompt in enumerate(prompts):
        also = _beside(pipeline.about, number)
        ours = drawn(work.model, work.ids(prompt), number, {}, also)
        noise = noise_of(pipeline.about["noise"], number)
        arrays = {name: value[None].numpy() for name, value in also.items()}
        theirs = pipeline.draw(noise.numpy()[None], pipeline.condition(prompt), **arrays)[0]
        worst = max(worst, float(np.abs(theirs - ours.numpy()).max()))
    return PictureComparison(
        runtime="onnxruntime", version=onnxruntime.__version__, pictures=len(prompts), largest_difference=worst
    ).checked()


def drawn(
    model: Model, condition_L: np.ndarray, seed: int, controls: Mapping[str, Any], also: Mapping[str, Tensor]
) -> Tensor:
    """Picture 0 of a seed as its session emits it, image_CHW."""
    given, chosen = {**given_of(condition_L), **also}, model.family.Controls.model_validate(controls)
    with torch.inference_mode():
        (image_CHW,) = Engine().submit(model.session(), lambda s: s.start(given, request_stream(seed, 0), chosen))
    return image_CHW


def noise_of(shape: list[int], seed: int) -> Tensor:
    """The noise of picture 0 of a seed."""
    return normal(tuple(shape), request_stream(seed, 0), torch.device("cpu"))


def _beside(about: Mapping[str, Any], seed: int) -> dict[str, Tensor]:
    if not about["beside"]:
        return {}
    values = stream(seed, "export", "beside").uniform(-1, 1, (about["beside"], *about["noise"][1:]))
    return {"beside": torch.from_numpy(values.astype(np.float32))}
