"""The command line: commands pinned, help without torch, errors in one sentence."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genwright.cli.app import main

COMMANDS = [
    "new",
    "plan",
    "run",
    "generate",
    "chat",
    "explain",
    "compare",
    "ledger",
    "runs",
    "doctor",
    "collect",
    "prepare",
    "train",
    "evaluate",
    "export",
    "report",
]


def genwright(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "genwright", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    )


def test_the_commands_are_pinned() -> None:
    import typer.main

    from genwright.cli.app import app

    group = typer.main.get_command(app)
    assert group.list_commands(None) == COMMANDS and set(group.commands) == set(COMMANDS)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "setup",
    [
        "sys.argv = ['genwright', '--help']",
        "sys.argv = ['genwright', 'run', '--help']",
        "sys.argv = ['genwright', 'generate', '--help']",
        "import os; os.environ.update(_GENWRIGHT_COMPLETE='complete_bash', COMP_WORDS='genwright ', COMP_CWORD='1'); sys.argv = ['genwright']",
    ],
)
def test_help_and_completion_import_neither_torch_nor_numpy(setup: str) -> None:
    code = f"import sys; {setup}\nfrom genwright.cli.app import main\ntry:\n    main()\nexcept SystemExit as end:\n    status = end.code or 0\nheavy = {{'torch', 'numpy', 'pyarrow'}} & set(sys.modules)\nsys.exit(f'{{status}} {{heavy}}' if heavy or status else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "run" in done.stdout or "generate" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nowhere.yaml"], ["nowhere.yaml", "can't be read"]),
        (["generate", "nowhere"], ["nowhere", "neither a run nor a model folder"]),
        (["ledger", "nowhere"], ["nowhere", "not a run folder"]),
        (["run"], ["RECIPE"]),
        (["fly"], ["fly"]),
    ],
)
def test_a_wrong_request_exits_2_with_one_sentence(arguments: list[str], words: list[str], tmp_path: Path) -> None:
    done = genwright(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = genwright("run", "nowhere.yaml", "--debug", cwd=tmp_path)
    assert "Traceback" in done.stderr


def test_new_asks_on_a_terminal_where_two_tasks_are_near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    folder = tmp_path / "half"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.py").write_text(f"def part{number}(x):\n" + "    x = x + 1\n" * 100)
        (folder / f"{number}.txt").write_text(f"{number} It was late, and the lamp burned. " * 10)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", Terminal("poems\ncomplete\n"))
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: sys.stdin.readline().strip())
    with pytest.raises(SystemExit) as end:
        main(["new", str(folder)])
    assert end.value.code == 0
    assert "task: complete" in (tmp_path / "half.yaml").read_text()
