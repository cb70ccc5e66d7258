"""`restyle` from a folder: what `genwright new` writes, a run by pairs from one end to the other, and what is refused on the way."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

import genwright as gw
from genwright import recipe
from genwright.errors import RequestError
from genwright.request import Blob
from genwright.survey.command import new
from helpers.hands import write_hands

TINY = {
    "model.size": 16,
    "model.width": 16,
    "train.budget": "12 steps",
    "train.batch": 4,
    "train.precision": "fp32",
    "train.compile": "off",
    "train.previews": 1,
    "evaluate.samples": 6,
}


def loaded(folder: Path) -> recipe.Recipe:
    return recipe.load(new(folder, task="restyle"))


def test_two_folders_of_the_same_names_are_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = loaded(write_hands(tmp_path / "data", same_names=True))
    (source,) = found.data.sources
    assert source["files"] == {"main": "plain/*.*", "target": "turned/*.*"}
    assert (found.model.a, found.model.b) == ("plain", "turned")


def test_two_folders_of_other_names_are_two_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = loaded(write_hands(tmp_path / "data", same_names=False))
    assert [(one["as"], one["include"]) for one in found.data.sources] == [("a", ["/plain/**"]), ("b", ["/turned/**"])]


def test_one_folder_or_three_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = write_hands(tmp_path / "data", same_names=True)
    (data / "third").mkdir()
    for shade in range(5):
        Image.new("RGB", (16, 16), (shade, 0, 0)).save(data / "third" / f"{shade}.png")
    for count, said in ((3, "3 folders"), (1, "1 folder ")):
        if count == 1:
            shutil.rmtree(data / "third")
            shutil.rmtree(data / "turned")
        with pytest.raises(RequestError, match=f"`restyle` tells 2 kinds of pictures apart, and they lie in {said}"):
            new(data, task="restyle")


def test_pairs_from_one_end_to_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = new(write_hands(tmp_path / "data", same_names=True), task="restyle")
    run = gw.run(file, overrides=TINY, anyway=True, device="cpu")
    assert {"floor", "colours", "model", "real"} == {row.name for row in run.scores.rows}
    assert run.scores.score("model", "perceptual_gain_floor") is not None
    (made,) = run.generate(
        picture=Blob(name="picture.png", data=(tmp_path / "picture.png").read_bytes()), style="turned"
    )
    assert made.image.size == (16, 16) and made.image.mode == "RGBA" and made.metadata["style"] == "turned"


@pytest.mark.parametrize("family", ["flow", "cycle"])
def test_a_style_of_one_picture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    monkeypatch.chdir(tmp_path)
    data = write_hands(tmp_path / "data", same_names=False)
    file = new(data, task="restyle")
    for picture in sorted((data / "turned").iterdir())[1:]:
        picture.unlink()
    with pytest.raises(
        RequestError, match=r"1 with `as: b`, which takes about 40; add data, or train on it all the same"
    ):
        gw.run(file, overrides={**TINY, "model.family": family}, device="cpu")


def test_sources_without_another_hand_are_refused(tmp_path: Path) -> None:
    data = write_hands(tmp_path / "data", same_names=True)
    (tmp_path / "r.yaml").write_text(f"task: restyle\ndata: {{sources: [{{folder: {data / 'plain'}}}]}}\n")
    with pytest.raises(RequestError, match=r"0 with `as: a`.*0 with `as: b`"):
        gw.run(tmp_path / "r.yaml", run_dir=tmp_path / "run", device="cpu")
