"""benchmarks/gpu.py: its runner with parts made for the purpose, and the real parts with tiny shapes, so that they can't rot."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from helpers import ROOT

FAKE = {
    "training": "def rows(options):\n    print('noise')\n    yield {'what': 'speed', 'figure': 12345.6, 'unit': 'tokens/s', 'reached': True}\n    yield {'what': 'small', 'figure': options.small}\n",
    "decoding": "def rows(options):\n    yield {'what': 'first', 'figure': 1}\n    raise ValueError('broken in the middle')\n",
    "write": "import subprocess, sys, time\ndef rows(options):\n    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n    yield {'what': 'child', 'figure': child.pid}\n    time.sleep(600)\n",
    "resume": "import os\ndef rows(options):\n    os._exit(9)\n    yield {}\n",
}
PEER = """
import torch
from dataclasses import dataclass
from torch import nn

@dataclass
class GPTConfig:
    n_layer: int; n_head: int; n_embd: int; block_size: int; vocab_size: int; bias: bool; dropout: float

class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.head = nn.Linear(config.n_embd, config.vocab_size)
    def configure_optimizers(self, decay, rate, betas, device):
        return torch.optim.AdamW(self.parameters(), lr=rate, betas=betas)
    def forward(self, x, y):
        logits = self.head(self.wte(x))
        return logits, nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
"""


def gpu(root: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, root / "benchmarks" / "gpu.py", *words]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=240)


def rows_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_a_part_that_fails_or_never_ends_costs_itself_alone(tmp_path: Path) -> None:
    (tmp_path / "benchmarks" / "card").mkdir(parents=True)
    shutil.copy(ROOT / "benchmarks" / "gpu.py", tmp_path / "benchmarks" / "gpu.py")
    for name, text in FAKE.items():
        (tmp_path / "benchmarks" / "card" / f"{name}.py").write_text(text, encoding="utf-8")
    results = tmp_path / "results" / "found.jsonl"
    parts = ("write", "training", "decoding", "forecast", "resume")
    done = gpu(tmp_path, *parts, "--small", "--seconds", 3, "--results", results)
    assert done.returncode == 0, done.stderr
    found = rows_of(done)
    assert [(row["part"], row["what"]) for row in found] == [
        ("write", "child"),
        ("write", "ended after 3 s; what stands above was done"),
        ("training", "speed"),
        ("training", "small"),
        ("decoding", "first"),
        ("decoding", "failed: ValueError: broken in the middle"),
        ("forecast", "not built"),
        ("resume", "failed: exit status 9"),
    ]
    assert results.read_text(encoding="utf-8").splitlines() == [line for line in done.stdout.splitlines() if line[0] == "{"]  # fmt: skip
    assert all(row.keys() == {"part", "what", "figure", "unit", "beside", "goal", "reached", "card", "torch", "date", "commit"} for row in found)  # fmt: skip
    assert found[3]["figure"] is True and "ValueError: broken in the middle" in done.stderr and "noise" in done.stderr
    assert any(line.split()[:4] == ["training", "speed", "12,346", "tokens/s"] for line in done.stdout.splitlines())
    assert ended(found[0]["figure"]), "what a part started is ended with it"


def ended(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split()[2] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


def test_no_part_is_taken_for_one_that_is_not_there() -> None:
    done = gpu(ROOT, "trainign")
    assert done.returncode == 2 and "trainign: no such part; there are training, decoding" in done.stderr


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    (tmp_path / "nanogpt").mkdir()
    (tmp_path / "nanogpt" / "model.py").write_text(PEER, encoding="utf-8")
    folders = {"nanogpt": tmp_path / "nanogpt", "r3gan": None, "text": None, "poems": None, "pictures": None}
    return argparse.Namespace(small=True, peer=False, until=time.time() + 240, **folders)


def figures(part: Any, options: argparse.Namespace) -> dict[str, Any]:
    return {row["what"]: row for row in part.rows(options)}


def test_training_with_tiny_shapes(options: argparse.Namespace) -> None:
    from card import training

    found = figures(training, options)
    assert found["small, Genwright, Muon"]["beside"] == found["small, nanoGPT"]["figure"] > 0
    assert found["1B (small): steps with a finite loss"]["reached"] is True
    where = found["small, Genwright, Muon: launches and idle"]["detail"]
    assert where["optimizer"] > 0 and 0.98 < sum(where[kind] for kind in ("products", "attention", "memory", "optimizer", "data", "waiting")) < 1.02  # fmt: skip


def test_the_race_with_tiny_shapes(
    options: argparse.Namespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from card import race

    monkeypatch.setattr(race, "KEPT", tmp_path / "none.json")
    assert figures(race, options)["Genwright, 4 steps: validation loss"]["figure"] > 0
    race.KEPT.write_text(json.dumps({"loss": 9.0, "seconds": 60.0}), encoding="utf-8")
    found = figures(race, options)
    assert found["sooner than nanoGPT"]["figure"] > found["sooner than nanoGPT, with a cold compile"]["figure"] / 2 > 0


@pytest.mark.slow
@pytest.mark.parametrize("part", ["resume", "draw"])
def test_other_parts_with_tiny_shapes(part: str, tmp_path: Path) -> None:
    found = rows_of(gpu(ROOT, part, "--small", "--results", tmp_path / "r.jsonl"))
    assert found and not [row["what"] for row in found if "failed" in row["what"] or "ended" in row["what"]]
    assert part != "resume" or found[0]["reached"] is True


@pytest.mark.slow
def test_what_is_chosen_stands_beside_settings_by_hand(options: argparse.Namespace) -> None:
    from card import write

    options.text = ROOT / "tests" / "assets" / "text"
    found = figures(write, options)
    ours = found["3 s, nothing set (beside: the best by hand)"]
    assert ours["beside"] == found["3 s by hand, layers 1, width 32, context 32, batch 4"]["figure"] > 0
    assert ours["detail"]["batch"] == 8 and 0 < found["3 s, nothing set: share of the product"]["figure"] < 1


@pytest.mark.slow
def test_what_was_foretold_stands_beside_what_was_taken(options: argparse.Namespace) -> None:
    from card import forecast

    options.text = ROOT / "tests" / "assets" / "text"
    found = figures(forecast, options)
    assert len(found) == 2 * len(forecast.STAGES)
    assert all(row["detail"]["foretold_seconds"] > 0 and row["figure"] >= 0 for row in found.values())
