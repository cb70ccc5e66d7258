"""The first steps of each family give the losses that they gave before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers import golden_losses


@pytest.mark.parametrize("family", sorted(golden_losses.RUNS))
def test_losses_are_those_of_the_golden_run(family: str, tmp_path: Path) -> None:
    golden = json.loads(golden_losses.FILE.read_text(encoding="utf-8"))[family]
    found = golden_losses.losses(family, tmp_path)
    assert len(found) == golden_losses.STEPS
    for step, (now, before) in enumerate(zip(found, golden, strict=True), start=1):
        assert now == pytest.approx(before, rel=1e-4, abs=1e-6), f"step {step}"
