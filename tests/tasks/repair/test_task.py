"""What `repair` learns from: whole pictures and pieces of large ones, and how much of them is enough."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from genwright.about import Survey
from genwright.ledger import Drop, Item
from genwright.registry import about
from genwright.tasks.repair.options import MOST_CROPS, crops_of
from genwright.tasks.repair.task import Nothing, Repair
from helpers.repairing import SIDE, repair_model


def _item(width: int, height: int, file: str | None = None) -> Item:
    return Item(id="a", source="s", path="a.png", width=width, height=height, sha256="ab", file=file)


@pytest.fixture
def encoded(tmp_path: Path) -> Callable[..., list[Any]]:
    def of(picture: Image.Image, **prepare: Any) -> list[Any]:
        task = repair_model(**prepare).task
        assert isinstance(task, Repair)
        picture.save(tmp_path / "a.png")
        return list(task.encode(_item(*picture.size, str(tmp_path / "a.png")), Nothing()))

    return of


def test_a_small_picture_is_one_example_and_a_large_one_many(encoded: Callable[..., list[Any]]):
    ramp = Image.linear_gradient("L").convert("RGB")
    assert len(encoded(ramp.resize((32, 32)))) == 1
    found = encoded(ramp.resize((400, 300)))
    assert len(found) == 1 + 400 * 300 // (16 * SIDE**2) and all(one["image"].shape == (SIDE, SIDE, 3) for one in found)
    assert len({one["image"].tobytes() for one in found}) > 0.8 * len(found)
    assert len(encoded(ramp.resize((400, 300)), crops=3)) == 4 and len(encoded(ramp.resize((400, 300)), crops=0)) == 1


def test_pieces_are_of_several_scales_and_the_same_every_time(encoded: Callable[..., list[Any]]):
    ramp = Image.linear_gradient("L").resize((300, 300))
    first, again = encoded(ramp, crops=40), encoded(ramp, crops=40)
    assert all(np.array_equal(one["image"], two["image"]) for one, two in zip(first, again, strict=True))
    spans = [int(one["image"].max()) - int(one["image"].min()) for one in first[1:]]
    assert min(spans) < 30 and max(spans) > 80


def test_a_picture_that_can_not_be_used_is_dropped(encoded: Callable[..., list[Any]]):
    (dropped,) = encoded(Image.new("RGB", (4, 4)))
    assert isinstance(dropped, Drop) and dropped.reason == "too_small"


def test_how_many_pieces():
    assert crops_of(4000, 3000, 64, None) == 183 and crops_of(20_000, 10_000, 64, None) == MOST_CROPS
    assert crops_of(64, 4000, 64, 7) == 0 and crops_of(65, 65, 64, 7) == 7


def test_pieces_count_towards_what_is_enough_but_not_without_end():
    task = repair_model().task
    assert isinstance(task, Repair)
    assert task.amount(_item(20, 20)) == 1 and task.amount(_item(2000, 2000)) == 10


@pytest.mark.parametrize(
    ("pictures", "side", "enough", "size"),
    [(40, 64, False, 32), (60, 64, True, 32), (5, 3000, True, 64), (4, 3000, False, 64), (60, 16, True, 16)],
)
def test_what_new_says_of_a_folder(pictures: int, side: int, enough: bool, size: int):
    survey = Survey("f", "folder", media={"image": pictures}, median_width=side, median_height=side)
    judge = about("repair").verdict
    assert judge is not None
    found = judge(survey)
    assert (found.enough, found.settings) == (enough, {"size": size}) and found.items == pictures
    assert judge(Survey("f", "folder")).items == 0


def test_pictures_of_one_thing_stand_on_one_side():
    task, item = repair_model().task, _item(20, 20)
    assert isinstance(task, Repair) and task.group_key(item) == "ab"
    item.fields = {"text": "Red  Heart"}
    assert task.group_key(item) == "red heart"
