"""A run's folder: who may write in it, and the log of what was said meanwhile."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from genwright import console
from genwright.cli.runs import remove
from genwright.console import progress, say
from genwright.errors import WorkError
from genwright.run import Run
from helpers.example_run import draw_run


def test_what_is_said_while_a_run_is_worked_on_stands_in_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "_PATIENCE_S", 0.0)
    run = Run(tmp_path / "emoji")
    say("before")
    with run.lock():
        say("collect: 3 offered = 3 kept")
        with progress("train", 10) as line:
            line.update(3)  # shown, and not kept
    assert "train  30%" in capsys.readouterr().err
    with pytest.raises(WorkError), run.lock():
        raise WorkError("train: stopped by SIGTERM at step 7 of 20.")
    say("after")
    lines = (run.folder / "log.txt").read_text(encoding="utf-8").splitlines()
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  "
    assert len(lines) == 2
    assert re.fullmatch(stamp + "collect: 3 offered = 3 kept", lines[0])
    assert re.fullmatch(stamp + "WorkError: train: stopped by SIGTERM at step 7 of 20[.]", lines[1])


def test_the_log_goes_with_its_run(tmp_path: Path) -> None:
    run = draw_run(tmp_path / "emoji")
    with run.lock():
        say("report done")
    assert (run.folder / "log.txt").exists()
    remove(run.folder, yes=True)
    assert not run.folder.exists()


def test_a_log_that_can_not_be_written_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(tmp_path / "emoji")
    (run.folder / "log.txt").mkdir(parents=True)
    with run.lock():
        say("collect")
    assert capsys.readouterr().err == "collect\n"
