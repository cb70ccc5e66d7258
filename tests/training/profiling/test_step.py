"""`train --profile` on a processor: a table, a trace, and the weights that there are without it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import yaml

from genwright.console import as_text
from genwright.training import checkpoint
from genwright.training.base import Settings
from genwright.training.profiling.breakdown import KINDS
from genwright.training.profiling.step import Profile, profile, profile_steps
from genwright.training.profiling.trace import OPTIMIZER, WINDOW, read
from helpers.contract import genwright
from helpers.tiny_family import Lines, tiny
from helpers.training_child import RECIPES, prepare

TRAIN = {"budget": "6 steps", "batch": 4, "validate_times": 2, "previews": 0, "precision": "fp32", "compile": "off"}


def test_it_changes_no_weight(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, plain, profiled = tmp_path / "r.yaml", tmp_path / "plain", tmp_path / "profiled"
    recipe.write_text(yaml.safe_dump(RECIPES["transformer"] | {"train": TRAIN}), encoding="utf-8")
    prepare(str(recipe), str(plain))
    shutil.copytree(plain, profiled)
    assert genwright("train", recipe, "--run-dir", plain, "--threads", 1) == 0
    capsys.readouterr()
    assert genwright("train", recipe, "--run-dir", profiled, "--threads", 1, "--profile") == 0
    said = capsys.readouterr().err
    assert all(said.count(title) >= 1 for title in KINDS.values()) and said.count("where a step goes") == 1
    trace = profiled / "train" / "model" / "profile.json.gz"
    names = [event.name for event in read(trace)]
    assert names.count(WINDOW) == 1 and names.count(OPTIMIZER) >= 5
    weights, again = (checkpoint.read(checkpoint.all_in(run / "train/model/checkpoints")[0])[0] for run in (plain, profiled))  # fmt: skip
    assert weights.keys() == again.keys() and all(torch.equal(weights[name], again[name]) for name in weights)
    trace.unlink()
    assert genwright("train", recipe, "--run-dir", profiled, "--threads", 1, "--profile") == 0  # a finished one too
    assert trace.exists() and "where a step goes" in capsys.readouterr().err


def test_a_family_of_two_phases_is_profiled_in_whole_cycles(tmp_path: Path) -> None:
    before, family = torch.get_rng_state(), tiny()
    settings = Settings(steps=3, batch=8)
    found = profile(family, Lines(), settings, torch.device("cpu"), tmp_path / "t.json.gz", "two phases")
    # The second phase runs in every other step.
    optimized = [event for event in read(tmp_path / "t.json.gz") if event.name == OPTIMIZER]
    assert found.steps == 10 and found.by_kind["optimizer"] > 0 and found.flops == 8000
    assert len(optimized) >= found.steps * 3 // 2
    assert torch.equal(torch.get_rng_state(), before)


def test_products_are_found_where_a_step_is_nothing_else(tmp_path: Path) -> None:
    a, b = torch.randn(384, 384), torch.randn(384, 384)
    found = profile_steps(
        lambda: torch.mm(a, b), torch.device("cpu"), tmp_path / "t.json.gz", 2 * 384**3, "fp32", "a product"
    )
    assert max(found.by_kind, key=lambda kind: found.by_kind[kind]) == "products"
    assert sum(found.by_kind.values()) == pytest.approx(found.profiled_seconds)


def test_the_table_says_what_was_measured() -> None:
    found = Profile(
        how="124M, bf16, compiled",
        steps=5,
        seconds=0.05,
        profiled_seconds=0.06,
        by_kind={
            "products": 0.03,
            "attention": 0.006,
            "memory": 0.012,
            "optimizer": 0.006,
            "data": 0.0,
            "waiting": 0.006,
        },
        flops=18e12,
        peak_flops=1000e12,
        memory_rate=2e12,
        copy_rate=4e12,
    )
    text = as_text(found, 120)
    for row in ("a step 50.0 ms", "matrix products 30.0 ms 50%", "with attention at 50% of the peak", "1,000 TFLOP/s", "memory-bound 12.0 ms 20% at about 50%", "launches, idle 6.0 ms 10%", "the whole step 36%"):  # fmt: skip
        assert row in " ".join(text.replace("│", " ").split()), row
