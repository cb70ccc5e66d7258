"""Cards of this machine, and the one line where torch can't use them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from genwright.hardware import cards
from genwright.hardware.cards import Build, Card
from helpers import ASSETS
from helpers.contract import genwright
from helpers.training_child import RECIPES, prepare

SMI = """NVIDIA H100 80GB HBM3, 81559, 550.54.15, 9.0
NVIDIA GeForce GTX 1080, 8192, 550.54.15, [Not Supported]
"""


@pytest.fixture(autouse=True)
def look_anew():
    cards.seen.cache_clear()
    yield
    cards.seen.cache_clear()


def test_nvidia_smi_is_read() -> None:
    h100, old = cards.told(SMI)
    assert h100 == Card("NVIDIA H100 80GB HBM3", 81559 << 20, "550.54.15", (9, 0))
    assert old.capability is None and old.memory_bytes == 8 << 30
    assert cards.told("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.") == ()


def test_a_program_of_that_name_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'end'\n{SMI}end\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert [card.name for card in cards.seen()] == ["NVIDIA H100 80GB HBM3", "NVIDIA GeForce GTX 1080"]


def test_without_it_the_driver_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(cards, "_DRIVER", tmp_path / "gpus")
    monkeypatch.setattr(cards, "_DEVICES", tmp_path / "dev")
    assert cards.seen() == ()
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm"):
        (tmp_path / "dev" / name).touch()
    cards.seen.cache_clear()
    assert cards.seen() == (Card("an NVIDIA card"),)
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    (tmp_path / "gpus" / "0000:01:00.0" / "information").write_text("Model: \t NVIDIA A10\nIRQ: 33\n", encoding="utf-8")
    cards.seen.cache_clear()
    assert cards.seen() == (Card("NVIDIA A10"),)


def test_the_build_is_known_without_importing_torch() -> None:
    code = "import sys; from genwright.hardware import cards; b = cards.build(); assert 'torch' not in sys.modules; print(b.version, b.cuda)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == f"{torch.__version__} {torch.version.cuda}", done.stderr


@pytest.fixture
def beside_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "seen", lambda: (Card("NVIDIA H100"),))
    monkeypatch.setattr(cards.seen, "cache_clear", lambda: None, raising=False)
    monkeypatch.setattr(cards, "build", lambda: Build("2.13.0+cpu", None, None))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_new_and_train_say_one_line(
    beside_a_card: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert genwright("new", ASSETS / "text", "--task", "write") == 0
    line = "a card is here (NVIDIA H100), but this torch (2.13.0+cpu) is a CPU build and can't use it; `genwright doctor` says"
    assert capsys.readouterr().err.count(line) == 1
    (tmp_path / "r.yaml").write_text(
        str(RECIPES["transformer"] | {"train": {"budget": "1 steps", "batch": 2, "previews": 0}})
    )
    prepare("r.yaml", "run")
    assert genwright("train", "r.yaml", "--run-dir", "run") == 0
    assert capsys.readouterr().err.count(line) == 1
    assert genwright("train", "r.yaml", "--run-dir", "run", "--device", "cpu") == 0
    assert line not in capsys.readouterr().err


def test_who_hid_the_cards_is_not_told(beside_a_card: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cards.unused()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert cards.unused() is None


def test_a_build_for_cards_that_finds_none_is_told_where_it_was_asked(
    beside_a_card: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cards, "build", lambda: Build("2.11.0+cu128", "12.8", None))
    assert cards.unused() is None
    assert "does not find it" in (cards.unused(reached=False) or "")
