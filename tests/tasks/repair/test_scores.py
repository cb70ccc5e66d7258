"""The score sheet of `repair`: the same damaged pictures for every row, and paired intervals of what the model is ahead by."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genwright.ledger import Item
from genwright.model import Model
from genwright.recipe import EvaluateSettings
from genwright.scores import Metric, Row, Score, ScoreSheet
from genwright.shards import ExampleStore, write_part
from genwright.tasks.base import Splits
from genwright.tasks.repair import classical, masks, scores
from genwright.tasks.repair.damage import TRIALS, Trial, noisy
from genwright.tasks.repair.metrics import VARIED
from genwright.tasks.repair.task import Nothing
from genwright.tasks.repair.verdict import headline, verdict
from genwright.tasks.verdict import Training
from helpers import ASSETS
from helpers.repairing import repair_model

SETTINGS = EvaluateSettings(samples=4)  # type: ignore[call-arg]


@pytest.fixture(scope="module")
def model() -> Model:
    return repair_model()


@pytest.fixture(scope="module")
def splits(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Splits:
    folder = tmp_path_factory.mktemp("examples")
    rows = [json.loads(line) for line in (ASSETS / "pictures" / "emoji.jsonl").read_text("utf-8").splitlines()]
    stores = {}
    for split, some in (("train", rows[:12]), ("validation", []), ("test", rows[12:20])):
        items = [Item(row["image"], "s", row["image"], file=str(ASSETS / "pictures" / row["image"])) for row in some]
        write_part(folder / split, [(item.id, one) for item in items for one in model.task.encode(item, Nothing())])  # type: ignore[attr-defined]
        stores[split] = ExampleStore([folder / split])
    return Splits(stores)


def test_every_damage_is_scored_beside_the_ways_that_are_meant_for_it(model: Model, splits: Splits, tmp_path: Path):
    sheet = scores.score(model, splits, SETTINGS, tmp_path)
    assert [row.name for row in sheet.rows] == ["identity", "telea", "navier_stokes", "nlm", "model", "sample", "real"]
    assert {row.kind for row in sheet.rows} == {"floor", "baseline", "model", "real"}
    for trial in TRIALS:
        for row in ("identity", "model", "sample"):
            for measure in ("psnr", "ssim", "perceptual", "kid"):
                assert sheet.score(row, f"{measure}_{trial.name}") is not None
        gain, own, other = (
            sheet.score(row, f"{what}_{trial.name}")
            for row, what in (("model", "gain"), ("model", "psnr"), (trial.classical, "psnr"))
        )
        assert gain and own and other and gain.value == pytest.approx(own.value - other.value)
        assert gain.low is not None and gain.high is not None and gain.low <= gain.value <= gain.high
    assert sheet.score("telea", "psnr_noise") is None and sheet.score("nlm", "psnr_half") is None
    assert sheet.score("sample", VARIED.name) is not None
    assert sheet.protocol["samples"] == 4 and sheet.protocol["held_out_n"] == 4
    assert {exhibit.name for exhibit in sheet.exhibits} == {trial.name for trial in TRIALS}
    with Image.open(tmp_path / "half.png") as shown:
        assert shown.height > 4 * 64


def test_without_opencv_those_rows_are_left_out_and_it_is_said(
    model: Model, splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(classical, "find_spec", lambda name: None)
    monkeypatch.setattr(scores, "TRIALS", TRIALS[:1])
    sheet = scores.score(model, splits, SETTINGS, tmp_path)
    assert [row.name for row in sheet.rows] == ["identity", "model", "sample", "real"]
    assert "pip install 'genwright[repair]'" in capsys.readouterr().err
    assert scores.score(model, splits, SETTINGS, tmp_path).rows == sheet.rows
    gain, own, other = (
        sheet.score(row, name)
        for row, name in (("model", "gain_half"), ("model", "psnr_half"), ("identity", "psnr_half"))
    )
    assert gain and own and other and gain.value == pytest.approx(own.value - other.value)


def test_too_little_held_out_is_said(model: Model, splits: Splits, tmp_path: Path):
    none = Splits(splits.stores | {"test": splits["validation"]})
    sheet = scores.score(model, none, SETTINGS, tmp_path)
    assert "Nothing can be said" in sheet.headline and sheet.row("model").scores == {}
    assert verdict(sheet, Training()).grade == "weak"


def test_the_ways_of_old_do_what_they_are_for():
    image = np.asarray(Image.linear_gradient("L").resize((32, 32)).convert("RGB"))
    known = masks.box(32, np.random.default_rng(0))
    for way in ("telea", "navier_stokes"):
        found = classical.filled(np.where(known[..., None], image, np.uint8(0)), known, way)
        assert np.array_equal(found[known], image[known])
        assert np.abs(found.astype(int) - image).mean() < np.abs(scores.flat(image, known).astype(int) - image).mean()
    assert np.array_equal(classical.filled(image, np.zeros_like(known), "telea"), image)
    broken = noisy(image, 20, np.random.default_rng(1))
    error = np.abs(classical.denoised(broken, 20).astype(int) - image).mean()
    assert error < 0.6 * np.abs(broken.astype(int) - image).mean()


def test_the_strength_of_non_local_means_is_chosen_for_the_damage():
    images = np.stack([np.asarray(Image.radial_gradient("L").resize((32, 32)).convert("RGB"))] * 3)
    weak, strong = (
        scores.best_strength(
            Trial("t", "t", "nlm", lambda image, rng, d=deviation: {"seen": noisy(image, d, rng)}), images, 0
        )
        for deviation in (2, 30)
    )
    assert weak < strong


def _sheet(held_out: int = 40, **gain: tuple[float, float, float]) -> ScoreSheet:
    cells = {
        f"gain_{name}": Score(value=value, low=low, high=high, n=held_out) for name, (value, low, high) in gain.items()
    }
    titles = {"half": "Telea's inpainting", "noise": "non-local means"}
    metrics = [
        Metric(name=f"gain_{name}", title=f"x: PSNR ahead of {other} (dB)", better="higher")
        for name, other in titles.items()
    ]
    row = Row(name="model", title="this model, mean", kind="model", scores=cells)
    return ScoreSheet(metrics=metrics, rows=[row], protocol={"held_out_n": held_out, "held_out_in_all": held_out})


def test_the_headline_says_how_far_it_is_ahead():
    said = headline(_sheet(half=(3.14, 2.5, 3.7), noise=(-1.0, -1.5, -0.5)))
    assert (
        "Half missing: its mean answer is 3.1 dB nearer to the true picture than Telea's inpainting (2.5 to 3.7)."
        in said
    )
    assert (
        "1.0 dB further from the true picture than non-local means" in said
        and "surely ahead at 1 and behind at 1." in said
    )
    assert "Too few" in headline(_sheet(held_out=5, half=(3.0, 2.0, 4.0)))


@pytest.mark.parametrize(
    ("half", "noise", "grade"),
    [
        ((3.0, 2.0, 4.0), (2.0, 1.0, 3.0), "good"),
        ((3.0, 2.0, 4.0), (0.1, -0.4, 0.6), "weak"),
        ((0.2, -0.5, 0.7), (0.1, -0.4, 0.6), "useless"),
        ((-3.0, -4.0, -2.0), (-2.0, -3.0, -1.0), "useless"),
    ],
)
def test_the_verdict_goes_by_intervals(half: tuple[float, float, float], noise: tuple[float, float, float], grade: str):
    found = verdict(_sheet(half=half, noise=noise), Training(passes=10, falling=True))
    assert found.grade == grade
    assert grade != "weak" or "noise of 25" in found.why
