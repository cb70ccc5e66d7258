"""`genwright explain RUN PROMPT`, `--between` and `--direction`: a PNG for each, and one sentence where that can't be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from genwright import model_folder as models
from genwright.cli.app import main
from helpers.drawing_models import drawing_model
from helpers.random_models import text_folder


def explain(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["explain", *map(str, arguments)])
    return int(end.value.code or 0)


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    models.save(drawing_model("flow", size=16), tmp_path / "run" / "model")
    return tmp_path / "run" / "model"


def test_each_is_one_strip_with_words_below(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = {
        "attention": (["a red apple"], 4),
        "between": (["--between", "red apple", "cat face"], 9),
        "direction": (["red apple", "--direction", "cat"], 9),
    }
    for kind, (arguments, tiles) in asked.items():
        assert explain(flow, *arguments, "--seed", 1) == 0
        place = Path(capsys.readouterr().out.strip())
        assert place.parent == flow.parent / "explain" / kind
        with Image.open(place) as strip:
            assert strip.width == tiles * (128 + 8) + 8
    assert explain(flow, "red apple", "--json") == 0
    assert json.loads(capsys.readouterr().out)["below"][0] == "red apple"


@pytest.mark.parametrize("family", ["gan", "vae"])
def test_families_of_one_step_go_between_words_but_look_at_none(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "handed-on"
    models.save(drawing_model(family, size=16), folder)
    assert explain(folder, "--between", "red apple", "cat face") == 0
    assert Path(capsys.readouterr().out.strip()).parent == tmp_path / "handed-on-explain" / "between"
    assert explain(folder, "red apple") == 2
    assert "attention maps are for a flow that was trained with words" in capsys.readouterr().err


def test_what_can_not_be_asked_is_one_sentence(flow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {
        ("red", "--between", "a", "b"): "leave out --direction and the prompt",
        ("red", "--nearest", "x"): "ask for one of them at a time",
        ("?!",): "a prompt with a word in it",
    }
    for arguments, said in wrong.items():
        assert explain(flow, *arguments) == 2
        assert said in capsys.readouterr().err
    assert explain(text_folder(tmp_path / "text"), "To be") == 2
    assert "for texts there is --nearest TEXT" in capsys.readouterr().err
