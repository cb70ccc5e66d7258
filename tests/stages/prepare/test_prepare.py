"""Prepare: the same bytes whatever the number of workers, and only what is new is encoded."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from genwright import ledger, recipe
from genwright.errors import RequestError
from genwright.ledger import Item, item_id
from genwright.model_folder import build_task
from genwright.recipe import Recipe
from genwright.run import Run
from genwright.stages.collect import stage as collect
from genwright.stages.prepare import chunks as prepare_chunks
from genwright.stages.prepare import stage as prepare

POEMS = [f"Poem {i}\nRoses are red number {i},\nviolets are blue.\n" * (i % 7 + 1) for i in range(40)]


def a_recipe(folder: Path, **options: object) -> Recipe:
    return recipe.parse(
        f"task: write\ndata:\n  sources:\n    - folder: {folder}\nprepare: {{tokenizer: characters}}\n",
        overrides=[f"{k}={v}" for k, v in options.items()],
    )


def collected(run: Run, folder: Path, texts: list[str]) -> None:
    """What collect would leave: a ledger of files, every tenth one for validation."""
    folder.mkdir(exist_ok=True)
    items = []
    for number, text in enumerate(texts):
        file = folder / f"{number:03}.txt"
        if not file.exists():
            file.write_text(text, encoding="utf-8")
        sha = hashlib.sha256(file.read_bytes()).hexdigest()
        split = "validation" if number % 10 == 9 else "train"
        items.append(
            Item(
                item_id("folder:x", file.name),
                "folder:x",
                file.name,
                sha256=sha,
                bytes=file.stat().st_size,
                medium="text",
                split=split,
                file=str(file),
            )
        )
    run.reopen("collect")
    ledger.write(items, run.stage("collect") / "ledger.parquet")
    run.complete("collect", inputs="x", outputs=hashlib.sha256(repr(items).encode()).hexdigest(), seconds=0)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(f.relative_to(folder)): f.read_bytes()
        for f in sorted(folder.rglob("*"))
        if f.is_file() and f.name != "stage.json"
    }


def test_workers_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_chunks, "CHUNK_ITEMS", 6)
    monkeypatch.setattr(prepare, "_ALONE_BYTES", 0)
    made = []
    for workers in (1, 3):
        run = Run(tmp_path / f"run{workers}")
        collected(run, tmp_path / "poems", POEMS)
        chosen = a_recipe(tmp_path / "poems", **{"prepare.workers": workers})
        prepare.run(chosen, run, task=build_task(chosen))
        made.append(tree(run.stage("prepare")))
    assert made[0].keys() == made[1].keys()
    assert made[0] == made[1]
    assert sum("manifest" in name for name in made[0]) > 5


def test_new_files_cost_only_the_new_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, folder = Run(tmp_path / "run"), tmp_path / "poems"
    chosen = a_recipe(folder)
    task = build_task(chosen)
    collected(run, folder, POEMS[:30])
    prepare.run(chosen, run, task=task)
    before = {name for name in tree(run.stage("prepare")) if "manifest" in name}
    facts = tree(run.stage("prepare") / "facts")

    encoded: list[str] = []
    monkeypatch.setattr(type(task), "encode", _counting(type(task).encode, encoded))
    collected(run, folder, POEMS)
    prepare.run(chosen, run, task=task)
    assert encoded == [f"{n:03}.txt" for n in [*range(30, 39), 39]]
    assert before < {name for name in tree(run.stage("prepare")) if "manifest" in name}
    assert tree(run.stage("prepare") / "facts") == facts
    splits = prepare.load_splits(run, task)
    text = "".join(
        prepare.load_facts(run, task).decode(splits["validation"][i]["tokens"])
        for i in range(len(splits["validation"]))
    )
    assert text.replace("<|endoftext|>", "") == "".join(POEMS[9::10])


@pytest.mark.parametrize("workers", [1, 3])
def test_a_changed_or_removed_file_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(prepare_chunks, "CHUNK_ITEMS", 8)
    run, whole, folder = Run(tmp_path / "run"), Run(tmp_path / "whole"), tmp_path / "poems"
    chosen = a_recipe(folder, **{"prepare.workers": workers})
    task = build_task(chosen)
    collected(run, folder, POEMS)
    prepare.run(chosen, run, task=task)
    (folder / "004.txt").write_text("Another poem about number 4.\n")
    (folder / "013.txt").write_bytes(b"\x00\x01\x02" * 50)
    encoded: list[str] = []
    monkeypatch.setattr(type(task), "encode", _counting(type(task).encode, encoded))
    collected(run, folder, POEMS)
    items = ledger.read(run.stage("collect") / "ledger.parquet")
    ledger.write(
        [item for item in items if item.path not in ("020.txt", "019.txt")], run.stage("collect") / "ledger.parquet"
    )
    summary = prepare.run(chosen, run, task=task)
    assert encoded == ["004.txt", "013.txt"] and summary["encoded"] == 2

    # Prepared from nothing, the examples are the same, though they stand in other parts.
    shutil.copytree(run.stage("collect"), whole.stage("collect"))
    shutil.copytree(run.stage("prepare") / "facts", whole.stage("prepare") / "facts")
    shutil.copy(run.stage("prepare") / "facts.json", whole.stage("prepare"))
    prepare.run(chosen, whole, task=task)
    assert examples_of(run, task) == examples_of(whole, task)
    dropped = [ledger.read(r.stage("prepare") / "ledger.parquet") for r in (run, whole)]
    assert [row.path for row in dropped[0]] == ["013.txt"] and dropped[0] == dropped[1]
    # Of what was removed nothing is left on the disk.
    kept = b"".join(f.read_bytes() for f in (run.stage("prepare") / "parts").rglob("manifest.json"))
    assert item_id("folder:x", "021.txt").encode() in kept and item_id("folder:x", "020.txt").encode() not in kept


def examples_of(run: Run, task: object) -> dict[str, dict[str, list[int]]]:
    splits = prepare.load_splits(run, task)  # type: ignore[arg-type]
    return {
        split: {store.ids[i]: store[i]["tokens"].tolist() for i in range(len(store))}
        for split, store in splits.stores.items()
    }


def _counting(encode, seen: list[str]):
    def counted(self, item, facts):
        seen.append(item.path)
        return encode(self, item, facts)

    return counted


def test_a_stopped_prepare_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_chunks, "CHUNK_ITEMS", 5)
    run, whole, folder = Run(tmp_path / "run"), Run(tmp_path / "whole"), tmp_path / "poems"
    chosen = a_recipe(folder)
    task = build_task(chosen)
    collected(run, folder, POEMS)
    collected(whole, folder, POEMS)
    prepare.run(chosen, whole, task=task)

    real, calls = prepare.encode_chunk, []

    def stops(*arguments):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(prepare, "encode_chunk", stops)
    with pytest.raises(KeyboardInterrupt):
        prepare.run(chosen, run, task=task)
    assert run.record("prepare") is None
    monkeypatch.setattr(prepare, "encode_chunk", real)
    prepare.run(chosen, run, task=task)
    assert tree(run.stage("prepare")) == tree(whole.stage("prepare"))


def test_what_cannot_be_encoded_is_one_row(tmp_path: Path) -> None:
    run, folder = Run(tmp_path / "run"), tmp_path / "poems"
    folder.mkdir()
    (folder / "003.txt").write_bytes(b"\x00\x01\x02" * 50)
    collected(run, folder, POEMS)
    chosen = a_recipe(folder)
    summary = prepare.run(chosen, run, task=build_task(chosen))
    rows = ledger.read(run.stage("prepare") / "ledger.parquet")
    assert [(row.path, row.reason) for row in rows] == [("003.txt", "undecodable")]
    assert summary["examples"]["train"] == 35


def test_nothing_left_names_the_run_and_the_reason(tmp_path: Path) -> None:
    run, folder = Run(tmp_path / "run"), tmp_path / "poems"
    collected(run, folder, POEMS[:5])
    chosen = a_recipe(folder, **{"prepare.min_characters": 10_000})
    with pytest.raises(RequestError, match=r"run: no item could be turned into a training example.*--dropped"):
        prepare.run(chosen, run, task=build_task(chosen))


def test_another_setting_prepares_anew(tmp_path: Path) -> None:
    run, folder = Run(tmp_path / "run"), tmp_path / "poems"
    collected(run, folder, POEMS)
    for tokenizer in ("characters", "bpe"):
        chosen = a_recipe(folder, **{"prepare.tokenizer": tokenizer})
        prepare.run(chosen, run, task=build_task(chosen))
    splits = prepare.load_splits(run, build_task(chosen))
    tokens = np.concatenate([splits["train"][i]["tokens"] for i in range(len(splits["train"]))])
    assert len(tokens) < sum(len(p) for p in POEMS)
    assert replace(splits.items[splits["train"].ids[0]]).path == "000.txt"


def test_what_could_not_be_prepared_is_told_by_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, folder = Run(tmp_path / "run"), tmp_path / "poems"
    collected(run, folder, POEMS)
    (folder / "004.txt").write_bytes(b"\x00\x01\x02" * 50)
    (folder / "005.txt").write_text(" \n")
    chosen = a_recipe(folder)
    for _ in range(2):  # encoded, and as it stands
        prepare.run(chosen, run, task=build_task(chosen))
        said = capsys.readouterr().err
        assert "prepare: 40 items = 38 prepared + 2 dropped" in said
        assert "1 undecodable" in said
        assert "1 empty" in said
        assert "005.txt" in said


def test_lines_of_a_kept_file_that_were_left_out_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = '{"prompt": "Hello %d", "response": "Hi"}'
    (tmp_path / "data").mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        lines = [good % n for n in range(100)]
        lines[3], lines[50] = '{"prompt": ', '{"prompt": "Hello", "response": "Hi", "tool_calls": [1]}'
        (tmp_path / "data" / name).write_text("\n".join(lines).replace("Hello", f"Hello {name}"))
    chosen = recipe.parse(f"task: chat\ndata: {{sources: [{{folder: {tmp_path / 'data'}}}]}}")
    run, task = Run(tmp_path / "run"), build_task(chosen)
    collect.run(chosen, run, task=task)
    prepare.run(chosen, run, task=task)
    said = capsys.readouterr().err
    assert "2 malformed" in said or "2 parts of kept items left out, malformed" in said
    assert "unsupported" in said


def test_items_that_are_all_held_out_are_told_so(tmp_path: Path) -> None:
    run, folder = Run(tmp_path / "run"), tmp_path / "poems"
    collected(run, folder, POEMS)
    items = ledger.read(run.stage("collect") / "ledger.parquet")
    ledger.write([replace(item, split="test", group="x") for item in items], run.stage("collect") / "ledger.parquet")
    chosen = a_recipe(folder)
    with pytest.raises(RequestError, match="everything is held out \\(40 items\\), because it was split as 1 group "):
        prepare.run(chosen, run, task=build_task(chosen))
