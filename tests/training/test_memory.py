"""Activations computed again: the same gradients bit for bit, less memory, chosen where memory is short. Waiting for data is told."""

from __future__ import annotations

import json
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from genwright.errors import RequestError
from genwright.families.base import Batch, Moment
from genwright.recipe import TrainSettings
from genwright.stages.train import memory
from genwright.stages.train.memory import within_memory
from genwright.training import forecast
from genwright.training.base import Settings
from genwright.training.trainer import Trainer
from helpers.rows_of_text import Rows, memory_of_steps, transformer
from helpers.tiny_family import Lines, tiny

CPU = torch.device("cpu")


def test_gradients_are_the_same_bit_for_bit() -> None:
    family, batch, found = transformer(), Rows().batch(0, 3), []
    for again in (False, True):
        family.network.checkpoint_activations = again
        loss = family.loss("model", batch, torch.Generator(), Moment()).value
        found.append(torch.autograd.grad(loss, tuple(family.network.parameters())))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_it_needs_less_memory() -> None:
    # In a process of its own: one that has held more before takes what it needs out of what it was given then.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        thrifty, usual = pool.submit(memory_of_steps).result()
    assert usual - thrifty > 60e6


@pytest.mark.parametrize(("asked", "example", "chosen"), [("auto", 1000, True), ("auto", 10, False), ("on", 10, True)])
def test_it_is_chosen_where_memory_is_short(
    monkeypatch: pytest.MonkeyPatch, asked: Any, example: int, chosen: bool
) -> None:
    job, settings, train = _short_of_memory(monkeypatch, asked, example, accumulate=1)
    assert within_memory(job, settings, train).checkpoint_activations == chosen


def test_it_is_refused_where_it_may_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    job, settings, train = _short_of_memory(monkeypatch, "off", 1000, accumulate=1)
    with pytest.raises(RequestError, match="accumulate=2"):
        within_memory(job, settings, train)


@pytest.mark.parametrize(
    ("asked", "example", "accumulate", "again"),
    [
        ("auto", 400, 1, False),  # all 64 fit
        ("auto", 1000, 2, False),  # 32 do
        ("auto", 8000, 16, False),  # 4 do
        ("auto", 10_000, 2, True),  # 3 would: computed again 32 do
        ("off", 10_000, 22, False),
        ("auto", 100_000, 22, True),
    ],
)
def test_steps_are_cut_where_memory_ends(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: Any,
    example: int,
    accumulate: int,
    again: bool,
) -> None:
    job, settings, train = _short_of_memory(monkeypatch, asked, example)
    found = within_memory(job, settings, train)
    assert (found.accumulate, found.checkpoint_activations) == (accumulate, again)
    assert max(found.micro_batches()) * example / (10 if again else 1) <= 32_000
    assert (f"{accumulate} micro-batches" in capsys.readouterr().err) == (accumulate > 1)


def test_an_example_too_large_for_the_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    job, settings, train = _short_of_memory(monkeypatch, "auto", 10**6)
    with pytest.raises(RequestError, match="one example alone"):
        within_memory(job, settings, train)


@pytest.mark.parametrize(("gigabytes", "accumulate"), [(8, 3), (12, 2), (24, 1)])
def test_small_cards_train_the_same_step(monkeypatch: pytest.MonkeyPatch, gigabytes: int, accumulate: int) -> None:
    """124 million parameters, 32 windows of 0.3 GB: as many micro-batches as the card's memory asks for."""
    monkeypatch.setattr(forecast.devices, "memory_bytes", lambda device: gigabytes * 10**9)
    monkeypatch.setattr(memory, "_memory", lambda job, settings: (124_000_000, 0.3e9))
    card = SimpleNamespace(device=torch.device("cuda"))
    found = within_memory(card, Settings(steps=1, batch=32), TrainSettings.model_validate({}))  # type: ignore[arg-type]
    assert found.accumulate == accumulate and sum(found.micro_batches()) == 32
    used = 20 * 124e6 + max(found.micro_batches()) * 0.3e9
    assert used < gigabytes * 1e9


@pytest.mark.parametrize(("fits", "found"), [(4, 1e9), (0, 2e9)])
def test_a_card_that_runs_out_while_memory_is_measured_tells_as_much(
    monkeypatch: pytest.MonkeyPatch, fits: int, found: float
) -> None:
    def step(family: Any, batches: Any, settings: Settings, device: Any) -> int:
        if settings.batch > fits:
            raise torch.OutOfMemoryError
        return 10**8

    monkeypatch.setattr(memory, "memory_of_one_step", step)
    monkeypatch.setattr(forecast, "room_for_examples", lambda parameters, device: 1e9)
    job: Any = SimpleNamespace(device=CPU, training=Rows, build=transformer)
    assert memory._memory(job, Settings(steps=1, batch=32))[1] == found


def _short_of_memory(
    monkeypatch: pytest.MonkeyPatch, asked: Any, example: int, **train: Any
) -> tuple[Any, Settings, TrainSettings]:
    """A machine with room for 32,000 bytes beside the model; activations computed again take a tenth."""
    monkeypatch.setattr(forecast.devices, "memory_bytes", lambda device: 32_000)
    monkeypatch.setattr(
        memory, "_memory", lambda job, settings: (0, example / (10 if settings.checkpoint_activations else 1))
    )
    settings = Settings(steps=1, batch=64, checkpoint_activations=asked == "on")
    return (
        SimpleNamespace(device=CPU),
        settings,
        TrainSettings.model_validate({"checkpoint_activations": asked, **train}),
    )


def test_yaml_says_on_and_off_by_booleans() -> None:
    assert TrainSettings.model_validate({"checkpoint_activations": True}).checkpoint_activations == "on"
    assert TrainSettings.model_validate({"checkpoint_activations": False}).checkpoint_activations == "off"


class SlowLines(Lines):
    def batch(self, position: int, size: int) -> Batch:
        time.sleep(0.02)
        return super().batch(position, size)


def test_waiting_for_data_is_told(tmp_path: Path) -> None:
    trainer = Trainer(tiny(), SlowLines(), Settings(steps=4, batch=4, log_every=2), CPU, tmp_path)
    trainer.run()
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert all(0.02 < record["data_wait"] <= 1 for record in records)
