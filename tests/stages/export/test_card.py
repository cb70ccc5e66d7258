"""The card of each task: its tags and its words are that task's, and the Python in it runs."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from genwright import __version__, recipe
from genwright.registry import about
from genwright.run import Run
from genwright.stages.pipeline import Options, run_stages
from helpers import ASSETS, ROOT

TEXT_MODEL = {"layers": 1, "width": 32, "context": 32}
TASKS: dict[str, dict[str, Any]] = {
    "write": {"data": {"sources": [{"folder": str(ASSETS / "text")}]}, "model": TEXT_MODEL},
    "chat": {"data": {"sources": [{"table": str(ASSETS / "chats" / "chitchat.jsonl")}]}, "prepare": {"conversation": {"role": "sender", "text": "text", "both": True}}, "model": TEXT_MODEL | {"context": 128}},
    "complete": {"data": {"sources": [{"folder": str(ROOT / "src/genwright/metrics"), "include": ["*.py"]}]}, "model": TEXT_MODEL},
    "draw": {"data": {"sources": [{"folder": str(ASSETS / "pictures"), "join": {"table": "emoji.jsonl", "path": "{image}", "text": "{text}"}}]}, "model": {"size": 16, "width": 16}},
}  # fmt: skip


@pytest.fixture(scope="module", params=list(TASKS))
def card(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The card of a run of a task."""
    run = Run(tmp_path_factory.mktemp("card") / request.param)
    train = {"budget": "2 steps", "batch": 4, "previews": 0, "validate_times": 0}
    made = recipe.parse(json.dumps({"task": request.param, "train": train, **TASKS[request.param]}))
    run_stages(made, run, Options(device="cpu", offline=True, anyway=True), ["collect", "prepare", "train", "export"])
    return run.stage("export") / "README.md"


def test_it_says_how_to_get_genwright_in_a_way_that_works(card: Path):
    """No package of this name is on PyPI: a folder that pip takes, or the wheel that comes of it (tests/test_wheel.py makes one)."""
    installed = re.findall(r"pip install (\S+)", card.read_text(encoding="utf-8"))
    assert installed == ["/path/to/genwright", f"genwright-{__version__}-py3-none-any.whl"]


def test_it_is_tagged_as_what_it_is(card: Path):
    task = card.parent.parent.name
    header = yaml.safe_load(card.read_text(encoding="utf-8").split("---\n")[1])
    assert header["pipeline_tag"] == {"draw": "text-to-image"}.get(task, "text-generation")
    assert {"chat": "conversational", "complete": "code"}.get(task, task) in header["tags"]
    assert header["library_name"] == ("genwright" if task == "draw" else "transformers")


def test_it_says_of_its_own_task_what_it_is_for(card: Path):
    text, task = card.read_text(encoding="utf-8"), card.parent.parent.name
    said = text.split("## What it is for, and what not\n")[1].split("\n## ")[0]
    assert about(task).limits in said and "What is biased or hurtful" in said
    for other in TASKS.keys() - {task}:
        assert about(other).limits not in text


def test_the_python_in_it_runs(card: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    blocks = re.findall(r"```python\n(.*?)```", card.read_text(encoding="utf-8"), re.DOTALL)
    task = card.parent.parent.name
    assert len(blocks) == (1 if task == "draw" else 2)
    monkeypatch.chdir(card.parent)
    for block in blocks:
        exec(textwrap.dedent(block), {})
        made = capsys.readouterr().out
        assert made or len(list(card.parent.glob("*.png"))) == 4
