"""Bad pictures in requests to mend one, in one table: one sentence each that names the file or the option, and nothing is written."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from helpers.bomb import bomb
from helpers.contract import genwright
from helpers.repairing import repair_folder


def picture(
    side: tuple[int, int] = (40, 30), form: str = "PNG", colour: str | int = "teal", mode: str = "RGB"
) -> bytes:
    out = io.BytesIO()
    Image.new(mode, side, colour).save(out, form)
    return out.getvalue()


CASES: list[tuple[str, dict[str, bytes], list[str], list[str]]] = [
    ("a mask of another size", {"a.png": picture(), "m.png": picture((30, 40), colour="white")}, ["--mask", "m.png"], ["m.png", "30 x 40", "40 x 30"]),
    ("an empty mask", {"a.png": picture(), "m.png": picture(colour="black")}, ["--mask", "m.png"], ["m.png", "marks nothing"]),
    ("a mask that is a text", {"a.png": picture(), "m.png": b"white everywhere"}, ["--mask", "m.png"], ["--mask", "m.png", "no picture"]),
    ("a mask that is not there", {"a.png": picture()}, ["--mask", "m.png"], ["--mask", "m.png"]),
    ("50,000 pixels a side", {"a.png": bomb()}, ["--fix", "noise"], ["a.png", "bomb", "178,956,970"]),
    ("a truncated AVIF", {"a.png": picture((64, 64), "AVIF")[:-40]}, ["--fix", "noise"], ["a.png", "undecodable"]),
    ("a truncated JPEG", {"a.png": picture((400, 400), "JPEG")[:700]}, ["--fix", "noise"], ["a.png", "undecodable"]),
    ("nothing asked", {"a.png": picture()}, [], ["a.png", "`fix`", "`mask`"]),
    ("a box beyond the picture", {"a.png": picture()}, ["--box", "30,20,20,20"], ["`box`", "40 x 30"]),
    ("a box that is none", {"a.png": picture()}, ["--box", "left"], ["--box", "x,y,width,height"]),
    ("an unknown fix", {"a.png": picture()}, ["--fix", "scratches"], ["--fix", "scratches"]),
    ("an unknown scale", {"a.png": picture()}, ["--scale", "3"], ["--scale", "3"]),
    ("a scale too large", {"a.png": picture((4000, 3400), "JPEG")}, ["--scale", "4"], ["`scale`", "a.png", "50,000,000"]),
    ("an ending of another kind", {"a.png": picture()}, ["--fix", "noise", "--out", "whole.gif"], ["whole.gif", ".png"]),
    ("a picture that is not there", {}, ["--fix", "noise"], ["a.png"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repair_folder(tmp_path_factory.mktemp("model") / "repair")


@pytest.mark.parametrize(("name", "files", "asked", "says"), CASES, ids=[case[0] for case in CASES])
def test_bad_pictures_are_one_sentence(
    name: str,
    files: dict[str, bytes],
    asked: list[str],
    says: list[str],
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for file, content in files.items():
        Path(file).write_bytes(content)
    assert genwright("generate", model, "a.png", *asked) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("genwright: ") and all(word in lines[0] for word in says), (
        captured.err
    )
    assert not captured.out and sorted(path.name for path in tmp_path.iterdir()) == sorted(files)


GOOD: list[tuple[str, Callable[[], bytes], list[str]]] = [
    ("one pixel", lambda: picture((1, 1)), ["--fix", "noise"]),
    ("a strip", lambda: picture((700, 2)), ["--fix", "jpeg"]),
    ("all of it masked", lambda: picture((20, 20)), ["--box", "0,0,20,20", "--steps", "1"]),
    ("wholly transparent", lambda: picture((20, 20), colour=0, mode="LA"), ["--steps", "1"]),  # type: ignore[arg-type]
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "asked"), GOOD, ids=[case[0] for case in GOOD])
def test_odd_pictures_are_mended(
    name: str,
    content: Callable[[], bytes],
    asked: list[str],
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(content())
    assert genwright("generate", model, "a.png", *asked, "--out", "whole.png") == 0
    with Image.open("whole.png") as made, Image.open("a.png") as before:
        assert made.size == before.size
