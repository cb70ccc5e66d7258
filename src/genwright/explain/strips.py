"""`genwright explain RUN "a red heart"`, `--between`, `--direction`: strips of pictures that show what a model makes of its words.

explain/attention/ between/ direction/      beside the model: a PNG for each that was asked for
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from genwright import model_folder as models
from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.media.image import save_png
from genwright.media.sheet import sheet
from genwright.model import Model
from genwright.run import Run, explained_of, model_folder, named, read_json
from genwright.shards import ExampleStore
from genwright.tasks.image import attention, steering
from genwright.tasks.image.facts import DrawFacts
from genwright.tasks.image.pixels import Pictures

_STEPS = 9
_FARTHEST = 2.0
"""Times the difference that a direction is, to either side."""
_CONDITIONS = 8
"""Captions of a label, and of all, whose means a direction lies between."""
_MOST_ACROSS = 12


def explain_drawing(
    folder: Path,
    prompt: str | None,
    between: tuple[str, str] | None,
    direction: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Draw a strip, save it and print where. Raises RequestError where the model can't, or doesn't know the words."""
    if between is not None and (direction is not None or prompt is not None):
        raise RequestError("--between goes from one prompt to another; leave out --direction and the prompt before it.")
    place = model_folder(named(folder))
    model = models.load(place, torch.device("cpu"))
    if not isinstance(model.facts, DrawFacts):
        raise RequestError(
            f"{folder}: a model of `{model.task.name}` draws nothing from words; for texts there is --nearest TEXT."
        )
    if between is not None:
        kind, name, tiles = "between", " to ".join(between), _between(model, between, seed)
    elif direction is not None:
        run = Run(place.parent)
        store = _training(run) if run.record("prepare") is not None else None
        kind, name = "direction", f"{prompt or 'nothing'} along {direction}"
        tiles = _along(model, prompt or "", direction, store, seed)
    else:
        kind, name = "attention", prompt or ""
        model.facts.prompt(name)  # says which words it never saw
        tiles = attention.look(model, Engine(), name, seed).tiles()
    file = explained_of(place) / kind / f"{_stem(name)}-{seed}.png"
    save_png(
        np.asarray(
            sheet([(Image.fromarray(one), words) for one, words in tiles], columns=min(len(tiles), _MOST_ACROSS))
        ),
        file,
    )
    told = {"model": str(place), "kind": kind, "strip": str(file), "seed": seed, "below": [words for _, words in tiles]}
    print(json.dumps(told, ensure_ascii=False) if as_json else file)


def _between(model: Model, prompts: tuple[str, str], seed: int) -> list[tuple[Pictures, str]]:
    start, stop = (model.facts.prompt(one) for one in prompts)
    strip = steering.between(model, Engine(), start, stop, seed, _STEPS)
    middle = [f"{share:.0%}" for share in np.linspace(0, 1, _STEPS)[1:-1]]
    return list(zip(strip, [prompts[0], *middle, prompts[1]], strict=True))


def _along(
    model: Model, prompt: str, direction: str, store: ExampleStore | None, seed: int
) -> list[tuple[Pictures, str]]:
    facts: DrawFacts = model.facts
    if facts.condition == "label" and not prompt:
        prompt = facts.labels[0]
    start = facts.prompt(prompt) if prompt else facts.encode("", "")
    those, others = _sides(facts, direction, store)
    amounts = np.linspace(-_FARTHEST, _FARTHEST, _STEPS).tolist()
    strip = steering.along(model, Engine(), start, those, others, seed, amounts)
    below = [f"{amount:+g} {direction}" if amount else prompt or "no words" for amount in amounts]
    return list(zip(strip, below, strict=True))


def _sides(facts: DrawFacts, direction: str, store: ExampleStore | None) -> tuple[np.ndarray, np.ndarray]:
    """The conditions that a direction leads to, and those that it leads away from: captions of a label and of all; without data, or for
    words that are no label, those words and none."""
    if facts.condition == "label":
        return facts.prompt(direction)[None], np.arange(len(facts.labels), dtype=np.int32)[:, None]
    label = facts.label_id(direction)
    if label < 0 or store is None:
        return facts.prompt(direction)[None], facts.encode("", "")[None]
    labels = np.array([int(store[row]["label"][0]) for row in range(len(store))])
    return _captions(store, np.flatnonzero(labels == label)), _captions(store, np.arange(len(store)))


def _captions(store: ExampleStore, rows: Sequence[int] | np.ndarray) -> np.ndarray:
    chosen = np.linspace(0, len(rows) - 1, min(_CONDITIONS, len(rows))).round().astype(int)
    return np.stack([store[int(rows[i])]["condition"] for i in chosen])


def _training(run: Run) -> ExampleStore:
    prepare = run.stage("prepare")
    return ExampleStore([prepare / "parts" / name for name in read_json(prepare / "index.json")["train"]])


def _stem(name: str) -> str:
    return re.sub(r"[^\w-]+", "-", name).strip("-")[:60] or "strip"
