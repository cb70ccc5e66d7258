"""Trackers get every record, and say what to install where they are not there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from genwright.errors import RequestError
from genwright.run import read_json_lines
from genwright.stages.train.tracking import tracker
from genwright.training.base import Settings
from genwright.training.trainer import Trainer
from helpers.tiny_family import Lines, tiny


def test_none_listens_to_nothing(tmp_path: Path) -> None:
    with tracker("none", tmp_path, "run", "model", {}) as listeners:
        assert listeners == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_holds_what_metrics_jsonl_holds(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with tracker("tensorboard", tmp_path, "run", "model", {"steps": 6}) as listeners:
        Trainer(tiny(), Lines(), Settings(steps=6, batch=8), torch.device("cpu"), tmp_path, listeners=listeners).run()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    records = read_json_lines(tmp_path / "metrics.jsonl")
    shown = [(event.step, event.value) for event in events.Scalars("first/loss")]
    assert [step for step, _ in shown] == [1, 2, 3, 4, 5, 6]
    assert [value for _, value in shown] == pytest.approx([record["first/loss"] for record in records])


@pytest.mark.parametrize("kind", ["tensorboard", "mlflow", "wandb", "trackio"])
def test_one_that_is_not_installed_is_asked_for_by_its_extra(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, kind, None)  # what an import finds when a package is blocked
    refused = pytest.raises(RequestError, match=rf"pip install 'genwright\[{kind}\]'")
    with refused, tracker(kind, tmp_path, "run", "model", {}):
        pass
