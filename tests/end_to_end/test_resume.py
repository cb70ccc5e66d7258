"""A training killed with SIGKILL, again and again, ends bit for bit where an uninterrupted one does."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from genwright.run import read_json_lines
from genwright.training import checkpoint
from genwright.training.base import CLOCK_COLUMNS
from helpers import training_child
from helpers.training_child import RECIPES

STEPS = 24
TRAIN = {
    "budget": f"{STEPS} steps",
    "batch": 6,
    "accumulate": 2,
    "checkpoint_every": "5 steps",
    "validate_times": 4,
    "previews": 2,
    "patience": 0,
    "precision": "fp32",
    "compile": "off",
}


@pytest.fixture(scope="module")
def processes() -> Any:
    """Children are forked from a server that has torch loaded already, which saves seconds for each kill."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["helpers.training_child", "torch._dynamo"])
    return context


@pytest.fixture(params=sorted(RECIPES))
def prepared(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    recipe = tmp_path / f"{request.param}.yaml"
    recipe.write_text(yaml.safe_dump(RECIPES[request.param] | {"train": TRAIN}), encoding="utf-8")
    training_child.prepare(str(recipe), str(tmp_path / "whole"))
    return recipe, tmp_path / "whole"


def test_killed_training_ends_where_an_uninterrupted_one_does(
    prepared: tuple[Path, Path], processes: Any, tmp_path: Path
) -> None:
    recipe, whole = prepared
    killed = tmp_path / "killed"
    shutil.copytree(whole, killed)
    run_to_the_end(processes, recipe, whole)
    rng = random.Random(time.time_ns())
    kills = kill_again_and_again(processes, recipe, killed, rng)
    run_to_the_end(processes, recipe, killed)
    assert kills >= 2
    assert_same(whole / "train" / "model", killed / "train" / "model")


def kill_again_and_again(processes: Any, recipe: Path, run: Path, rng: random.Random) -> int:
    """Kill once while a checkpoint is being written and twice anywhere; returns how many kills struck a running training."""
    kills = 0
    for moment in (while_a_checkpoint_is_written, at_a_random_step, while_a_checkpoint_is_written, at_a_random_step):
        child = processes.Process(target=training_child.train_run, args=(str(recipe), str(run)))
        child.start()
        for _ in moment(run / "train" / "model", rng):
            if not child.is_alive():
                break
        if child.is_alive():
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            kills += 1
        child.join()
    return kills


def while_a_checkpoint_is_written(folder: Path, rng: random.Random) -> Iterator[None]:
    """Until a temporary checkpoint folder stands there (after some that are let pass), and a random moment more."""
    let_pass = rng.randrange(2)
    seen: set[str] = set()
    while len(seen) <= let_pass:
        seen.update(place.name for place in folder.glob("checkpoints/.step-*"))
        yield
    time.sleep(rng.random() * 0.004)


def at_a_random_step(folder: Path, rng: random.Random) -> Iterator[None]:
    """Until some records more than now are written, and a random moment more."""
    until = size(folder / "metrics.jsonl") + rng.randrange(100, 2500)
    while size(folder / "metrics.jsonl") < until:
        yield
    time.sleep(rng.random() * 0.05)


def size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def run_to_the_end(processes: Any, recipe: Path, run: Path) -> None:
    child = processes.Process(target=training_child.train_run, args=(str(recipe), str(run)))
    child.start()
    child.join()
    assert child.exitcode == 0


def assert_same(whole: Path, killed: Path) -> None:
    """Weights, optimizers, averages, random states, data position, metrics without clocks, best weights, previews."""
    for kind in ("checkpoints", "best"):
        names = [place.name for place in checkpoint.all_in(whole / kind)]
        assert names == [place.name for place in checkpoint.all_in(killed / kind)]
        newest = names[0]
        (weights, state), (weights_again, state_again) = (checkpoint.read(at / kind / newest) for at in (whole, killed))
        assert_equal(weights, weights_again, kind)
        assert_equal(without_clock(state), without_clock(state_again), kind)
        assert len(weights) > 3
    records, records_again = (read_json_lines(at / "metrics.jsonl") for at in (whole, killed))
    assert [without_clock(r) for r in records] == [without_clock(r) for r in records_again]
    assert len(records) == STEPS
    previews = sorted(place.name for place in (whole / "previews").iterdir())
    assert len(previews) == TRAIN["previews"]
    assert previews == sorted(place.name for place in (killed / "previews").iterdir())
    for name in previews:
        assert (whole / "previews" / name).read_bytes() == (killed / "previews" / name).read_bytes()


def without_clock(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in CLOCK_COLUMNS}


def assert_equal(one: Any, other: Any, where: str) -> None:
    """The same structure, with tensors equal bit for bit."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one.nan_to_num(), other.nan_to_num()), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_equal(a, b, f"{where}/{index}")
    else:
        assert one == other, where
