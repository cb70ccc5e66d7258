"""The wheel holds all that the program reads: templates, fonts, C++ sources. Installed elsewhere, it runs a recipe."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from genwright import __version__
from helpers import ASSETS, ROOT

RECIPE = f"""\
task: write
data: {{sources: [{{folder: {ASSETS / "text"}}}]}}
model: {{layers: 1, width: 32, context: 32}}
train: {{budget: 4 steps, batch: 4, precision: fp32, compile: off, validate_times: 1, previews: 1}}
evaluate: {{samples: 4}}
"""


@pytest.mark.slow
def test_a_wheel_installed_elsewhere_runs_a_recipe(tmp_path: Path) -> None:
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(wheels), str(ROOT)], check=True, cwd=tmp_path)
    (wheel,) = wheels.glob("genwright-*.whl")
    assert wheel.name == f"genwright-{__version__}-py3-none-any.whl", "as cards call it"
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith(".py")}
    for file in (ROOT / "src" / "genwright").rglob("*"):
        if file.is_file() and file.suffix not in (".py", ".pyc"):
            assert file.relative_to(ROOT / "src").as_posix() in packed
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(wheel)], check=True)
    (tmp_path / "tiny.yaml").write_text(RECIPE, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(site)}
    for arguments in (
        ["run", "tiny.yaml", "--anyway", "--device", "cpu"],
        ["generate", "runs/tiny", "To be", "--max-tokens", "20"],
    ):
        done = subprocess.run([sys.executable, "-m", "genwright", *arguments], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)  # fmt: skip
        assert done.stdout.strip()
    where = "import genwright; print(genwright.__file__)"
    shown = subprocess.run([sys.executable, "-c", where], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)  # fmt: skip
    assert shown.stdout.startswith(str(site))
    assert (tmp_path / "runs" / "tiny" / "report.html").exists()
