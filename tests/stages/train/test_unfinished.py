"""A training that is not finished can be tried: as its newest checkpoint has it, and it says so."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from genwright.api import Generator
from genwright.cli.app import main
from genwright.errors import RequestError
from helpers import ASSETS

OLD = ASSETS / "runs" / "484daea"


def old_run(name: str, folder: Path) -> Path:
    with tarfile.open(OLD / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    recipe = folder / name / "recipe.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("/@DATA@", str(ASSETS)), encoding="utf-8")
    return folder / name


def generate(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["generate", *map(str, arguments), "--device", "cpu"])
    return int(end.value.code or 0)


def test_text_of_a_training_that_was_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = old_run("write-unfinished", tmp_path)
    before = sorted(run.rglob("*"))
    assert generate(run, "The man", "--max-tokens", 8) == 0
    said = capsys.readouterr()
    assert said.out.startswith("The man")
    assert f"{run}: its training is not finished; this is step 10 of 30, its newest checkpoint." in said.err
    assert sorted(run.rglob("*")) == before, "nothing of the training is changed"


def test_pictures_of_one_and_a_sheet_with_their_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = old_run("draw-gan-unfinished", tmp_path)
    assert generate(run, "-n", 4, "--grid", "--out", tmp_path / "made") == 0
    files = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert len({file.name.rpartition("-")[0] for file in files}) == 5, "a mix: each is called by its own words"
    assert files[-1].name == "grid-0000.png"
    words = []
    for file in files[:-1]:
        with Image.open(file) as picture:
            words.append(picture.text["prompt"])  # type: ignore[attr-defined]
    assert "Food & Drink" in words
    with Image.open(files[-1]) as sheet:
        assert sheet.width == 2 * 128 + 3 * 8
    assert generate(run, "Food & Drink", "--out", "-", "--grid") == 2


def test_the_averages_stand_in_the_newest_checkpoint_as_in_the_best(tmp_path: Path) -> None:
    """Of a finished training both are the last step's, where no held-out loss chose another."""
    run = old_run("draw-gan", tmp_path)
    whole = Generator(run, "cpu")
    expected = [next(iter(whole.generate("Symbols", seed=seed))).data.tobytes() for seed in range(3)]
    for gone in ("model", "train/stage.json", "train/model/outcome.json"):
        shutil.rmtree(run / gone) if (run / gone).is_dir() else (run / gone).unlink()
    newest = Generator(run, "cpu")
    assert [next(iter(newest.generate("Symbols", seed=seed))).data.tobytes() for seed in range(3)] == expected


def test_where_there_is_nothing_yet_it_says_what_to_do(tmp_path: Path) -> None:
    run = old_run("write-unfinished", tmp_path)
    shutil.rmtree(run / "train" / "model" / "checkpoints")
    with pytest.raises(
        RequestError, match="has no checkpoint yet, so there is nothing to try; go on with `genwright run"
    ):
        Generator(run, "cpu").generate("x")
    (run / "train" / "plan.json").unlink()
    with pytest.raises(RequestError, match="its training has not begun"):
        Generator(run, "cpu").generate("x")
