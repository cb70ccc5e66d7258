"""Every task with every family that it names keeps its promises (helpers/contract.py).

The pairs come from the registry: a task that is registered is tested; one without tiny data fails by its name.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from genwright.registry import TASKS, families_of
from helpers.contract import keeps_its_promises

PAIRS = [(task, family) for task in TASKS for family in families_of(task)]


@pytest.mark.parametrize(("task", "family"), PAIRS)
def test_a_task_keeps_its_promises(
    task: str, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    keeps_its_promises(task, family, tmp_path, monkeypatch, capsys)
