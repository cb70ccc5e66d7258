"""`genwright ledger`: the account, the dropped, the story of one file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genwright import ledger
from genwright.cli.ledger import show
from genwright.errors import RequestError
from genwright.ledger import Drop, Item, item_id
from genwright.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = Run(tmp_path / "run")
    items = [
        Item(
            item_id("folder:x", path),
            "folder:x",
            path,
            sha256=sha,
            medium="text",
            bytes=9,
            licence="MIT",
            notice="LICENSE",
        )
        for path, sha in (("a.txt", "1"), ("b/copy.txt", "1"), ("long.txt", "2"), ("cut\x1b[2J.txt", "3"))
    ]
    items[0].split, items[0].group, items[0].file = "train", "1", "/data/a.txt"
    items[1].drop(Drop("duplicate", "of a.txt"))
    items[3].drop(Drop("undecodable", "byte 7"))
    children = [
        Item(
            f"{items[2].id}-{n}",
            "folder:x",
            f"long.txt#{n}",
            parent=items[2].id,
            start=n * 5,
            stop=n * 5 + 5,
            split=split,
        )
        for n, split in enumerate(("train", "test"))
    ]
    made.reopen("collect")
    ledger.write([*items[:3], *children, items[3]], made.stage("collect") / ledger.LEDGER)
    return made


def test_the_account(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    show(run)
    said = capsys.readouterr().out
    assert "folder:x" in said
    assert "MIT" in said
    assert "splits: train 2, test 1" in said
    assert "b/copy.txt" in said
    assert "\x1b[2J" not in said


def test_the_account_as_json(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    show(run, as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "offered": 4,
        "kept": 2,
        "dropped": {"duplicate": 1, "undecodable": 1},
    }


def test_what_was_dropped_is_a_line_each(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    show(run, dropped=True)
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[:3] for line in lines] == [
        ["duplicate", "folder:x", "b/copy.txt"],
        ["undecodable", "folder:x", "cut\\x1b[2J.txt"],
    ]
    assert lines[0][3].endswith("of a.txt")


def test_dropped_as_json_has_the_items(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    show(run, dropped=True, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["items"][0] == {"source": "folder:x", "path": "b/copy.txt", "reason": "duplicate", "detail": "of a.txt"}


@pytest.mark.parametrize("wanted", ["a.txt", "/data/a.txt"])
def test_the_story_of_a_file(run: Run, capsys: pytest.CaptureFixture[str], wanted: str) -> None:
    show(run, item=wanted, as_json=True)
    told = json.loads(capsys.readouterr().out)
    expected = {
        "path": "a.txt",
        "source": "folder:x",
        "status": "kept",
        "licence": "MIT",
        "notice": "LICENSE",
        "split": "train",
    }
    assert told.items() >= expected.items()
    assert told["same_bytes_as"] == ["b/copy.txt"]


def test_a_story_by_the_last_part_of_the_path(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    show(run, item="copy.txt")
    said = capsys.readouterr().out
    assert "of a.txt" in said
    assert ledger.REASONS["duplicate"] in said


def test_the_story_of_a_divided_text(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    show(run, item="long.txt", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["split"] == {"train": 1, "test": 1}
    assert [(block["start"], block["stop"], block["split"]) for block in told["blocks"]] == [
        (0, 5, "train"),
        (5, 10, "test"),
    ]


def test_no_such_item(run: Run) -> None:
    with pytest.raises(RequestError, match=r"did you mean `long\.txt`"):
        show(run, item="lon.txt")


def test_no_ledger_yet(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no ledger yet"):
        show(Run(tmp_path))


def test_nothing_dropped_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Run(tmp_path / "run")
    made.reopen("collect")
    ledger.write([Item("1", "folder:x", "a.txt")], made.stage("collect") / ledger.LEDGER)
    show(made, dropped=True)
    assert "nothing was dropped" in capsys.readouterr().err


def test_of_a_table_the_first_rows_are_told_and_the_others_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Run(tmp_path / "run")
    made.reopen("collect")
    rows = [Item(f"{n}", "table:t.csv", "t.csv", row=n) for n in range(20)]
    rows[19].drop(Drop("malformed", "line 20"))
    ledger.write(rows, made.stage("collect") / ledger.LEDGER)
    show(made, item="t.csv")
    said = capsys.readouterr().out
    assert said.count("table:t.csv") == 5
    assert "and 15 more rows (14 kept, 1 malformed)" in said
    show(made, item="t.csv", as_json=True)
    assert len(json.loads(capsys.readouterr().out)) == 20


def test_what_needs_a_library_is_told_by_ending_with_the_cure() -> None:
    rows = [Item(f"{n}", "folder:x", f"{n}{ending}") for n, ending in enumerate((".docx", ".DOCX", ".pdf"))]
    for row in rows:
        row.drop(Drop("needs_library", "pip install 'genwright[documents]'"))
    told = ledger.told(rows)
    assert told[0].startswith("  2 .docx files, needs_library: pip install 'genwright[documents]' (0.docx, 1.DOCX)")
    assert told[1].startswith("  1 .pdf files, needs_library")
