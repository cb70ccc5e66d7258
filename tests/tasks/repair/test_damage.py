"""What is done to pictures before a model learns to mend them: a pure function of the seed, and never of what is missing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from genwright.seeds import stream
from genwright.tasks.repair import damage, masks, seen
from helpers import ASSETS
from helpers.repairing import SIDE, repair_model


def heart(side: int = 32) -> np.ndarray:
    picture = Image.open(ASSETS / "pictures" / "1f34e.png").convert("RGBA")
    laid = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.asarray(laid.convert("RGB").resize((side, side)))


@pytest.mark.parametrize("mask", [masks.brush, masks.box, masks.half, masks.border])
def test_a_mask_leaves_some_and_takes_some(mask: masks.Mask):
    shares = [mask(32, stream("test", number)).mean() for number in range(40)]
    assert min(shares) > 0.02 and max(shares) < 1 and len(set(shares)) > (0 if mask is masks.half else 10)
    if mask is masks.half:
        assert set(shares) == {0.5}
    assert not masks.whole(32, stream("test", 0)).any()


def test_damage_is_a_function_of_the_stream():
    image = heart()
    one, two, other = (damage.at_random(image, stream("test", number)) for number in (1, 1, 2))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert any(not np.array_equal(one[name], other[name]) for name in one)


def test_everything_that_can_be_told_occurs_alone_and_by_two():
    found = [damage.at_random(heart(16), stream("test", number)) for number in range(400)]
    told = {tuple(example["condition"].tolist()) for example in found}
    assert {(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (1, 3)} <= told
    missing = [not example["known"].all() for example in found]
    assert 0.4 < np.mean(missing) < 0.6
    for example, holes in zip(found, missing, strict=True):
        assert holes or example["condition"].any()


@pytest.mark.parametrize("trial", damage.TRIALS, ids=lambda trial: trial.name)
def test_a_trial_damages_and_tells_what(trial: damage.Trial):
    image = heart()
    example = trial.apply(image, stream("test"))
    if trial.classical == "telea":
        assert np.array_equal(example["seen"], image) and not example["known"].all() and not example["condition"].any()
    else:
        assert example["known"].all() and example["condition"].any() and not np.array_equal(example["seen"], image)


def test_what_is_missing_is_not_seen():
    image, known = heart(), masks.half(32, stream("test"))
    seen_1CHW = damage.beside(image[None], known[None].astype(np.uint8))
    changed = np.where(known[..., None], image, 255 - image)
    assert (seen_1CHW == damage.beside(changed[None], known[None].astype(np.uint8))).all()
    assert seen_1CHW.shape == (1, damage.CHANNELS, 32, 32) and (seen_1CHW[0, 3].numpy() == known).all()


def test_held_out_pictures_are_damaged_alike_every_time():
    task = repair_model().task
    examples = [{"image": heart(SIDE)}, {"image": 255 - heart(SIDE)}]
    one, two = task.collate(examples), task.collate(examples)  # type: ignore[attr-defined]
    assert one.keys() == {"data", "condition", "beside"}
    assert all((one[name] == two[name]).all() for name in one)
    augmented = task.augment(examples[0], stream("test", 5))  # type: ignore[attr-defined]
    assert {"image", "seen", "known", "condition"} == augmented.keys()
    assert task.collate([augmented])["beside"].shape == (1, 4, SIDE, SIDE)  # type: ignore[attr-defined]


def _large() -> np.ndarray:
    """A drawing of some colours with edges, 96 pixels wide."""
    rows = [json.loads(line)["image"] for line in (ASSETS / "pictures" / "emoji.jsonl").read_text("utf-8").splitlines()]
    tiles = [np.asarray(Image.open(ASSETS / "pictures" / name).convert("RGB").resize((32, 32))) for name in rows[:9]]
    return np.concatenate([np.concatenate(tiles[i : i + 3], 1) for i in (0, 3, 6)], 0)


def test_a_look_tells_noise_blocks_and_blur():
    image = Image.fromarray(_large()).resize((192, 192), Image.Resampling.BICUBIC)
    clean, rng = np.asarray(image), stream("test")
    assert seen.told(image)[1] == []
    assert seen.told(Image.fromarray(damage.noisy(clean, 20, rng)))[1] == ["noise"]
    assert seen.told(Image.fromarray(damage.compressed(clean, 10, (3, 5))))[1] == ["jpeg"]
    assert seen.told(Image.fromarray(damage.blurred(clean, 4)))[1] == ["blur"]
    assert 15 < seen.noise(seen.luma_of(Image.fromarray(damage.noisy(clean, 20, rng, grey=True)))) < 22
    assert seen.told(Image.new("RGB", (1, 1))) == ([], [])
