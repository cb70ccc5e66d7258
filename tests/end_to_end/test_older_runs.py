"""Runs and model folders that an older Genwright made (tests/assets/runs) still open: they generate, report and train on."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from genwright.cli.app import main
from genwright.run import Run, read_json
from helpers.old_runs import OLD, old_run

FINISHED = ("write", "chat", "complete", "draw-gan", "draw-vae")
UNFINISHED = ("write-unfinished", "draw-gan-unfinished")
EXPECTED: dict[str, Any] = json.loads((OLD / "expected.json").read_text(encoding="utf-8"))


def genwright(*arguments: object) -> None:
    """A command that must succeed."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        assert end.code in (0, None)


@pytest.fixture(params=FINISHED)
def finished(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    return old_run(request.param, tmp_path)


@pytest.mark.parametrize("whole", [True, False], ids=["run", "model folder"])
def test_it_generates_what_it_did(finished: Run, whole: bool, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    if whole:
        place = finished.folder
    else:
        place = Path(shutil.copytree(finished.stage("export"), tmp_path / "elsewhere"))
    for asked in EXPECTED["generate"][finished.name]:
        arguments = [str(tmp_path / "out") if word == "OUT" else word for word in asked["arguments"]]
        capsys.readouterr()
        genwright("generate", place, *arguments)
        said = capsys.readouterr().out
        if "stdout" in asked:
            assert said == asked["stdout"]
            continue
        for file, picture in zip(said.split("\n"), asked["pictures"], strict=False):
            before = np.frombuffer(base64.b64decode(picture["rgb_base64"]), np.uint8).reshape(16, 16, 3)
            now = np.asarray(Image.open(file).convert("RGB"))
            assert np.abs(now.astype(int) - before.astype(int)).max() <= 1  # rounding differs between processors


def test_it_is_reported(finished: Run) -> None:
    (finished.folder / "report.html").unlink(missing_ok=True)
    genwright("report", finished.folder)
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    headline = EXPECTED["scores"][finished.name]["headline"]
    assert headline.split(".")[0][:30] in page


def test_it_is_up_to_date_and_trains_on(finished: Run, capsys: pytest.CaptureFixture) -> None:
    weights = (finished.stage("export") / "model.safetensors").read_bytes()
    genwright("run", finished.folder, "--device", "cpu", "--offline")
    said = capsys.readouterr().err
    for stage in ("prepare", "train", "evaluate", "export"):
        assert f"{stage:<10}up to date" in said
    assert (finished.stage("export") / "model.safetensors").read_bytes() == weights
    genwright("run", finished.folder, "--device", "cpu", "--offline", "--more", "5 steps")
    assert read_json(finished.stage("train") / "stage.json")["summary"]["steps"] == 35
    assert (finished.stage("export") / "model.safetensors").read_bytes() != weights


@pytest.mark.parametrize("name", UNFINISHED)
def test_an_unfinished_training_is_refused_and_kept(name: str, tmp_path: Path) -> None:
    """Its data order was drawn by another rule, so going on would be neither the old training nor a new one."""
    run = old_run(name, tmp_path)
    train = run.stage("train")
    kept = [*train.rglob("*.safetensors"), *train.rglob("metrics.jsonl")]
    before = {file: file.read_bytes() for file in kept}
    assert len(before) >= 3
    with pytest.raises(SystemExit) as end:
        main(["train", str(run.folder), "--device", "cpu"])
    assert end.value.code == 2
    assert all(file.read_bytes() == content for file, content in before.items())
    genwright("train", run.folder, "--device", "cpu", "--fresh", "--anyway")
    assert read_json(train / "stage.json")["summary"]["steps"] == 30
