"""A medium from outside the package is collected, trained on, shown, counted and delivered like those inside; a task that works on a
file is asked through the real command."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genwright import api, ledger, recipe
from genwright.cli.app import main
from genwright.errors import RequestError
from genwright.registry import FAMILIES, MEDIA, TASKS, Entry, Registry
from genwright.request import Blob
from genwright.run import Run
from genwright.scores import Exhibit, ScoreSheet
from genwright.stages.collect.account import read_data
from genwright.stages.pipeline import Options, run_stages
from genwright.stages.report import stage as report
from genwright.survey.command import new
from helpers import ASSETS, TESTS

OUTSIDE = TESTS / "outside"
ENTRIES: list[tuple[Registry, str, Entry]] = [
    (MEDIA, "wav", Entry("wav:WAV")),
    (FAMILIES, "mean", Entry("loudness:Mean", "loudness_options")),
    (TASKS, "loudness", Entry("loudness:Loudness", "loudness_options")),
]
REGISTER = f"""
import sys
sys.path.insert(0, {str(OUTSIDE)!r})
from genwright.registry import FAMILIES, MEDIA, TASKS, Entry
MEDIA.register("wav", Entry("wav:WAV"))
FAMILIES.register("mean", Entry("loudness:Mean", "loudness_options"))
TASKS.register("loudness", Entry("loudness:Loudness", "loudness_options"))
from genwright.cli.app import main
main()
"""


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(OUTSIDE))
        for registry, name, entry in ENTRIES:
            registry.register(name, entry)
        yield
        for registry, name, _ in ENTRIES:
            registry.unregister(name)


@pytest.fixture(scope="module")
def data(registered: None) -> Iterator[Path]:
    """Thirty tones of different lengths at a level of 1000, beside a torn one, a short one and a text."""
    from loudness import tone
    from wav import WAV

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "tones"
        folder.mkdir()
        for number in range(30):
            seconds = 0.2 + number
            (folder / f"{number:02}.wav").write_bytes(WAV.encode(tone(200 + 10 * number, seconds), {}))
        (folder / "torn.wav").write_bytes((folder / "07.wav").read_bytes()[:5000])
        (folder / "click.wav").write_bytes(WAV.encode(tone(200, 0.02), {}))
        (folder / "noise.wav").write_bytes(bytes(range(256)))
        (folder / "readme.txt").write_text("Tones, made by rule.")
        yield folder


@pytest.fixture(scope="module")
def run(data: Path) -> Run:
    text = f"task: loudness\ndata: {{sources: [{{folder: {data}}}]}}\ntrain: {{budget: 150 steps, previews: 2}}\n"
    made = Run(data.parent / "run")
    run_stages(recipe.parse(text), made, Options(device="cpu", anyway=True))
    return made


def command(*arguments: str, cwd: Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """`genwright` with the package from outside, as an entry point would have it."""
    return subprocess.run(
        [sys.executable, "-c", REGISTER, *arguments],
        input=given, capture_output=True, cwd=cwd, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def here(*arguments: str) -> int:
    """The same in this process, which is quicker; returns the exit status."""
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    return stopped.value.code if isinstance(stopped.value.code, int) else 0


def test_it_is_measured_and_the_measures_stand_in_the_fields(run: Run) -> None:
    items = {item.path: item for item in ledger.read_run(run)}
    assert items["03.wav"].medium == "wav" and items["03.wav"].fields == {"seconds": "3.2", "rate": "8000"}
    assert (items["03.wav"].characters, items["03.wav"].width) == (None, None)
    dropped = {path: (item.reason, item.detail) for path, item in items.items() if not item.kept}
    assert dropped.pop("torn.wav") == ("undecodable", "cut short")
    assert dropped.pop("noise.wav") == ("undecodable", "its name says wav, its first bytes do not")
    assert dropped.pop("click.wav") == ("too_small", "0.02 seconds; the recipe asks for 0.1")
    assert dropped == {"readme.txt": ("wrong_medium", "text, not wav")}


def test_what_was_measured_is_not_measured_again(run: Run) -> None:
    seen = (run.stage("collect") / "seen.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(seen[0])["decoder"].startswith("wave of Python")
    line = next(json.loads(line) for line in seen[1:] if "03.wav" in line)
    assert line[1]["measures"] == {"seconds": 3.2, "rate": 8000}


def test_its_sizes_are_in_its_own_measure(run: Run) -> None:
    view = read_data(run)
    assert view and view.sizes_title == "seconds a recording"
    assert sum(count for _, count in view.sizes) == view.kept == 30


def test_the_report_plays_it(run: Run) -> None:
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    sample = base64.b64encode((run.stage("evaluate") / "sample.wav").read_bytes()).decode()
    assert f'<audio controls src="data:audio/wav;base64,{sample}" aria-label="A tone">' in page
    assert "media-src data:" in page, "the page's own policy lets it be heard"
    assert 'aria-label="Preview at step ' in page


def test_what_no_medium_shows_is_named_in_the_report(run: Run, tmp_path: Path) -> None:
    copy = Run(tmp_path / "copy")
    shutil.copytree(run.folder, copy.folder)
    sheet = ScoreSheet.read(copy.stage("evaluate") / "scores.json")
    (copy.stage("evaluate") / "dance.swf").write_bytes(b"FWS")
    (copy.stage("evaluate") / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    sheet.exhibits += [Exhibit(name=file, title=file, file=file) for file in ("dance.swf", "torn.png", "gone.txt")]
    sheet.write(copy.stage("evaluate") / "scores.json")
    chosen = recipe.load(copy.folder / "recipe.yaml")
    page = report.run(chosen, copy).read_text(encoding="utf-8")
    for file in ("dance.swf", "torn.png", "gone.txt"):
        assert f"<code>{file}</code> can't be shown (" in page
    public = report.run(chosen, copy, public=True).read_text(encoding="utf-8")
    assert "<code>torn.png</code> can't be shown." in public and str(tmp_path) not in public


def test_new_counts_it_in_its_own_words(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = new(data, "loudness", where=tmp_path)
    said = capsys.readouterr().out
    assert "31 recordings, 441.0 seconds, 14.2 in the middle one" in said
    assert "1 text, 20 characters" in said
    assert recipe.load(tmp_path / file.name).task == "loudness"


def test_captions_lie_beside_it(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "spoken"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.wav").write_bytes((data / f"{number:02}.wav").read_bytes())
        (folder / f"{number}.txt").write_text(f"Tone number {number}.")
    file = new(folder, "loudness", where=tmp_path)
    assert "captions: beside     # recording.txt is the caption of recording.wav" in file.read_text(encoding="utf-8")
    assert "3 of them with a caption beside them" in capsys.readouterr().out


def test_the_command_takes_a_file_and_writes_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from loudness import Recording, root_mean_square, tone
    from wav import WAV, decode

    (tmp_path / "quiet.wav").write_bytes(WAV.encode(tone(300, 0.5, level=50), {}))
    done = command("generate", str(run.folder), "quiet.wav", "--out", "made", cwd=tmp_path)
    assert done.stdout.decode() == "made/quiet-0000.wav\n", done.stderr.decode()
    made = decode((tmp_path / "made" / "quiet-0000.wav").read_bytes())
    assert isinstance(made, Recording) and abs(root_mean_square(made) / 1000 - 1) < 0.1
    monkeypatch.chdir(tmp_path)
    assert here("generate", str(run.folder), "quiet.wav", "--out", "other.wav", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"index": 0, "kind": "wav", "file": "other.wav", "of": "quiet.wav"}
    assert (tmp_path / "other.wav").read_bytes() == (tmp_path / "made" / "quiet-0000.wav").read_bytes()
    piped = command(
        "generate", str(run.folder), "-", "--out", "-", cwd=tmp_path, given=(tmp_path / "quiet.wav").read_bytes()
    )
    assert piped.stdout == (tmp_path / "other.wav").read_bytes()
    assert {entry.name for entry in tmp_path.iterdir()} == {"quiet.wav", "made", "other.wav"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "RECORDING: Field required"),
        (["nowhere.wav"], "RECORDING nowhere.wav: can't be read (No such file or directory); name a file."),
        (["heart.png"], "RECORDING: heart.png: no recording, but image by its first bytes."),
        (["quiet.wav", "--gain", "0"], "--gain: Input should be greater than 0 (given: 0.0)."),
        (["quiet.wav", "--out", "x.png"], "--out x.png: what is made is a .wav file"),
        (["quiet.wav", "--out", "-", "--json"], "--out -: standard output takes one output"),
    ],
)
def test_a_wrong_file_is_one_sentence(
    run: Run,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: list[str],
    said: str,
) -> None:
    (tmp_path / "quiet.wav").write_bytes((data / "00.wav").read_bytes())
    (tmp_path / "heart.png").write_bytes((ASSETS / "pictures" / "1f493.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert here("generate", str(run.folder), *given) == 2
    shown = capsys.readouterr()
    assert said in shown.err and len(shown.err.splitlines()) == 1 and shown.out == ""


def test_python_gives_bytes_and_gets_what_it_can_save(run: Run, data: Path, tmp_path: Path) -> None:
    generator = api.load(run.folder)
    blob = Blob(name="00.wav", data=(data / "00.wav").read_bytes())
    assert blob.medium == "wav"
    (made,) = generator.generate(blob, gain=0.5)
    made.save(tmp_path / "half.wav")
    assert (tmp_path / "half.wav").read_bytes()[:4] == b"RIFF"
    with pytest.raises(RequestError, match=r"`recording`: Input should be"):
        list(generator.generate("a path is no recording"))


def test_an_unknown_medium_is_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    task: Any = TASKS["loudness"].load()
    monkeypatch.setattr(task, "medium", "wave")
    chosen = recipe.load(run.folder / "recipe.yaml")
    with pytest.raises(RequestError, match=r"There is no medium 'wave'; did you mean 'wav'\?"):
        run_stages(chosen, Run(run.folder.parent / "other"), Options(device="cpu", anyway=True), ["collect"])
