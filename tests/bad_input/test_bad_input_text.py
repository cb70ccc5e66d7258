"""Bad input for text: in the data, in the recipe, in weights and templates to start from, in what is asked of a model.

Each case runs the command in this process, in a folder with good data and a finished run, and says the exit status and what the
last line names. What was there before is there afterwards, byte for byte.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import load_file, save_file

from genwright import ledger
from genwright import model_folder as models
from genwright.cli.app import main
from genwright.exporters.gguf import file as gguf_file
from genwright.exporters.gguf.tokenizer import read_vocabulary
from genwright.exporters.source import source_of
from genwright.run import Run

TINY: dict[str, Any] = {"layers": 1, "width": 32, "context": 32}
TRAIN: dict[str, Any] = {"budget": "4 steps", "batch": 2, "previews": 0, "validate_times": 1, "compile": "off"}
GENERATE = ["generate", "runs/good", "--max-tokens", "8"]
CHATS = [
    {"messages": [{"role": "user", "content": f"Say {i}."}, {"role": "assistant", "content": f"It is {i}, I say."}]}
    for i in range(40)
]


def write_recipe(file: Path, task: str = "write", model: Any = None, **sections: Any) -> None:
    data = {"sources": [{"folder": "data", "licence": "CC0-1.0"}]}
    content = {"task": task, "data": data, "model": TINY if model is None else model, "train": TRAIN}
    file.write_text(yaml.safe_dump(content | {"evaluate": {"samples": 2}} | sections), encoding="utf-8")


def call(*arguments: str) -> int:
    try:
        main(list(arguments))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with texts, a recipe, a run with its model, and that model as a GGUF file."""
    place = tmp_path_factory.mktemp("text")
    (place / "data").mkdir()
    for number in range(30):
        (place / "data" / f"{number:02}.txt").write_text(f"Good text number {number}: the rose is red.\n" * 4)
    (place / "chats.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in CHATS))
    write_recipe(place / "good.yaml", prepare={"tokenizer": "bpe", "vocabulary": 300})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("GENWRIGHT_CACHE", str(place / "cache"))
        assert call("run", "good.yaml", "--anyway", "--device", "cpu") == 0
        write_gguf_file(place / "runs" / "good" / "model", place / "good.gguf")
    return place


def write_gguf_file(folder: Path, file: Path) -> None:
    source = source_of(models.load(folder, torch.device("cpu")), folder, "good")
    vocabulary = read_vocabulary(folder, gguf_file.config_of(source).vocab_size)
    gguf_file.write_gguf(source, vocabulary, "f32", file)


@pytest.fixture
def place(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "place"
    shutil.copytree(finished, copy)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path / "cache"))
    return copy


def tree(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file() and f.name != "lock"}


def weights(place: Path, change: Callable[[Path], object]) -> None:
    """The run's own model as weights to start from, changed."""
    shutil.copytree(place / "runs" / "good" / "model", place / "weights")
    change(place / "weights")
    write_recipe(place / "bad.yaml", model={"from": "weights"})


def other_shape(folder: Path) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    name = next(n for n in tensors if n.endswith("down_proj.weight"))
    tensors[name] = np.ascontiguousarray(tensors[name][:, :-8])
    save_file(tensors, file, metadata={"format": "pt"})


def missing_shard(folder: Path) -> None:
    names = list(load_file(folder / "model.safetensors"))
    where = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(names)}
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def cut(file: Path, share: float) -> None:
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])


def truncated_gguf(place: Path) -> None:
    shutil.copy(place / "good.gguf", place / "cut.gguf")
    cut(place / "cut.gguf", 0.7)
    write_recipe(place / "bad.yaml", model={"from": "cut.gguf"})


def chat(place: Path, template: str) -> None:
    (place / "template.jinja").write_text(template)
    sources = {"sources": [{"table": "chats.jsonl", "licence": "CC0-1.0"}]}
    write_recipe(place / "bad.yaml", "chat", data=sources, prepare={"template": "template.jinja"})


def only_empty_files(place: Path) -> None:
    (place / "nothing").mkdir()
    for number in range(3):
        (place / "nothing" / f"{number}.txt").write_bytes(b"")
    write_recipe(place / "bad.yaml", data={"sources": [{"folder": "nothing"}]})


@dataclass
class Case:
    name: str
    make: Callable[[Path], object]
    command: list[str]
    says: list[str]
    status: int = 2


