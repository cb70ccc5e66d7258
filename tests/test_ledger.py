"""The ledger's columns, reasons and sums."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from genwright import ledger
from genwright.ledger import Drop, Further, Item, item_id
from genwright.run import Run

COLUMNS = [
    "id",
    "source",
    "path",
    "row",
    "parent",
    "sha256",
    "bytes",
    "medium",
    "licence",
    "notice",
    "group",
    "split",
    "status",
    "reason",
    "detail",
    "file",
    "start",
    "stop",
    "characters",
    "width",
    "height",
    "fields",
    "role",
    "files",
]
REASONS = {
    "near_duplicate",
    "notice",
    "hidden",
    "output",
    "limit",
    "duplicate",
    "undecodable",
    "malformed",
    "needs_library",
    "no_text",
    "numbers",
    "empty",
    "too_small",
    "too_large",
    "wrong_medium",
    "unsupported",
    "ignored",
    "unreferenced",
    "missing_file",
    "missing_text",
    "unreadable",
    "link",
    "special_file",
    "bomb",
    "escapes",
    "encrypted",
    "licence",
}


def item(path: str, **rest: object) -> Item:
    return Item(item_id("folder:x", path), "folder:x", path, **rest)  # type: ignore[arg-type]


def test_columns_are_pinned() -> None:
    assert ledger.columns() == COLUMNS


def test_reasons_are_pinned_and_closed() -> None:
    assert set(ledger.REASONS) == REASONS
    with pytest.raises(ValueError, match="closed list"):
        Drop("because")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    rows = [
        item("a.txt", bytes=3, sha256="ab", split="train", file="/x/a.txt", fields={"text": "ä\n", "label": "b"}),
        item("a.txt#0", parent="p", start=0, stop=2, characters=2, split="test"),
        item("picture.png", width=3, height=4, row=7, licence="CC0-1.0", notice="LICENSE"),
        item(
            "noisy.wav", role="a", files={"target": Further("caf\u00e9.wav", "/x/caf\udce9.wav", 5, "cd", "wav", "MIT")}
        ),
    ]
    rows[2].drop(Drop("too_small", "3 x 4"))
    ledger.write(rows, tmp_path / "ledger.parquet")
    assert ledger.read(tmp_path / "ledger.parquet") == rows
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.parquet"]


def test_a_name_that_is_not_utf8_can_be_opened_after_reading(tmp_path: Path) -> None:
    file = "/data/caf\udce9 %41.txt"
    ledger.write([item("caf\udce9.txt", file=file)], tmp_path / "l.parquet")
    [row] = ledger.read(tmp_path / "l.parquet")
    assert row.file == file
    assert row.id == item_id("folder:x", "caf\udce9.txt")
    assert row.path.isprintable()


def test_a_ledger_of_before_items_had_several_files_is_read(tmp_path: Path) -> None:
    ledger.write([item("a.txt", bytes=3)], tmp_path / "now.parquet")
    pq.write_table(pq.read_table(tmp_path / "now.parquet").drop_columns(["role", "files"]), tmp_path / "then.parquet")
    assert ledger.read(tmp_path / "then.parquet") == ledger.read(tmp_path / "now.parquet")


def test_an_empty_ledger(tmp_path: Path) -> None:
    ledger.write([], tmp_path / "l.parquet")
    assert ledger.read(tmp_path / "l.parquet") == []
    assert ledger.account([]) == ledger.Account(0, 0, {})


def test_the_account_leaves_children_out() -> None:
    parent = item("a")
    dropped = item("b")
    dropped.drop(Drop("empty"))
    child = item("a#0", parent=parent.id, split="train")
    assert ledger.account([parent, child, dropped]) == ledger.Account(2, 1, {"empty": 1})
    assert list(ledger.leaves([parent, child, dropped])) == [child]


def test_prepare_has_the_last_word(tmp_path: Path) -> None:
    run = Run(tmp_path)
    whole, divided = item("a", split="train"), item("b")
    pieces = [item(f"b#{n}", parent=divided.id, split="train", start=n, stop=n + 1) for n in range(2)]
    for stage in ("collect", "prepare"):
        run.stage(stage).mkdir()
    ledger.write([whole, divided, *pieces], run.stage("collect") / "ledger.parquet")
    assert ledger.account(ledger.read_run(run)).kept == 2
    later = [replace(row) for row in (whole, *pieces)]
    for row in later:
        row.drop(Drop("undecodable", "cut short"))
    ledger.write(later[:2], run.stage("prepare") / "ledger.parquet")
    assert ledger.account(ledger.read_run(run)) == ledger.Account(2, 1, {"undecodable": 1})
    ledger.write(later, run.stage("prepare") / "ledger.parquet")
    assert ledger.account(ledger.read_run(run)) == ledger.Account(2, 0, {"undecodable": 2})


def test_paths_are_shown_without_harm() -> None:
    assert ledger.printable("a\x1b[31m\nb") == "a\\x1b[31m\\nb"
    assert ledger.printable("größe 図.png") == "größe 図.png"
