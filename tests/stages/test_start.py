"""Recipe and run folder: a run keeps the family that it was made with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from genwright.cli.app import main
from genwright.errors import RequestError
from genwright.stages.start import recipe_and_run
from genwright.tasks.draw import options
from helpers import ASSETS

RECIPE = f"task: draw\ndata: {{sources: [{{folder: {ASSETS / 'pictures'}}}]}}\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a run of draw.yaml, which names no family, was begun by `gan`; since then `draw` has another default."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(options, "ABOUT", replace(options.ABOUT, families=("gan", "vae")))
    (tmp_path / "draw.yaml").write_text(RECIPE, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["collect", "draw.yaml"])
    assert not ended.value.code and family_in(tmp_path) == "gan"
    monkeypatch.setattr(options, "ABOUT", replace(options.ABOUT, families=("vae", "gan")))
    return tmp_path


def family_in(place: Path) -> str:
    return yaml.safe_load((place / "runs" / "draw" / "recipe.yaml").read_text(encoding="utf-8"))["model"]["family"]


def test_a_run_goes_on_with_the_family_that_it_was_made_with(place: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["collect", "draw.yaml"])
    said = [line for line in capsys.readouterr().err.splitlines() if "made by gan" in line]
    assert len(said) == 1 and "vae, the default today" in said[0]
    assert family_in(place) == "gan"


def test_so_it_does_where_the_recipe_has_a_setting_of_that_family(place: Path):
    Path("draw.yaml").write_text(RECIPE + "model: {gamma: 2.0}\n", encoding="utf-8")
    recipe, _ = recipe_and_run(Path("draw.yaml"), None, None)
    assert (recipe.family, recipe.model.gamma) == ("gan", 2.0)


def test_a_recipe_that_names_a_family_gets_it(place: Path, capsys: pytest.CaptureFixture[str]):
    recipe, _ = recipe_and_run(Path("draw.yaml"), ["model.family=vae"], None)
    assert recipe.family == "vae"
    recipe, run = recipe_and_run(Path("runs/draw"), None, None)
    assert (recipe.family, run.folder) == ("gan", Path("runs/draw"))
    assert "made by" not in capsys.readouterr().err


def test_another_folder_another_task_and_a_broken_run_take_the_default(place: Path):
    assert recipe_and_run(Path("draw.yaml"), None, Path("runs/new"))[0].family == "vae"
    made = place / "runs" / "draw" / "recipe.yaml"
    for text in ("task: write\nmodel: {family: transformer}\n", "- no\n- recipe\n", "task: [\n", "task: draw\n"):
        made.write_text(text, encoding="utf-8")
        assert recipe_and_run(Path("draw.yaml"), None, None)[0].family == "vae"


def test_a_mistake_in_a_recipe_is_told_before_torch_is_loaded(tmp_path: Path):
    import subprocess
    import sys

    (tmp_path / "draw.yaml").write_text("task: drawn\n", encoding="utf-8")
    code = (
        "import sys; from genwright.cli.app import main\n"
        "try: main(['run', 'draw.yaml'])\n"
        "finally: assert 'torch' not in sys.modules, 'loaded'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "did you mean `draw`" in done.stderr and "loaded" not in done.stderr


def test_what_is_no_run_is_said(tmp_path: Path):
    with pytest.raises(RequestError, match="not a run folder"):
        recipe_and_run(tmp_path, None, None)
