"""What every task owes its users, whichever family does it: from a folder of their own to what the printed example makes."""

from __future__ import annotations

import html
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import genwright as gw
from genwright import recipe as recipes
from genwright.cli.app import main
from genwright.exporters.formats import FORMATS
from genwright.registry import about
from genwright.run import Run, read_json
from genwright.training import checkpoint
from helpers import ASSETS
from helpers.hands import write_hands
from helpers.outside import environment

STEPS = 40
TRAIN = (
    f"train.budget={STEPS} steps",
    "train.batch=4",
    "train.precision=fp32",
    "train.compile=off",
    "train.checkpoint_every=5 steps",
    "train.validate_times=2",
    "train.previews=1",
    "train.patience=0",
    "evaluate.samples=6",
)


@dataclass(frozen=True)
class Tiny:
    """Real data of a task, put into a folder, and the settings that make its model small."""

    data: Callable[[Path], object]
    settings: tuple[str, ...]


def copied(source: Path) -> Callable[[Path], object]:
    return lambda folder: shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__"))


def conversations(folder: Path) -> None:
    """Some of two people's conversations, in the shape that most programs export."""
    folder.mkdir()
    rows = (ASSETS / "chats" / "chitchat.jsonl").read_text(encoding="utf-8").splitlines()[:60]
    with (folder / "conversations.jsonl").open("w", encoding="utf-8") as out:
        for row in map(json.loads, rows):
            said = [" ".join(line["text"] for line in turn) for turn in row["messages"]]
            roles = ("user", "assistant") * len(said)
            turns = [{"role": role, "content": text} for role, text in zip(roles, said, strict=False)]
            out.write(json.dumps({"messages": turns}) + "\n")


def names(folder: Path) -> None:
    folder.mkdir()
    for a in ("an", "ber", "cla", "do", "em", "frie", "gre", "han"):
        for b in ("ke", "la", "na", "ra", "ta", "da"):
            (folder / f"{a}{b}.txt").write_text(f"{a}{b}", encoding="utf-8")


def pictures_and_a_broken_one(folder: Path) -> None:
    """Beside the pictures the one that the task's example names."""
    copied(ASSETS / "pictures")(folder)
    shutil.copy(ASSETS / "pictures" / "1f34e.png", folder.parent / "broken.png")


def tones(folder: Path) -> None:
    """Recordings of a thousandth of full scale and more; and the one that the task's example names."""
    folder.mkdir()
    for number, file in enumerate([folder.parent / "quiet.wav", *(folder / f"{n:02}.wav" for n in range(40))]):
        with wave.open(str(file), "wb") as out:
            out.setparams((1, 2, 8000, 0, "NONE", ""))
            out.writeframes(
                b"".join((50 * ((-1) ** n) + number).to_bytes(2, "little", signed=True) for n in range(1600))
            )


DECODER = ("model.layers=1", "model.width=32")
TINY = {
    "write": Tiny(copied(ASSETS / "text"), (*DECODER, "model.context=32")),
    "chat": Tiny(conversations, (*DECODER, "model.context=64")),
    "complete": Tiny(copied(ASSETS / "runs" / "484daea" / "data" / "code"), (*DECODER, "model.context=64")),
    "draw": Tiny(copied(ASSETS / "pictures"), ("model.size=16",)),
    "repair": Tiny(pictures_and_a_broken_one, ("model.size=16",)),
    "restyle": Tiny(lambda folder: write_hands(folder, same_names=False), ("model.size=16",)),
    "names": Tiny(names, (*DECODER, "model.context=16")),
    "mosaic": Tiny(copied(ASSETS / "pictures"), ("model.size=8", "model.codec.width=8", "model.prior.width=16")),
    "loudness": Tiny(tones, ()),
}
SMALL = {("draw", family): ("model.width=16",) for family in ("flow", "gan", "vae")} | {
    ("draw", "transformer"): ("model.codec.width=16", "model.prior.layers=1", "model.prior.width=32"),
    ("restyle", "flow"): ("model.width=16",),
    ("restyle", "cycle"): ("model.width=16",),
}
"""Settings that make it small which only some families have."""


def genwright(*arguments: object) -> int:
    """The exit status of a command."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


def keeps_its_promises(
    task: str, family: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Walk with a task and a family in `here`, the folder that the test stands in."""
    assert task in TINY, f"no tiny data for the task {task}: add some to TINY"
    recipe = recipe_of_new(task, family, here, capsys)
    plan_says_what_it_will_cost(recipe, here, capsys)
    killed = here / "killed"
    kill_in_training(recipe, killed)
    kill_in_training(recipe, killed)  # what goes on from a checkpoint must itself be good to go on from
    run = Run(here / "runs" / "tiny")
    said = run_to_the_end(recipe, capsys)
    assert genwright("train", recipe, "--run-dir", killed, "--device", "cpu", "--threads", "1") == 0
    same_weights(run, Run(killed))
    report_and_card(run, task, family)
    with monkeypatch.context() as inside:
        printed_example(said, run, inside, capsys)
    leaves_or_says_why_not(run, capsys)
    explains_or_says_why_not(run, capsys)


