"""On a card: every family trains there, goes on bit for bit after SIGKILL, and its forecast holds; text is what a processor writes.

python -m pytest -m gpu
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import genwright as gw
from genwright.run import Run, read_json_lines
from genwright.training import checkpoint
from helpers.training_child import RECIPES, prepare

pytestmark = pytest.mark.gpu
TRAIN = {"budget": "120 steps", "batch": 8, "checkpoint_every": "20 steps", "validate_times": 3, "previews": 1, "patience": 0}  # fmt: skip
FAMILIES = sorted(RECIPES)
_WITHIN = 0.25
"""Share by which a forecast may be off."""
_COMPILED = {"transformer": "on"}


def recipe(here: Path, family: str, **train: Any) -> Path:
    file = here / f"{family}.yaml"
    file.write_text(yaml.safe_dump(RECIPES[family] | {"train": TRAIN | train}), encoding="utf-8")
    return file


def train(file: Path, run: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "genwright", "train", str(file), "--run-dir", str(run), "--device", "cuda"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def to_the_end(file: Path, run: Path) -> None:
    _, said = (process := train(file, run)).communicate(timeout=240)
    assert process.returncode == 0, said


@pytest.fixture(scope="module", params=FAMILIES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path, Path]:
    """A family's recipe, a run that is only prepared, and one that was trained on the card."""
    here = tmp_path_factory.mktemp(request.param)
    file = recipe(here, request.param, compile=_COMPILED.get(request.param, "off"))
    prepare(str(file), str(here / "prepared"))
    shutil.copytree(here / "prepared", here / "whole")
    to_the_end(file, here / "whole")
    return request.param, file, here / "prepared", here / "whole"


def test_it_learns_on_the_card(trained: tuple[str, Path, Path, Path]) -> None:
    family, _, _, run = trained
    record = Run(run).record("train")
    assert record is not None and record.device == torch.cuda.get_device_name()
    records = read_json_lines(run / "train" / "model" / "metrics.jsonl")
    losses = [value for one in records for name, value in one.items() if name.endswith("loss")]
    assert losses and all(map(torch.isfinite, torch.tensor(losses)))
    if family != "gan":  # its losses say nothing of how well it does
        first, last = ([one["model/loss"] for one in some] for some in (records[:10], records[-10:]))
        assert sum(last) < sum(first)


def test_killed_it_goes_on_bit_for_bit(trained: tuple[str, Path, Path, Path]) -> None:
    family, file, prepared, whole = trained
    killed = prepared.with_name("killed")
    shutil.copytree(prepared, killed)
    child = train(file, killed)
    until = time.monotonic() + 200
    while not list(killed.glob("train/model/checkpoints/step-0*4*")) and child.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.002)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    to_the_end(file, killed)
    (weights, _), (again, _) = (checkpoint.read(checkpoint.all_in(run / "train/model/checkpoints")[0]) for run in (whole, killed))  # fmt: skip
    different = [name for name in weights if not torch.equal(weights[name], again[name])]
    assert weights.keys() == again.keys() and not different, family


def test_a_model_trained_there_answers_there_and_on_a_processor(trained: tuple[str, Path, Path, Path]) -> None:
    """Greedy text is the same but where two tokens are all but level; of equal noise come all but equal pictures."""
    family, _, _, run = trained
    made = []
    for device in ("cuda", "cpu"):
        # In float32 on both: a card's own choice is bfloat16.
        model = gw.load(run, device, **({"weights": "float32"} if family == "transformer" else {}))
        options = {"temperature": 0.0, "max_tokens": 24} if family == "transformer" else {}
        made.append(model.generate("To be" if family == "transformer" else "heart", seed=1, **options)[0])
    if family == "transformer":
        assert made[0].text[:8] == made[1].text[:8] and made[0].text
    else:
        first, second = (one.array().astype(float) for one in made)
        assert abs(first - second).mean() < 2.0  # of 255


@pytest.mark.parametrize("family", FAMILIES)
def test_the_forecast_holds(family: str, tmp_path: Path) -> None:
    file = recipe(tmp_path, family, budget="12s", checkpoint_every="2m", compile="off")
    prepare(str(file), str(tmp_path / "run"))
    foretold = gw.plan(file, run_dir=tmp_path / "run", device="cuda")
    start = time.monotonic()
    to_the_end(file, tmp_path / "run")
    assert foretold.device == torch.cuda.get_device_name()
    taken = Run(tmp_path / "run").record("train")
    assert taken is not None and taken.seconds < time.monotonic() - start
    assert abs(taken.seconds - foretold.stages["train"]) < _WITHIN * max(taken.seconds, foretold.stages["train"])
