"""Nothing is written into a run before it is known to fit."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from genwright.cli.app import main
from genwright.run import Run
from helpers import ASSETS


@pytest.fixture
def finished(tmp_path: Path) -> Run:
    with tarfile.open(ASSETS / "runs" / "484daea" / "write.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    recipe = tmp_path / "write" / "recipe.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("/@DATA@", str(ASSETS)), encoding="utf-8")
    return Run(tmp_path / "write")


@pytest.mark.parametrize("command", ["run", "train", "plan", "collect"])
@pytest.mark.parametrize("change", ["model.width=96", "train.seed=5", "train.budget=2 steps"])
def test_a_refused_change_leaves_the_run_as_it_was(finished: Run, command: str, change: str) -> None:
    before = {
        f: f.read_bytes() for f in finished.folder.rglob("*") if f.is_file() and f.name not in ("lock", "log.txt")
    }
    with pytest.raises(SystemExit) as end:
        main([command, str(finished.folder), "--set", change, "--device", "cpu", "--offline"])
    assert end.value.code == 2
    assert {file: file.read_bytes() for file in before} == before


def test_another_task_is_refused_before_anything_is_written(finished: Run, tmp_path: Path, capsys) -> None:
    other = tmp_path / "chat.yaml"
    other.write_text(f"task: chat\ndata: {{sources: [{{folder: {ASSETS / 'chats'}}}]}}\n", encoding="utf-8")
    before = finished.recipe.read_bytes()
    with pytest.raises(SystemExit) as end:
        main(["run", str(other), "--run-dir", str(finished.folder), "--device", "cpu", "--offline"])
    assert end.value.code == 2 and "was made for the task write" in capsys.readouterr().err
    assert finished.recipe.read_bytes() == before
