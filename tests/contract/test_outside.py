"""Tasks, families and a medium from outside the package keep the promises of those inside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.contract import keeps_its_promises
from helpers.outside import registered

PAIRS = [("names", "transformer"), ("mosaic", "code_prior"), ("loudness", "mean"), ("draw", "straight")]
"""A task of the package's family; a task of two parts; a task on a medium of its own; a family that draws in several steps."""


@pytest.fixture(autouse=True)
def outside() -> Iterator[None]:
    with registered():
        yield


@pytest.mark.parametrize(("task", "family"), PAIRS)
def test_a_task_from_outside_keeps_its_promises(
    task: str, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    keeps_its_promises(task, family, tmp_path, monkeypatch, capsys)
