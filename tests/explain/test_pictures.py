"""From a picture to the training pictures nearest to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from genwright import recipe as recipes
from genwright.errors import RequestError
from genwright.explain.view import explain_nearest
from genwright.ledger import leaves, read
from genwright.model_folder import build_task
from genwright.run import Run, write_atomic
from genwright.stages.collect import stage as collect
from genwright.stages.prepare import stage as prepare
from helpers import ASSETS


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = Run(tmp_path_factory.mktemp("explain") / "run")
    source = {"folder": str(ASSETS / "pictures"), "include": ["*.png"]}
    recipe = recipes.parse(json.dumps({"task": "draw", "data": {"sources": [source]}, "model": {"size": 32}}))
    task = build_task(recipe)
    write_atomic(made.recipe, recipe.to_yaml())
    collect.run(recipe, made, task=task, offline=True)
    prepare.run(recipe, made, task=task)
    return made


def test_a_training_picture_is_nearest_to_itself_and_shown(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    item = next(item for item in leaves(read(run.stage("collect") / "ledger.parquet")) if item.split == "train")
    file = ASSETS / "pictures" / item.path
    explain_nearest(run.folder, None, file, 3, True)
    told = json.loads(capsys.readouterr().out)
    first, second, third = told["nearest"]
    assert (first["path"], first["item"]) == (item.path, item.id) and first["distance"] == pytest.approx(0, abs=0.01)
    assert 1 < second["distance"] <= third["distance"] and told["searched"] == told["pictures"] > 30
    with Image.open(told["sheet"]) as sheet:
        assert sheet.width == 2 * 128 + 3 * 8
    explain_nearest(run.folder, str(file), None, 2, False)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("1. ") and item.path in said[0] and said[-1] == told["sheet"]


def test_what_is_no_picture_is_one_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("no picture")
    for file, said in (
        (tmp_path / "note.png", "no picture that can be read"),
        (tmp_path / "none.png", "can't be read"),
    ):
        with pytest.raises(RequestError, match=f"{file.name}: {said}"):
            explain_nearest(run.folder, None, file, 3, False)
    with pytest.raises(RequestError, match="learned from pictures; say which"):
        explain_nearest(run.folder, None, None, 3, False)
