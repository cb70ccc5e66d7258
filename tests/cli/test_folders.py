"""A folder in the place of a file: `genwright generate RUN pictures --fix noise --out mended`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import ASSETS
from helpers.contract import genwright
from helpers.repairing import hole, repair_folder, texture


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repair_folder(tmp_path_factory.mktemp("model") / "repair")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("one", "two"):
        Image.fromarray(texture(37, 50)).save(folder / f"{name}.png")
    (folder / "notes.txt").write_text("not a picture")
    return folder


def test_every_picture_is_mended_under_its_own_name(
    model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "mended"
    assert genwright("generate", model, pictures, "--fix", "noise", "--out", out) == 0
    assert sorted(file.name for file in out.iterdir()) == ["one.png", "two.png"]
    assert capsys.readouterr().out.split() == [str(out / "one.png"), str(out / "two.png")]
    assert genwright("generate", model, pictures, "--fix", "noise", "--out", out) == 0
    assert sorted(file.name for file in out.iterdir()) == ["one-0000.png", "one.png", "two-0000.png", "two.png"]


def test_masks_stand_in_a_folder_by_the_same_names(
    model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    masks, out = tmp_path / "masks", tmp_path / "mended"
    masks.mkdir()
    mask, white = hole(37, 50)
    mask.save(masks / "one.png")
    assert genwright("generate", model, pictures, "--mask", masks, "--steps", "1", "--out", out) == 1
    assert [file.name for file in out.iterdir()] == ["one.png"]
    assert np.array_equal(np.asarray(Image.open(out / "one.png"))[~white], texture(37, 50)[~white])
    said = capsys.readouterr().err
    assert "two.png: left out: --mask" in said and "1 picture of 2" in said


def test_one_that_is_broken_costs_itself_alone(
    model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (pictures / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(40))
    assert genwright("generate", model, pictures, "--fix", "noise", "--out", tmp_path / "mended") == 1
    assert len(list((tmp_path / "mended").iterdir())) == 2
    said = capsys.readouterr().err
    assert "cut.jpg: left out" in said and "Traceback" not in said


def test_where_it_may_not_go_is_said(model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for out in (pictures, tmp_path / "one.png"):
        assert genwright("generate", model, pictures, "--fix", "noise", "--out", out) == 2
        assert "another folder" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert genwright("generate", model, tmp_path / "empty", "--fix", "noise") == 2
    assert "no picture in it" in capsys.readouterr().err


def test_a_picture_alone_goes_where_out_says(model: Path, tmp_path: Path):
    shutil.copy(ASSETS / "pictures" / "1f34e.png", tmp_path / "broken.png")
    assert (
        genwright(
            "generate",
            model,
            tmp_path / "broken.png",
            "--fix",
            "noise",
            "--fix",
            "jpeg",
            "--out",
            tmp_path / "whole.png",
        )
        == 0
    )
    with Image.open(tmp_path / "whole.png") as made, Image.open(tmp_path / "broken.png") as before:
        assert made.size == before.size and made.info["fix"] == "noise jpeg"
