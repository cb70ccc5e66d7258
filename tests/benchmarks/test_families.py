"""benchmarks/families.py: what its page says of finished runs."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from helpers import ROOT
from helpers.example_run import draw_run


@pytest.fixture(scope="module")
def families() -> ModuleType:
    spec = importlib.util.spec_from_file_location("families", ROOT / "benchmarks" / "families.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_a_column_a_family_and_spreads_over_seeds(families: ModuleType, tmp_path: Path) -> None:
    found = {}
    for family, kids in (("gan", (0.3, 0.5)), ("vae", (0.6, 0.61))):
        found[family] = []
        for seed, kid in enumerate(kids):
            run = draw_run(tmp_path / f"{family}-{seed}", family, seed, kid=kid)
            (run.folder / "seconds_a_picture.json").write_text("0.25", encoding="utf-8")
            found[family].append(families.Trained(family, seed, run.folder))
    rows = families.table(found)
    assert rows[0][1:] == ["gan", "vae", "real held-out pictures"]
    by = {row[0]: row[1:] for row in rows}
    assert by["KID ↓"][:2] == ["0.4 (0.3 to 0.5)", "0.605 (0.6 to 0.61)"]
    assert by["seconds a picture"][:2] == ["0.25 (0.25 to 0.25)"] * 2
    said = families.claims(found)
    assert any(one.startswith("**A GAN is unstable**: holds") and "gan 0.200, vae 0.010" in one for one in said)
    page = families.page(found, rows, ["how"], argparse.Namespace(seeds=[0, 1]))
    assert "3m each, 2 seeds" in page and "| KID ↓ | 0.4 (0.3 to 0.5) |" in page
