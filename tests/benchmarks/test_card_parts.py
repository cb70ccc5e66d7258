"""The parts decoding and finetune of benchmarks/gpu.py with tiny shapes, so that they can't rot."""

from __future__ import annotations

import argparse
import time

import pytest

from helpers import ROOT


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return argparse.Namespace(small=True, until=time.time() + 240)


def test_decoding(options: argparse.Namespace) -> None:
    from card import decoding

    found = {row["what"]: row for row in decoding.rows(options)}
    for precision in ("bfloat16", "float32"):
        for together in (1, 16):
            ours = found[f"124M, {precision}, {together} together"]
            assert ours["figure"] > 0 and ours["beside"] > 0
            assert found[f"transformers, static cache, 124M, {precision}, {together} together"]["figure"] > 0
    assert found["1.1B, bfloat16, alone: share of memory's copying speed"]["figure"] > 0


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_finetune(options: argparse.Namespace) -> None:
    from card import finetune

    found = {row["what"]: row for row in finetune.rows(options)}
    assert found.keys() == {"LoRA r=16: tokens a second", "all weights: tokens a second"}
    assert all(row["figure"] > 0 and row["beside"] > 0 for row in found.values())
