"""Example runs for the views (report, compare, runs)."""

from __future__ import annotations

from pathlib import Path

import pytest
from example_run import draw_run, write_run

from genwright.run import Run


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return draw_run(tmp_path_factory.mktemp("runs") / "emoji")


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_run(tmp_path_factory.mktemp("runs") / "sonnets")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    return tmp_path / "run"
