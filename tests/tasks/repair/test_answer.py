"""Requests to mend a picture: what comes of them, and what is said where they can't be answered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from genwright.errors import RequestError
from genwright.model import Model
from genwright.request import request_class
from genwright.tasks.image import tiles
from helpers.repairing import SIDE, blob, hole, mended, repair_model, texture

PICTURE = blob(Image.fromarray(texture(37, 50)), "broken.png")
MASK = blob(hole(37, 50)[0], "mask.png")


@pytest.fixture(scope="module")
def model() -> Model:
    return repair_model()


def _made(model: Model, **asked: Any) -> np.ndarray:
    few = (
        {} if (asked.get("fix") and asked.get("answer") != "sample") or asked.get("answer") == "mean" else {"steps": 2}
    )
    (made,) = mended(model, picture=PICTURE, **few, **asked)
    return np.asarray(made.data).astype(int)


def test_the_same_seed_gives_the_same_picture_alone_and_with_others(model: Model):
    several = mended(model, picture=PICTURE, mask=MASK, n=2, seed=5, steps=2)
    assert np.array_equal(np.asarray(several[0].data), _made(model, mask=MASK, seed=5))
    assert not np.array_equal(np.asarray(several[0].data), np.asarray(several[1].data))
    assert [made.metadata["index"] for made in several] == [0, 1] and several[0].metadata["answer"] == "sample"


def test_a_box_is_a_mask(model: Model):
    assert np.array_equal(_made(model, box="20,10,9,9"), _made(model, mask=MASK))


def test_a_mask_with_a_fix_says_where(model: Model):
    white, original = hole(37, 50)[1], np.asarray(Image.fromarray(texture(37, 50))).astype(int)
    found = _made(model, mask=MASK, fix=["noise"])
    assert np.array_equal(found[~white], original[~white]) and not np.array_equal(found[white], original[white])
    # What is to be denoised is seen by the network, what is to be filled is not.
    assert not np.array_equal(found, _made(model, mask=MASK, answer="mean"))


def test_what_is_to_be_mended_and_the_answer_matter(model: Model):
    noise, blur, sample = (
        _made(model, **asked)
        for asked in ({"fix": ["noise"]}, {"fix": ["blur"]}, {"fix": ["noise"], "answer": "sample"})
    )
    assert not np.array_equal(noise, blur) and not np.array_equal(noise, sample)


def test_strength_goes_from_the_picture_to_what_is_found(model: Model):
    whole, half, original = (
        _made(model, fix=["noise"]),
        _made(model, fix=["noise"], strength=0.5),
        texture(37, 50).astype(int),
    )
    assert np.abs(half - (whole + original) / 2).max() <= 1.5


def test_a_larger_picture_is_asked_for(model: Model):
    (made,) = mended(model, picture=PICTURE, scale=2)
    assert made.data.size == (100, 74) and made.metadata["scale"] == 2
    (four,) = mended(model, picture=blob(Image.new("L", (3, 2), 90)), scale=4)
    assert four.data.size == (12, 8) and four.data.mode == "L"


def test_only_tiles_at_a_mask_are_worked_on(model: Model, monkeypatch: pytest.MonkeyPatch):
    batches, foreseen = [], tiles.Work._foreseen

    def counted(self: tiles.Work, *rest: Any) -> Any:
        batches.append(len(self.wanted[rest[1]]))
        return foreseen(self, *rest)

    monkeypatch.setattr(tiles.Work, "_foreseen", counted)
    mended(model, picture=blob(Image.fromarray(texture(200, 200))), box="100,100,4,4", answer="mean")
    assert 1 <= sum(batches) <= 4


def test_a_picture_of_one_pixel_is_mended(model: Model):
    (made,) = mended(model, picture=blob(Image.new("RGB", (1, 1), "red")), fix=["noise"])
    assert made.data.size == (1, 1)


def test_a_transformer_can_do_it():
    assert _made(repair_model("transformer"), mask=MASK).shape == (37, 50, 3)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, ["broken.png", "50 x 37", "`fix`", "`mask`"]),
        ({"mask": blob(Image.new("L", (50, 36), 255), "m.png")}, ["`mask`", "m.png", "50 x 36", "50 x 37"]),
        ({"mask": blob(Image.new("L", (50, 37), 0), "m.png")}, ["`mask`", "m.png", "marks nothing", "white"]),
        ({"box": "40,30,20,20"}, ["`box`", "50 x 37"]),
        ({"box": "0,0,0,9"}, ["`box`", "empty"]),
        ({"box": "a box"}, ["`box`", "x,y,width,height"]),
        ({"box": "0,0,9,9", "mask": MASK}, ["`mask`", "`box`"]),
        ({"scale": 2, "box": "0,0,9,9"}, ["`scale`"]),
        ({"fix": ["noise", "blur"], "scale": 2}, ["at most two"]),
        ({"fix": ["noise", "noise"]}, ["at most two"]),
        ({"fix": ["noise"], "n": 2}, ["`n`", "sample"]),
        ({"fix": ["noise"], "steps": 4}, ["`steps`", "sample"]),
        ({"mask": MASK, "strength": 0.5}, ["`strength`"]),
        ({"picture": blob(b"\x89PNG\r\n\x1a\n" + bytes(60), "cut.png"), "fix": ["noise"]}, ["`picture`", "cut.png"]),
    ],
)
def test_what_can_not_be_done_is_said(model: Model, asked: dict[str, Any], said: list[str]):
    with pytest.raises(RequestError) as refused:
        mended(model, **({"picture": PICTURE} | asked))
    assert all(word in str(refused.value) for word in said), refused.value
    assert str(refused.value).endswith(".")


def test_the_request_has_its_own_defaults_for_the_family_s_controls():
    fields = request_class("repair", "flow").model_fields
    assert fields["guidance"].default == 1 and fields["strength"].default == 1
    assert "fix" in (fields["strength"].description or "")


def test_tiles_leave_no_seam(model: Model):
    """Over a plain picture the middle of what tiles find is as at their edges: neighbours differ no more at a seam than elsewhere."""
    (made,) = mended(
        model,
        picture=blob(Image.new("RGB", (120, 60), (90, 140, 200))),
        fix=["noise"],
        answer="sample",
        steps=3,
        seed=1,
    )
    across = np.abs(np.diff(np.asarray(made.data).astype(float), axis=1)).mean((0, 2))
    stride = SIDE - SIDE // 4
    seams = np.array([place % stride in (SIDE // 4 - 1, stride - 1, 0) for place in range(len(across))])
    assert across[seams].mean() < 1.5 * across[~seams].mean()