def recipe_of_new(task: str, family: str, here: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """`new` writes a recipe for the task; made small, and for the family."""
    TINY[task].data(here / "data")
    assert genwright("new", here / "data", "--task", task) == 0
    said = capsys.readouterr().out
    file = here / "data.yaml"
    assert f"a recipe for `{task}`" in said and file.exists()
    settings = [*TINY[task].settings, *SMALL.get((task, family), ())]
    if "\n  from: " in file.read_text(encoding="utf-8"):  # so little data is for weights that can write already
        settings += ["model.from=null", "model.lora=null"]
    small = recipes.load(file, [*TRAIN, *settings, f"model.family={family}"])
    assert (small.task, small.family) == (task, family)
    tiny = here / "tiny.yaml"
    tiny.write_text(small.to_yaml(), encoding="utf-8")
    return tiny


def plan_says_what_it_will_cost(recipe: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert genwright("plan", recipe, "--run-dir", here / "planned", "--device", "cpu", "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["parameters"] > 0 and plan["seconds"] > 0 and plan["memory_bytes"] > 0
    assert plan["steps"] == STEPS and sum(part["settings"]["steps"] for part in plan["parts"].values()) == STEPS


def kill_in_training(recipe: Path, folder: Path) -> None:
    """SIGKILL as soon as a checkpoint stands there that did not before."""

    def standing() -> set[Path]:
        return set(folder.glob(f"train/*/checkpoints/step-*/{checkpoint.MANIFEST}"))

    before = standing()
    command = [sys.executable, "-m", "helpers.outside", "run", str(recipe), "--run-dir", str(folder)]
    process = subprocess.Popen(
        [*command, "--anyway", "--device", "cpu", "--threads", "1"],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and not standing() - before:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()[-500:]
    assert not (folder / "train" / "stage.json").exists()


def run_to_the_end(recipe: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert genwright("run", recipe, "--anyway", "--device", "cpu", "--threads", "1") == 0
    return capsys.readouterr().out


def same_weights(whole: Run, killed: Run) -> None:
    """Bit for bit: the hashes of the best weights of every part."""
    for run in (whole, killed):
        assert run.record("train") is not None
    assert whole.record("train").outputs == killed.record("train").outputs  # type: ignore[union-attr]


def report_and_card(run: Run, task: str, family: str) -> None:
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert run.name in page and "Traceback" not in page
    scores = read_json(run.stage("evaluate") / "scores.json")
    assert scores["headline"] and {"model", "real"} <= {row["kind"] for row in scores["rows"]}
    card = (run.stage("export") / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(card.split("---")[1])
    assert header["pipeline_tag"] != "other", f"the card of {task} says nothing of what it does"
    assert family in card
    assert "{{" not in card and "None" not in re.sub(r"`[^`]*`", "", card)


def printed_example(said: str, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What terminal, report and card tell the user to type makes something, as it stands there; so does their Python."""
    (line,) = (line for line in said.splitlines() if line.startswith("generate "))
    page = html.unescape(re.sub("<[^>]*>", "\n", run.report.read_text(encoding="utf-8")))
    card = (run.stage("export") / "README.md").read_text(encoding="utf-8")
    commands = [line.removeprefix("generate ").strip()]
    commands += re.findall(r"genwright generate .*", page) + re.findall(r"^genwright generate .*", card, re.MULTILINE)
    assert len(commands) == 3, commands
    for command in commands:
        words = shlex.split(command)
        assert words[:2] == ["genwright", "generate"]
        if words[2] == ".":  # the card is written for who has the model folder alone
            monkeypatch.chdir(run.stage("export"))
            takes_a_file(run, words)
        assert genwright(*words[1:], "--device", "cpu") == 0, command
        made = capsys.readouterr().out
        assert made  # of a text that may be white space alone, after so few steps
        if about(run_task(run)).medium != "text":
            assert all(Path(file).stat().st_size for file in made.split("\n") if file)
    asked = re.search(r"\.generate\((.*)\):", card)
    assert asked
    if "Blob(" not in asked[1]:
        assert eval(f"list(gw.load('.', device='cpu').generate({asked[1]}))", {"gw": gw})


def takes_a_file(run: Run, words: list[str]) -> None:
    """Where the example is a file, it stands beside the data."""
    if words[3:] and (file := run.folder.parents[1] / words[3]).is_file():
        shutil.copy(file, words[3])


def leaves_or_says_why_not(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Every format takes it, or says in a sentence why not."""
    for form in FORMATS:
        status = genwright("export", run.folder, "--as", form, "--out", run.folder.parent / f"as-{form}")
        captured = capsys.readouterr()
        if status == 0:
            assert Path(captured.out.strip()).is_dir()
        else:
            one_sentence(status, captured.err, form)


def explains_or_says_why_not(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    status = genwright("explain", run.folder, "--nearest", "the quick brown fox jumps over the lazy dog")
    captured = capsys.readouterr()
    if status == 0:
        assert captured.out.strip()
    else:
        one_sentence(status, captured.err, str(run.folder.name))


def one_sentence(status: int, said: str, about: str) -> None:
    assert status == 2, said
    last = [line for line in said.splitlines() if line.startswith("genwright: ")]
    assert len(last) == 1 and about in last[0] and last[0].endswith("."), said


def run_task(run: Run) -> str:
    return yaml.safe_load((run.folder / "recipe.yaml").read_text(encoding="utf-8"))["task"]
