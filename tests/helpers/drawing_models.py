"""Small models of `draw` with random weights, away from the zeros that training starts at."""

from __future__ import annotations

import json
from typing import Any

import torch

from genwright.ledger import Item
from genwright.model import Model
from genwright.model_folder import build_parts
from genwright.recipe import recipe_class
from genwright.tasks.base import Splits
from genwright.tasks.draw.task import Draw
from helpers import ASSETS


def emoji_items() -> list[Item]:
    folder = ASSETS / "pictures"
    rows = [json.loads(line) for line in (folder / "emoji.jsonl").read_text(encoding="utf-8").splitlines()]
    return [
        Item(
            id=str(number),
            source="folder:pictures",
            path=row["image"],
            file=str(folder / row["image"]),
            fields={"text": row["text"], "label": row["label"]},
        )
        for number, row in enumerate(rows)
    ]


def drawing_model(family: str, width: int = 16, **model: Any) -> Model:
    """`model` are settings of the recipe's `model` section."""
    torch.manual_seed(0)
    schema = recipe_class("draw", family).model_fields
    settings = schema["model"].annotation.model_validate({"family": family, "width": width, **model})  # type: ignore[union-attr]
    task = Draw(schema["prepare"].annotation.model_validate({}), settings, family)  # type: ignore[union-attr]
    facts = task.fit(emoji_items())
    (config,) = task.candidates(facts, Splits({}), torch.device("cpu"))
    parts = build_parts(task, config, facts, torch.device("cpu"))
    with torch.no_grad():
        for parameter in parts["model"].modules.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return Model(task, config, facts, parts, torch.device("cpu"), {"recipe": "abc123"})
