"""What is wrong is one plain sentence, whatever kind of wrong it is."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from genwright.cli.app import main
from helpers.collect_task import write_texts


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit status, and all that standard error got."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0), capsys.readouterr().err


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    write_texts(tmp_path / "data", 12)
    Path("poems.yaml").write_text("task: write\ndata: {sources: [{folder: data}]}\n", encoding="utf-8")
    return "poems.yaml"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("run --fresch x", "there is no option --fresch; did you mean --fresh? `genwright run --help` shows what there is."),
        ("ledgr x", "there is no command ledgr; did you mean ledger? `genwright --help` shows what there is."),
        ("run", "RECIPE is missing; `genwright run --help` shows what there is."),
        ("ledger a b", "b: more than this command takes; `genwright ledger --help` shows what there is."),
        ("chat --sytem x y", "there is no option --sytem; did you mean --system? `genwright chat --help` shows what there is."),
    ],
)  # fmt: skip
def test_a_wrong_command_line(arguments: str, sentence: str, capsys) -> None:
    assert told(capsys, *arguments.split()) == (2, f"genwright: {sentence}\n")


def test_a_value_that_can_not_be(capsys) -> None:
    status, err = told(capsys, "run", "r.yaml", "--threads", "many")
    assert status == 2 and err.startswith("genwright: --threads: ") and err.count("\n") == 1


def test_version_and_short_help(capsys) -> None:
    for arguments, words in (("--version", "genwright 0."), ("-h", "Commands:"), ("run -h", "--more"), ("chat -h", "/retry"), ("generate -h", "--out")):  # fmt: skip
        with pytest.raises(SystemExit) as end:
            main(arguments.split())
        assert not end.value.code and words in capsys.readouterr().out


def test_help_has_the_way_of_a_user_first_then_the_stages_and_cuts_nothing(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out.partition("\n")[2]
    commands = [line.split()[0] for line in shown.partition("Commands:")[2].splitlines() if line[2:3].strip()]
    assert commands[:3] == ["new", "plan", "run"] and commands[-1] == "report"
    assert shown.index("one at a time") < shown.index("  collect ")
    assert "..." not in shown.replace('"..."', "") and max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("stage", ["collect", "run"])
def test_ctrl_c_before_the_first_step_says_how_to_go_on(recipe: str, stage: str, capsys, monkeypatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("genwright.stages.collect.stage.run", stopped)
    status, err = told(capsys, stage, recipe)
    assert status == 130 and "the same command goes on" in err and "Aborted" not in err


def test_a_disk_without_locks_is_told(recipe: str, capsys, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    status, err = told(capsys, "collect", recipe)
    assert status == 1 and "runs/poems/lock: this disk keeps no locks" in err and "unexpected" not in err


def test_what_no_longer_fits_on_the_disk_leaves_nothing_half_written(recipe: str) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))

    done = subprocess.run(
        [sys.executable, "-m", "genwright", "collect", recipe], capture_output=True, text=True, preexec_fn=small, timeout=120
    )  # fmt: skip
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and "runs/poems/" in last and "unexpected" not in last
    assert not list(Path("runs").rglob(".*"))


@pytest.mark.parametrize("place", ["a file", "a link to itself"])
def test_a_place_that_can_be_no_run_folder(recipe: str, place: str, capsys) -> None:
    Path("runs").touch() if place == "a file" else Path("runs").symlink_to("runs")
    status, err = told(capsys, "collect", recipe)
    assert status in (1, 2) and err.startswith("genwright: runs") and "unexpected" not in err


def test_a_name_that_is_too_long_names_no_run(recipe: str, capsys) -> None:
    for command in ("generate", "ledger", "explain", "report"):
        more = ["--nearest", "x"] if command == "explain" else []
        status, err = told(capsys, command, "runs/typo", *more) if command == "generate" else told(capsys, command, "x" * 400, *more)  # fmt: skip
        assert status in (1, 2) and "unexpected" not in err and err.count("\n") == 1


def test_names_of_every_kind_are_shown_in_one_line(recipe: str, capsys) -> None:
    folder = Path("data [old]\n\x1b[31m")
    write_texts(folder, 12)
    name = "exp[final] & 'v1'.yaml"
    Path(name).write_text(f"task: write\ndata: {{sources: [{{folder: {str(folder)!r}}}]}}\n".replace("'data", '"data').replace("31m'", '31m"'))  # fmt: skip
    status, err = told(capsys, "collect", name)
    assert status == 0 and "\x1b" not in err and r"data [old]\n\x1b[31m" in err
    for command in ("runs", "ledger runs/exp"):
        with pytest.raises(SystemExit):
            main(["ledger", f"runs/{Path(name).stem}"] if command != "runs" else ["runs"])
        out = capsys.readouterr().out
        assert "\x1b" not in out and ("exp[final]" in out if command == "runs" else "[old]" in out)


def test_what_ends_an_evaluation_is_told_in_one_line(
    recipe: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGTERM, as a scheduler or a shutdown sends it, where nothing but a training minds signals of its own."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("genwright.stages.pipeline.run_stages", lambda *rest: os.kill(os.getpid(), signal.SIGTERM))
    status, said = told(capsys, "evaluate", recipe)
    assert status == 143
    assert said == "genwright: stopped by SIGTERM; what is done is kept, and the same command goes on.\n"
    assert signal.getsignal(signal.SIGTERM) is before
