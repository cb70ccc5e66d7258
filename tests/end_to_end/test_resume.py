"""A training killed with SIGKILL, again and again, ends bit for bit where an uninterrupted one does."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from genwright.run import read_json_lines
from genwright.training import checkpoint
from genwright.training.base import CLOCK_COLUMNS
from helpers import training_child
from helpers.staged_family import train_staged
from helpers.training_child import CODES, RECIPES

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
    context.set_forkserver_preload(["helpers.training_child", "helpers.staged_family", "torch._dynamo"])
    return context


@pytest.fixture(params=sorted(RECIPES))
def prepared(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    recipe = tmp_path / f"{request.param}.yaml"
    asked = RECIPES[request.param] | {"train": TRAIN}
    if request.param == "gan":  # with all that it has beside its weights
        asked["model"] = asked["model"] | {"augment": "adaptive", "variety": 0.4}
    recipe.write_text(yaml.safe_dump(asked), encoding="utf-8")
    training_child.prepare(str(recipe), str(tmp_path / "whole"))
    return recipe, tmp_path / "whole"


def test_killed_training_ends_where_an_uninterrupted_one_does(
    prepared: tuple[Path, Path], processes: Any, tmp_path: Path
) -> None:
    recipe, whole = prepared
    untouched, killed, kills = tmp_path / "untouched", tmp_path / "killed", list[bool]()
    shutil.copytree(whole, untouched)
    run_to_the_end(processes, training_child.train_run, recipe, whole)
    rng = random.Random(time.time_ns())
    moments = (while_a_checkpoint_is_written, at_a_random_step) * 2
    for _ in range(3):  # on a busy machine it may be over before the moment is seen
        shutil.rmtree(killed, ignore_errors=True)
        shutil.copytree(untouched, killed)
        kills = [
            kill_at(moment(killed / "train" / "model", rng), processes, training_child.train_run, recipe, killed)
            for moment in moments
        ]
        if sum(kills) >= 2:
            break
    run_to_the_end(processes, training_child.train_run, recipe, killed)
    assert sum(kills) >= 2
    assert_same(whole / "train" / "model", killed / "train" / "model", STEPS, TRAIN["previews"])


def test_killed_in_both_parts_of_a_model_it_ends_where_an_uninterrupted_one_does(
    processes: Any, tmp_path: Path
) -> None:
    """The codec's discriminator begins at step 10 of its 24; the prior has 36."""
    recipe, whole, killed = tmp_path / "codes.yaml", tmp_path / "whole", tmp_path / "killed"
    recipe.write_text(yaml.safe_dump(CODES | {"train": TRAIN | {"budget": "60 steps"}}), encoding="utf-8")
    training_child.prepare(str(recipe), str(whole))
    shutil.copytree(whole, killed)
    run_to_the_end(processes, training_child.train_run, recipe, whole)
    rng = random.Random(time.time_ns())
    kills = [
        kill_at(moment(killed / "train" / part, rng), processes, training_child.train_run, recipe, killed)
        for part in ("codec", "prior")
        for moment in (at_a_random_step, while_a_checkpoint_is_written)
    ]
    run_to_the_end(processes, training_child.train_run, recipe, killed)
    assert sum(kills) >= 3
    for part, steps, previews in (("codec", 24, 0), ("prior", 36, TRAIN["previews"])):
        assert_same(whole / "train" / part, killed / "train" / part, steps, previews)


def test_killed_across_the_borders_of_phases_it_ends_where_an_uninterrupted_one_does(
    processes: Any, tmp_path: Path
) -> None:
    """One phase ends at step 20 of 40, two begin at 24; then 20 steps more, in which nothing begins or ends again."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    rng = random.Random(time.time_ns())
    kills = []
    for steps, near in ((40, (20, 24, 24)), (60, (41, 50))):
        run_to_the_end(processes, train_staged, whole, steps)
        kills += [kill_at(near_a_step(killed, step, rng), processes, train_staged, killed, steps) for step in near]
        run_to_the_end(processes, train_staged, killed, steps)
        assert_same(whole, killed, steps, previews=2)
    assert sum(kills) >= 3
    state = checkpoint.read(checkpoint.all_in(killed / "checkpoints")[0])[1]
    assert state["borders"] == {"offset": [0, 20], "slope": [0, 60], "student": [24, 60], "critic": [24, 60]}
    phases = [{name.partition("/")[0] for name in record} for record in read_json_lines(killed / "metrics.jsonl")]
    assert [step for step, found in enumerate(phases) if "offset" in found] == list(range(20))
    assert [step for step, found in enumerate(phases) if "student" in found] == list(range(24, 60))


def kill_at(moment: Iterator[None], processes: Any, train: Callable[..., None], *where: Any) -> bool:
    """Start a training and kill it when the moment has come; returns whether it was still running."""
    child = processes.Process(target=train, args=where)
    child.start()
    for _ in moment:
        if not child.is_alive():
            break
    running = child.is_alive()
    if running:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
    child.join()
    return running


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


def near_a_step(folder: Path, step: int, rng: random.Random) -> Iterator[None]:
    """Until a step up to two before or behind one has been logged, and a random moment more."""
    until, file = step + rng.randrange(-2, 3), folder / "metrics.jsonl"
    before = file.stat().st_ino if file.exists() else None
    while not file.exists() or file.stat().st_ino == before:  # until it was rewound to the newest checkpoint
        yield
    while len(read_json_lines(file)) < until:
        yield
    time.sleep(rng.random() * 0.02)


def size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def run_to_the_end(processes: Any, train: Callable[..., None], *where: Any) -> None:
    child = processes.Process(target=train, args=where)
    child.start()
    child.join()
    assert child.exitcode == 0


def assert_same(whole: Path, killed: Path, steps: int, previews: int) -> None:
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
    assert len(records) == steps
    names = sorted(place.name for place in (whole / "previews").glob("*"))
    assert len(names) >= previews
    assert names == sorted(place.name for place in (killed / "previews").glob("*"))
    for name in names:
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
