"""Tables joined to files, tables that are the content, and templates that reach no further than a row."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from genwright.errors import RequestError
from genwright.ledger import Item
from genwright.sources.folder import FolderSource
from genwright.sources.table import TableSource
from genwright.sources.template import MissingError, fill

ROWS = [{"image": "a.png", "name": "a fox", "kind": "animal"}, {"image": "b.png", "name": "a tree", "kind": "plant"}]


def joined(folder: Path, **join: Any) -> list[Item]:
    source = FolderSource(FolderSource.Spec(folder=str(folder), join=join), folder.parent / "cache")  # type: ignore[arg-type]
    items = list(source.offer())
    assert len({item.id for item in items}) == len(items)
    return items


def rows_of(file: Path, **spec: Any) -> list[Item]:
    return list(TableSource(TableSource.Spec(table=str(file), **spec), file.parent / "cache").offer())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    (made / "img").mkdir(parents=True)
    for name in ("a.png", "b.png", "c.png"):
        (made / "img" / name).write_bytes(name.encode())
    return made


def write_table(file: Path, rows: list[dict[str, Any]]) -> None:
    if file.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), file)
    elif file.suffix == ".json":
        file.write_text(json.dumps(rows))
    elif file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        comma = {".csv": ",", ".tsv": "\t"}[file.suffix]
        file.write_text("\n".join(comma.join(row) for row in [list(ROWS[0]), *(list(r.values()) for r in rows)]) + "\n")


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".tsv", ".parquet"])
def test_rows_join_their_files(folder: Path, suffix: str) -> None:
    table = f"all{suffix}"
    write_table(folder / table, ROWS)
    items = joined(
        folder, table=table, path="img/{image}", text="{name}", label="{kind}", fields={"both": "{name} ({kind})"}
    )
    assert [(i.path, i.row, i.reason) for i in items] == [
        ("img/a.png", 0, None),
        ("img/b.png", 1, None),
        ("img/c.png", None, "unreferenced"),
    ]
    assert items[0].fields == {"text": "a fox", "label": "animal", "both": "a fox (animal)"}
    assert items[0].read_bytes() == b"a.png"


def test_rows_that_lead_nowhere(folder: Path) -> None:
    secret = folder.parent / "secret.png"
    secret.write_bytes(b"secret")
    (folder / "img" / "link.png").symlink_to(secret)
    paths = [
        "img/gone.png",
        "../secret.png",
        str(secret),
        "img/../../secret.png",
        "img/link.png",
        "img/../img/a.png",
        None,
    ]
    write_table(folder / "t.json", [{"path": path, "name": "x"} for path in paths])
    items = joined(folder, table="t.json", path="{path}", text="{name}")
    assert [i.reason for i in items if i.row is not None] == [
        "missing_file",
        "escapes",
        "escapes",
        "escapes",
        "link",
        None,
        "missing_file",
    ]
    assert all(i.file is None or i.file.startswith(str(folder)) for i in items)


def test_a_row_without_its_text_is_dropped(folder: Path) -> None:
    write_table(
        folder / "t.json", [{"image": "a.png", "name": "x"}, {"image": "b.png", "name": ""}, {"image": "c.png"}]
    )
    assert [i.reason for i in joined(folder, table="t.json", path="img/{image}", text="{name}")] == [
        None,
        "missing_text",
        "missing_text",
    ]


def test_a_column_that_no_row_has_is_a_mistake(folder: Path) -> None:
    write_table(folder / "t.json", ROWS)
    with pytest.raises(RequestError, match=r"`nmae`; did you mean `name`\?"):
        joined(folder, table="t.json", path="img/{image}", text="{nmae}")
    with pytest.raises(RequestError, match=r"did you mean `t\.json`\?"):
        joined(folder, table="tt.json", path="img/{image}")


def test_rows_that_are_the_content(tmp_path: Path) -> None:
    poems = [
        [{"title": "one", "lines": ["a", "b"]}],
        [{"title": "two", "lines": ["c"]}, {"title": "three", "lines": []}],
    ]
    (tmp_path / "poems.json").write_text(json.dumps(poems))
    items = rows_of(tmp_path / "poems.json", text="{lines}", fields={"title": "{title}"})
    assert [(i.fields.get("text"), i.fields["title"], i.reason) for i in items] == [
        ("a\nb", "one", None),
        ("c", "two", None),
        (None, "three", "missing_text"),
    ]
    assert all(i.file is None and i.path == "poems.json" for i in items)


def test_several_tables_by_a_pattern(folder: Path) -> None:
    for number in range(3):
        write_table(folder / f"poems{number}.jsonl", [{"text": f"poem {number}"}])
    items = joined(folder, table="poems*.jsonl", text="{text}")
    assert [i.fields["text"] for i in items if i.kept] == ["poem 0", "poem 1", "poem 2"]
    assert [i.row for i in items if i.kept] == [0, 1, 2]


def test_a_broken_line_costs_one_row(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "a"}\n{"text": \n\n{"text": "b"}\n')
    assert [i.reason for i in rows_of(tmp_path / "t.jsonl", text="{text}")] == [None, "malformed", None]


def test_files_beside_a_table(folder: Path) -> None:
    write_table(folder / "t.csv", ROWS)
    os.mkfifo(folder / "img" / "pipe.png")
    items = rows_of(folder / "t.csv", path="img/{image}", text="{name}")
    assert [(i.path, i.reason) for i in items] == [("img/a.png", None), ("img/b.png", None)]
    write_table(
        folder / "t.json",
        [{"p": p} for p in ("img/pipe.png", "img", "../x", "/etc/passwd", "img/none.png", "img\0.png")],
    )
    assert [i.reason for i in rows_of(folder / "t.json", path="{p}")] == [
        "special_file",
        "missing_file",
        "escapes",
        "escapes",
        "missing_file",
        "missing_file",
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.json", b"{"),
        ("t.json", b"3"),
        ("t.parquet", b"PAR1"),
        ("t.csv", b"\x00\x01\x02"),
        ("t.json", b"[" * 100_000),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError, match=name):
        rows_of(tmp_path / name, text="{text}")


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{name}", "a fox"),
        ("img/{n}-{f}.png", "img/7-3.png"),
        ("{author.name}", "Ada"),
        ("{tags.1}", "y"),
        ("{tags}", "x\ny"),
        ("{{{name}}}", "{a fox}"),
        ("no place", "no place"),
        ("{dotted.name}", "dot"),
    ],
)
def test_templates(template: str, filled: str) -> None:
    row = {"name": "a fox", "n": 7, "f": 3.0, "author": {"name": "Ada"}, "tags": ["x", "y"], "dotted.name": "dot"}
    assert fill(template, row) == filled


@pytest.mark.parametrize(
    "template", ["{name.__class__}", "{name.upper}", "{tags.__len__}", "{gone}", "{empty}", "{author}"]
)
def test_templates_reach_no_attribute(template: str) -> None:
    with pytest.raises(MissingError):
        fill(template, {"name": "a", "tags": [], "empty": None, "author": {"name": "b"}})


@pytest.mark.parametrize("template", ["{name", "name}", "{name!r}{"])
def test_templates_that_are_wrong(template: str) -> None:
    with pytest.raises((ValueError, MissingError)):
        fill(template, {"name": "a"})


def test_a_second_table_says_more_of_a_row(folder: Path) -> None:
    write_table(folder / "poems.json", [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}])
    (folder / "tones").mkdir()
    write_table(folder / "tones" / "a.json", [{"id": "1", "tones": ["LLO", "OOL"]}])
    write_table(folder / "tones" / "b.json", [{"id": 3, "tones": ["L"]}, {"id": 2}])
    lookup = {"table": "tones/*.json", "by": "id", "fields": {"tones": "{tones}"}}
    items = joined(folder, table="poems.json", text="{name}", lookup=lookup)
    kept = [item for item in items if item.kept]
    assert [item.fields for item in kept] == [{"text": "one", "tones": "LLO\nOOL"}, {"text": "two"}]
    assert not [item for item in items if item.path.startswith("tones/")]


def test_a_second_table_that_shares_no_column(folder: Path) -> None:
    write_table(folder / "poems.json", [{"id": 1, "name": "one"}])
    write_table(folder / "tones.json", [{"number": 1, "tones": "L"}])
    lookup = {"table": "tones.json", "by": "id", "fields": {"tones": "{tones}"}}
    with pytest.raises(RequestError, match=r"no row of tones.json has a column `id`; check `join.lookup.by`"):
        joined(folder, table="poems.json", text="{name}", lookup=lookup)
    with pytest.raises(RequestError, match=r"`join.lookup.table` names tone.json.*did you mean `tones.json`"):
        joined(folder, table="poems.json", text="{name}", lookup={**lookup, "table": "tone.json"})


def test_a_row_with_more_or_fewer_cells_than_the_header_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "text,label\n"
        "The cat bought bread, milk and cheese,food\n"
        '"The dog bought bread, milk and cheese",food\n'
        "A text of two\nlines,food\n"
        "empty cells behind,food,,\n"
        '"never closed,food\nmore,food\n'
    )
    items = rows_of(tmp_path / "t.csv", text="{text}", label="{label}")
    assert [(i.fields.get("text"), i.reason) for i in items] == [
        (None, "malformed"),
        ("The dog bought bread, milk and cheese", None),
        (None, "malformed"),
        ("lines", None),
        ("empty cells behind", None),
        (None, "malformed"),
    ]
    assert items[0].detail.startswith("line 2: 3 cells, and the header has 2")
    assert items[2].detail.startswith("line 4: 1 cells")
    assert items[5].detail == "line 7: a quote that is never closed"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "text;label\na, b; and c;x\n".replace("; and", " and")),
        ("t.csv", "sep=;\ntext;label\na, b and c;x\n"),
        ("t.csv", ' text , label \n"a, b and c",x\n'),
        ("t.csv", "text|label|\na, b and c|x|\n"),
        ("t.tsv", "text\tlabel\na, b and c\tx\n"),
    ],
)
def test_the_delimiter_is_what_splits_rows_like_the_header(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    [item] = rows_of(tmp_path / name, text="{text}", label="{label}")
    assert item.fields == {"text": "a, b and c", "label": "x"}


def test_quotes_between_tabs_may_be_letters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.tsv").write_text('text\tlabel\n"Hello" she said\tx\n"Bye\ty\n')
    items = rows_of(tmp_path / "t.tsv", text="{text}", label="{label}")
    assert [item.fields["text"] for item in items] == ['"Hello" she said', '"Bye']
    assert "quotes in it are read as letters" in capsys.readouterr().err
    (tmp_path / "t.tsv").write_text('text\tlabel\n"a\tb"\tx\n')
    assert [item.fields["text"] for item in rows_of(tmp_path / "t.tsv", text="{text}")] == ["a\tb"]


def test_a_column_name_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label,text\na,b,c\n")
    with pytest.raises(RequestError, match=r"t\.csv: the column `text` stands twice"):
        rows_of(tmp_path / "t.csv", text="{text}")


def test_what_is_no_number_is_nothing_and_nan_in_a_text_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(
        '{"text": "a", "author": NaN}\n{"text": Infinity}\n{"text": "nan", "author": "x"}\n'
    )
    items = rows_of(tmp_path / "t.jsonl", text="{text}", fields={"author": "{author}"})
    assert [(i.fields, i.reason) for i in items] == [
        ({"text": "a"}, "missing_text"),
        ({}, "missing_text"),
        ({"text": "nan", "author": "x"}, None),
    ]
    (tmp_path / "t.csv").write_text("text,author\nnan,None\n")
    assert [i.fields for i in rows_of(tmp_path / "t.csv", text="{text}", fields={"author": "{author}"})] == [
        {"text": "nan", "author": "None"}
    ]
    with pytest.raises(MissingError):
        fill("{score}", {"score": float("nan")})


def test_a_key_twice_in_a_row_costs_the_row(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "a"}\n{"text": "b", "text": "c"}\n')
    assert [(i.reason, i.detail) for i in rows_of(tmp_path / "t.jsonl", text="{text}")] == [
        (None, ""),
        ("malformed", "line 2: the key 'text' stands twice in one object"),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.json", '{"text": "a"}\n{"text": "b"}\n'),
        ("t.jsonl", '[{"text": "a"}, {"text": "b"}]'),
        ("t.jsonl", '[\n  {"text": "a"},\n  {"text": "b"}\n]\n'),
        ("t.jsonl", '\ufeff{"text": "a"}\n\ufeff{"text": "b"}\n'),
    ],
)
def test_lines_and_lists_are_told_by_what_is_in_them(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert [i.fields for i in rows_of(tmp_path / name, text="{text}")] == [{"text": "a"}, {"text": "b"}]


def test_a_table_with_a_bad_byte_keeps_its_letters_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = '{"text": "“I don’t know,” said the keeper."}\n'
    (tmp_path / "t.jsonl").write_bytes(line.encode() * 30 + b'{"text": "caf\xe9"}\n')
    items = rows_of(tmp_path / "t.jsonl", text="{text}")
    assert [items[0].fields["text"], items[-1].fields["text"]] == ["“I don’t know,” said the keeper.", "caf\ufffd"]
    assert "t.jsonl: bytes that are not UTF-8 were replaced" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["img\\a.png", "IMG/A.PNG", ".\\img\\a.png", "img/Müller.png"])
def test_paths_as_windows_and_macos_write_them(folder: Path, name: str) -> None:
    (folder / "img" / unicodedata.normalize("NFD", "Müller.png")).write_bytes(b"x")
    write_table(folder / "t.json", [{"image": name, "name": "x"}])
    [item] = [item for item in joined(folder, table="t.json", path="{image}", text="{name}") if item.row is not None]
    assert item.kept
    assert item.path in ("img/a.png", unicodedata.normalize("NFD", "img/Müller.png"))
    if name != "IMG/A.PNG":  # beside a table names are asked of the disk, as they stand
        assert rows_of(folder / "t.json", path="{image}", text="{name}")[0].kept


def test_a_name_that_fits_two_files_but_for_capitals_fits_none(folder: Path) -> None:
    (folder / "img" / "A.png").write_bytes(b"x")
    write_table(folder / "t.json", [{"image": "img/A.PNG"}, {"image": "C:\\img\\a.png"}, {"image": "..\\a.png"}])
    items = [item for item in joined(folder, table="t.json", path="{image}") if item.row is not None]
    assert [item.reason for item in items] == ["missing_file", "escapes", "escapes"]


def test_a_row_that_holds_the_picture_itself_is_told_as_that(folder: Path) -> None:
    write_table(
        folder / "t.json", [{"image": "iVBORw0KGgo\n" * 600, "name": "x"}, {"image": {"bytes": "x"}, "name": "y"}]
    )
    items = [i for i in joined(folder, table="t.json", path="{image}", text="{name}") if i.row is not None]
    assert [item.reason for item in items] == ["missing_file"] * 2
    assert "write the pictures to files" in items[0].detail and "write them to files" in items[1].detail