RUN_BAD = ["run", "bad.yaml", "--anyway", "--device", "cpu"]
CASES = [
    Case("a folder of empty files", only_empty_files, RUN_BAD, ["nothing", "nothing usable", "3 empty"]),
    Case("a folder of empty files, looked at", only_empty_files, ["new", "nothing"], ["nothing", "3 empty"]),
    Case(
        "a context no text fills",
        lambda p: write_recipe(p / "bad.yaml", model=TINY | {"context": 100_000}),
        RUN_BAD,
        ["model.context", "100,000", "longest training text has", "1,024"],
    ),
    Case(
        "a context longer than the weights'",
        lambda p: (weights(p, lambda f: None), write_recipe(p / "bad.yaml", model={"from": "weights", "context": 512})),
        RUN_BAD,
        ["model.context", "512", "32"],
    ),
    Case("weights without a shard", lambda p: weights(p, missing_shard), RUN_BAD, ["weights", "model-00002-of-00002"]),
    Case("weights of another shape", lambda p: weights(p, other_shape), RUN_BAD, ["weights", "down_proj", "shape"]),
    Case(
        "weights cut short",
        lambda p: weights(p, lambda f: cut(f / "model.safetensors", 0.5)),
        RUN_BAD,
        ["model.safetensors", "truncated"],
    ),
    Case("no weights at all", lambda p: weights(p, lambda f: (f / "model.safetensors").unlink()), RUN_BAD, ["no weights"]),
    Case("a truncated GGUF file", truncated_gguf, RUN_BAD, ["cut.gguf", "truncated"]),
    Case("a template that is no Jinja", lambda p: chat(p, "{% for m in messages %}{{ m.content }}"), RUN_BAD, ["template.jinja", "Jinja"]),
    Case(
        "a template that does not render",
        lambda p: chat(p, "{% for m in messages %}{{ m.content.nothing.there }}{% endfor %}"),
        RUN_BAD,
        ["template.jinja", "does not render"],
    ),
    Case("a binary prompt", lambda p: (p / "b.txt").write_bytes(bytes(range(128, 256))), [*GENERATE, "--prompt-file", "b.txt"], ["b.txt", "can't be read as text", "byte 0"]),
    Case("a prompt with NUL bytes", lambda p: (p / "b.txt").write_bytes(b"a\0b"), [*GENERATE, "--prompt-file", "b.txt"], ["b.txt", "NUL"]),
    Case("no prompt file", lambda p: None, [*GENERATE, "--prompt-file", "gone.txt"], ["gone.txt", "No such file"]),
    Case("a binary passage", lambda p: (p / "b.txt").write_bytes(bytes(range(128, 256))), ["explain", "runs/good", "--nearest-file", "b.txt"], ["b.txt", "no UTF-8"]),
    Case("an empty passage", lambda p: None, ["explain", "runs/good", "--nearest", " "], ["passage is empty"]),
    Case("a passage traced in a model folder", lambda p: None, ["explain", "runs/good/model", "--nearest", "x"], ["training data does not stand here"]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_it_is_one_sentence_and_nothing_is_lost(case: Case, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case.make(place)
    before = tree(place / "runs" / "good")
    capsys.readouterr()
    assert call(*case.command) == case.status
    err = capsys.readouterr().err
    sentence = err.strip().splitlines()[-1]
    assert sentence.startswith("genwright: ") and sentence.endswith("."), err
    assert all(word in sentence for word in case.says), err
    assert "Traceback" not in err
    assert tree(place / "runs" / "good") == before


def test_a_prompt_longer_than_the_context_goes_on_from_its_end(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*GENERATE, "The rose is red. " * 40) == 0
    shown = capsys.readouterr()
    assert "and the model sees 32 at once" in shown.err and shown.out.startswith("The rose is red. " * 40)
    assert call(*GENERATE, "") == call(*GENERATE) == 0
    empty = capsys.readouterr()
    assert empty.err.count("was cut after") == 2 and len(empty.out.splitlines()) >= 2


def test_bad_files_beside_good_ones_cost_a_row_each(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty file, a blank one and a binary one, and one giant line, beside the texts of a finished run that goes on."""
    (place / "data" / "empty.txt").write_bytes(b"")
    (place / "data" / "blank.txt").write_bytes(b"\n \n")
    (place / "data" / "photo.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)
    (place / "data" / "noise.txt").write_bytes(bytes(range(256)) * 16)
    (place / "data" / "line.txt").write_bytes(b"the rose is red and " * 100_000)
    assert call("run", "good.yaml", "--device", "cpu") == 0
    rows = {item.path: item.reason for item in ledger.read_run(Run(place / "runs" / "good"))}
    reasons = {path: rows[path] for path in ("empty.txt", "blank.txt", "photo.txt", "noise.txt", "line.txt")}
    assert reasons == {
        "empty.txt": "empty",
        "blank.txt": "empty",
        "photo.txt": "wrong_medium",
        "noise.txt": "undecodable",
        "line.txt": None,
    }
    assert sum(reason is None for path, reason in rows.items() if "#" not in path) == 31


def test_a_run_folder_goes_on_where_a_recipe_is_asked_for(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the report says: `genwright run RUN --more 30m`."""
    assert call("train", "runs/good", "--more", "3 steps", "--device", "cpu", "--json") == 0
    assert json.loads(capsys.readouterr().out)["summary"]["steps"] == 7
    (place / "folder").mkdir()
    assert call("run", "folder") == 2
    assert "folder: not a run folder" in capsys.readouterr().err
