"""Text-picture agreement of real emoji with their names, and what is said where it can't be measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genwright.media.image import resize_square
from genwright.metrics import features, meaning
from genwright.tasks.image import agreement
from genwright.tasks.image.agreement import Captioned, measure
from helpers import ASSETS

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path))


def emoji() -> Captioned:
    rows = [json.loads(line) for line in (ASSETS / "pictures" / "emoji.jsonl").read_text(encoding="utf-8").splitlines()]
    images = []
    for row in rows:
        picture = Image.open(ASSETS / "pictures" / row["image"]).convert("RGBA")
        sheet = Image.new("RGBA", picture.size, "white")
        sheet.alpha_composite(picture)
        images.append(resize_square(np.asarray(sheet.convert("RGB")), 32))
    return Captioned(np.stack(images), [row["text"] for row in rows])


def test_of_pictures_that_the_judge_has_learned_the_words_are_found_again() -> None:
    shown = emoji()
    blank = np.full_like(shown.images, 255)
    found = measure(shown, shown, {"model": shown.images[::-1].copy(), "copy": shown.images, "blank": blank}, CPU, 0)
    values = {name: score.value for name, score in found.rows.items()}
    assert values["real"] == values["copy"] > 0.9
    assert max(values[name] for name in ("floor", "model", "blank")) < 0.1
    assert found.rows["real"].n == len(set(shown.words))
    assert meaning.EXTRACTOR in found.protocol["agreement"] and features.NAME in found.protocol["agreement"]


def test_a_judge_that_learned_wrong_words_is_void_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    shown = emoji()
    wrong = Captioned(shown.images, [*shown.words[23:], *shown.words[:23]])
    found = measure(wrong, shown, {"model": shown.images}, CPU, 0)
    assert found.rows == {} and found.protocol["agreement"].startswith("void: true pairs are found")
    assert "below 5 times chance" in capsys.readouterr().err


def test_where_it_cannot_be_measured_the_protocol_says_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = emoji()
    few = Captioned(shown.images[:10], shown.words[:10])
    assert "a judge needs 30 pictures" in measure(few, shown, {}, CPU, 0).protocol["agreement"]
    monkeypatch.setattr(agreement.meaning, "available", lambda: False)
    found = measure(shown, shown, {}, CPU, 0)
    assert found.rows == {} and "not installed" in found.protocol["agreement"]
    assert "pip install 'genwright[metrics-text]'" in capsys.readouterr().err
