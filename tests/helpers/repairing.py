"""A small model of the task `repair` with random weights, in memory or as a model folder, and pictures to break."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from genwright.engine.engine import Engine
from genwright.media.base import Media
from genwright.model import Model
from genwright.model_folder import build_parts, save
from genwright.recipe import recipe_class
from genwright.request import Blob, checked, request_class
from genwright.tasks.base import Splits
from genwright.tasks.repair.task import Nothing, Repair

SIDE = 16


def repair_model(network: str = "unet", **prepare: Any) -> Model:
    torch.manual_seed(0)
    schema = recipe_class("repair", "flow").model_fields
    width = {"unet": 16, "transformer": 32}[network]
    asked = {"family": "flow", "size": SIDE, "width": width, "network": network}
    settings = schema["model"].annotation.model_validate(asked)  # type: ignore[union-attr]
    task = Repair(schema["prepare"].annotation.model_validate(prepare), settings, "flow")  # type: ignore[union-attr]
    (config,) = task.candidates(Nothing(), Splits({}), torch.device("cpu"))
    parts = build_parts(task, config, Nothing(), torch.device("cpu"))
    with torch.no_grad():
        for parameter in parts["model"].modules.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return Model(task, config, Nothing(), parts, torch.device("cpu"))


def repair_folder(place: Path) -> Path:
    save(repair_model(), place)
    (place / "README.md").write_text("A small model.\n", encoding="utf-8")
    return place


def mended(model: Model, **asked: Any) -> list[Media]:
    return list(model.task.answer(model, checked(request_class("repair", "flow"), asked), Engine()))


def blob(picture: Image.Image | bytes, name: str = "broken.png", form: str = "PNG", **how: Any) -> Blob:
    if isinstance(picture, bytes):
        return Blob(name=name, data=picture)  # type: ignore[call-arg]
    out = io.BytesIO()
    picture.save(out, form, **how)
    return Blob(name=name, data=out.getvalue())  # type: ignore[call-arg]


def texture(height: int, width: int, channels: int = 3, most: int = 255) -> np.ndarray:
    """A picture that no two pixels of are alike, uint8 or uint16[H, W, C]."""
    values = np.random.default_rng(3).integers(0, most + 1, (height, width, channels))
    return values.astype(np.uint8 if most == 255 else np.uint16)


def hole(height: int, width: int, left: int = 20, top: int = 10, side: int = 9) -> tuple[Image.Image, np.ndarray]:
    """A mask picture, and where it is white."""
    where = np.zeros((height, width), np.bool_)
    where[top : top + side, left : left + side] = True
    return Image.fromarray(np.where(where, 255, 0).astype(np.uint8)), where
