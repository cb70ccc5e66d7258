"""What every test process has in common."""

from __future__ import annotations

import os

# The files run side by side, a process a core; a pool of threads in each would only make them wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest
import torch
from hypothesis import settings

from genwright.run import Run
from helpers.example_run import draw_run, write_run

# How long an example takes says more of the machine than of the code.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("no card that torch can use")


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return draw_run(tmp_path_factory.mktemp("runs") / "emoji")


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_run(tmp_path_factory.mktemp("runs") / "sonnets")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    return tmp_path / "run"
