"""restyle's score sheet: what carries over truly is nearer than the picture as it is and than its colours matched, what does nothing is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from genwright.families.base import Family
from genwright.ledger import Item
from genwright.media.image import resize_square
from genwright.model import Model
from genwright.model_folder import build_parts
from genwright.recipe import EvaluateSettings, parse
from genwright.scores import ScoreSheet
from genwright.shards import ExampleStore, write_part
from genwright.tasks.base import Splits
from genwright.tasks.restyle import colours, material, scores
from genwright.tasks.restyle.facts import RestyleFacts
from genwright.tasks.restyle.task import Restyle
from genwright.tasks.restyle.verdict import verdict
from genwright.tasks.verdict import Training
from helpers.hands import drawings, turned

SETTINGS = EvaluateSettings.model_validate({"samples": 24})


def pictures() -> list[tuple[str, np.ndarray]]:
    found = []
    for name, plain, _ in drawings():
        sheet = Image.new("RGBA", plain.size, "white")
        sheet.alpha_composite(plain)
        found.append((name, resize_square(np.asarray(sheet.convert("RGB")), 16)))
    return found


def splits_of(folder: Path, paired: bool, pair: bool = True) -> Splits:
    """40 drawings to learn from, 24 held out; two sets have the field `pair`, or not."""
    parts: dict[str, list[tuple[str, dict[str, np.ndarray]]]] = {"train": [], "validation": [], "test": []}
    items: dict[str, Item] = {}
    for place, (name, image) in enumerate(pictures()):
        split = "train" if place < 40 else "test"
        hands = (
            [("", {"source": image, "image": turned(image)})]
            if paired
            else [("a", {"image": image}), ("b", {"image": turned(image)})]
        )
        for hand, shown in hands:
            own = f"{name} {hand}".strip()
            style = np.array([hand == "b"], np.int32)
            parts[split].append(
                (own, {name: np.ascontiguousarray(one) for name, one in shown.items()} | {"style": style})
            )
            items[own] = Item(own, "folder:x", f"{own}.png", fields={"pair": name} if pair else {}, group=name)
    for split, rows in parts.items():
        write_part(folder / split, rows)
    stores = {split: ExampleStore([folder / split]) for split in parts} | {"judge": ExampleStore([])}
    return Splits(stores, items, hash="h")


def model_of(paired: bool) -> Model:
    recipe = parse("task: restyle\ndata: {sources: [{folder: .}]}\nmodel: {size: 16, width: 16, a: plain, b: turned}")
    task = Restyle(recipe.prepare, recipe.model, "flow")
    facts = RestyleFacts(paired, ["turned"] if paired else ["plain", "turned"], 40)
    (config,) = task.candidates(facts, Splits({}), torch.device("cpu"))
    return Model(task, config, facts, build_parts(task, config, facts, torch.device("cpu")), torch.device("cpu"))


def untaught(judge: Family, batches: Any, steps: int) -> None:
    """A judge that learns nothing: what is tested here is what it is shown."""


def sheet_of(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    made: Callable[[np.ndarray], np.ndarray],
    paired: bool = True,
    **how: bool,
) -> ScoreSheet:
    """The sheet of a model that makes of each picture what a function does."""

    def restyled(
        model: Model, engine: Any, sources: np.ndarray, styles: Any, *others: Any, **more: Any
    ) -> Iterator[np.ndarray]:
        assert len(sources) == len(styles)
        return iter([made(one) for one in sources])

    monkeypatch.setattr(scores, "restyled", restyled)
    out = folder / "out"
    out.mkdir()
    sheet = scores.score(model_of(paired), splits_of(folder, paired, **how), SETTINGS, untaught, out)
    assert (out / sheet.exhibits[0].file).stat().st_size
    return sheet


@pytest.mark.parametrize("paired", [True, False])
def test_the_true_drawing_is_nearer_than_what_needs_no_learning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paired: bool
):
    sheet = sheet_of(tmp_path, monkeypatch, turned, paired)
    assert [row.kind for row in sheet.rows] == ["floor", "baseline", "model", "real"]
    for name in ("perceptual", "pixels"):
        assert sheet.score("model", name).value == sheet.score("real", name).value == 0  # type: ignore[union-attr]
        for row in ("floor", "colours"):
            ahead, own = sheet.score("model", f"{name}_gain_{row}"), sheet.score(row, name)
            assert ahead and own and ahead.value == pytest.approx(own.value) and (ahead.low or 0) > 0
    assert sheet.score("floor", "content").value == 1  # type: ignore[union-attr]
    assert sheet.protocol["held_out_n"] == sheet.protocol["held_out_in_all"] == 24
    assert "nearer to its true drawing than the picture as it is" in sheet.headline
    assert verdict(sheet, Training(), "flow").grade == "good"
    exhibit = sheet.exhibits[0]
    assert exhibit.across == 12 and len(exhibit.words) == 72 and exhibit.words[:12] == exhibit.words[12:24]


def test_what_does_nothing_is_no_nearer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sheet = sheet_of(tmp_path, monkeypatch, lambda image: image)
    ahead = sheet.score("model", "perceptual_gain_floor")
    assert ahead and ahead.value == ahead.low == ahead.high == 0
    assert "no nearer than the picture as it is" in sheet.headline
    assert verdict(sheet, Training(), "flow").grade == "useless"


def test_the_wrong_picture_in_the_right_hand_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one = turned(pictures()[0][1])
    sheet = sheet_of(tmp_path, monkeypatch, lambda image: one)
    kept, natural = sheet.score("model", "content"), sheet.score("real", "content")
    assert kept and natural and kept.value < 0.1 < natural.value
    assert verdict(sheet, Training(), "flow").grade == "useless"


def test_without_true_drawings_sets_alone_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sheet = sheet_of(tmp_path, monkeypatch, turned, paired=False, pair=False)
    assert sheet.score("model", "perceptual") is None and sheet.score("model", "kid") is not None
    assert sheet.headline.startswith("No true drawings in the other hand are known")
    assert "true" not in sheet.exhibits[0].caption and len(sheet.exhibits[0].words) == 48


def test_of_what_belongs_together_one_is_measured(tmp_path: Path):
    splits = splits_of(tmp_path, paired=True)
    for item in splits.items.values():
        item.group = "one" if item.id < "1f400" else item.id
    found = material.gather(splits, RestyleFacts(True, ["turned"], 40), 0, 100)
    ids = set(splits["test"].ids)
    assert len(found.held_out) == len([own for own in ids if own >= "1f400"]) + any(own < "1f400" for own in ids)
    assert len({one.group for one in found.held_out}) == len(found.held_out) == len(found.real) == found.in_all
    assert len(found.training_sources) == len(found.training_drawings) == 40


def test_colours_are_matched_rank_by_rank():
    """Values 0..127, each as often, to twice as much; white stays white."""
    source = np.repeat(np.arange(128, dtype=np.uint8)[:, None], 3, axis=1).reshape(1, 8, 16, 3)
    table = colours.matching(source, source * 2)
    assert np.array_equal(colours.matched(source, table), source * 2)
    white = np.full((1, 8, 16, 3), 255, np.uint8)
    both = [np.concatenate([images, white]) for images in (source, source * 2)]
    assert np.array_equal(colours.matched(white, colours.matching(*both)), white)


def test_too_few_are_said_to_be_too_few(tmp_path: Path):
    for split in ("train", "validation", "test"):
        write_part(tmp_path / split, [])
    splits = Splits({name: ExampleStore([tmp_path / name]) for name in ("train", "validation", "test")}, hash="h")
    sheet = scores.score(model_of(True), splits, SETTINGS, untaught, tmp_path)
    assert sheet.headline.startswith("Nothing can be said") and verdict(sheet, Training(), "flow").grade == "weak"
