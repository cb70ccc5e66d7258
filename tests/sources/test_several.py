"""Items of several files, tables from another source, words out of what is known of a file, and the account of all of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from genwright import ledger, recipe
from genwright.about import About
from genwright.errors import RequestError
from genwright.ledger import Item
from genwright.run import Run
from genwright.sources.folder import FolderSource
from genwright.sources.table import TableSource
from helpers.artists import artists_sources, write_artists
from helpers.collect_task import collected
from helpers.outside_task import outside_task

PAIRS = About(medium="image", families=("gan",), files=("target",), roles={"a": 2, "b": 2})


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path / "cache"))


def put(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def picture(file: Path, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (12, 12, 3), dtype=np.uint8)).save(file)


def offered(folder: Path, **spec: Any) -> dict[str, Item]:
    source = FolderSource(FolderSource.Spec(folder=str(folder), **spec), folder.parent / "cache")
    return {item.path: item for item in source.offer()}


def partners(items: dict[str, Item]) -> dict[str, dict[str, str] | str]:
    return {
        path: {role: one.path for role, one in item.files.items()} if item.kept else str(item.reason)
        for path, item in items.items()
    }


def test_patterns_share_what_their_star_stands_for(tmp_path: Path) -> None:
    folder = put(
        tmp_path / "data",
        *(
            "noisy/1.wav",
            "noisy/deep/2.wav",
            "noisy/3.wav",
            "clean/1.wav",
            "clean/deep/2.wav",
            "clean/9.wav",
            "notes.odt",
        ),
    )
    items = offered(folder, files={"main": "noisy/*.wav", "target": "clean/*.wav"})
    assert partners(items) == {
        "noisy/1.wav": {"target": "clean/1.wav"},
        "noisy/deep/2.wav": {"target": "clean/deep/2.wav"},
        "noisy/3.wav": "missing_file",
        "clean/9.wav": "unreferenced",
        "notes.odt": "unreferenced",
    }
    assert items["noisy/3.wav"].detail == "its target, clean/3.wav"
    assert items["noisy/1.wav"].files["target"].read_bytes() == b"clean/1.wav"
    assert "without what it belongs to" in items["clean/9.wav"].detail


def test_without_main_every_other_file_is_one_and_any_ending_will_do(tmp_path: Path) -> None:
    folder = put(tmp_path / "data", "a.png", "a_target.webp", "sub/b.jpg", "sub/b_target.png", "c.png", "LICENSE")
    (folder / "LICENSE").write_text("MIT License\n")
    items = offered(folder, files={"target": "*_target.*"}, labels="folders")
    assert partners(items) == {
        "a.png": {"target": "a_target.webp"},
        "sub/b.jpg": {"target": "sub/b_target.png"},
        "c.png": "missing_file",
        "LICENSE": "notice",
    }
    assert items["sub/b.jpg"].fields["label"] == "sub"


def test_a_recording_and_its_text_in_one_of_many_languages(tmp_path: Path) -> None:
    folder = put(
        tmp_path / "data", *(f"{name}_desc_{language}.ogg" for name in ("apple", "pear") for language in ("de", "fr"))
    )
    (folder / "apple.txt").write_text(
        "A red apple.\nde.utf8=Ein roter Apfel.\nfr.utf8=Une pomme rouge.\npt_BR.utf8=Uma maçã.\n"
    )
    (folder / "pear.txt").write_text("A pear.\nfr.utf8=Une poire.\n")
    items = offered(
        folder, files={"main": "*_desc_de.ogg", "text": "*.txt"}, language="de", include=["*_de.ogg", "*.txt"]
    )
    assert items["apple_desc_de.ogg"].fields == {"text": "Ein roter Apfel."}
    assert (items["pear_desc_de.ogg"].reason, items["pear_desc_de.ogg"].detail) == (
        "missing_text",
        "pear.txt: nothing in the language `de`",
    )
    assert set(items) == {"apple_desc_de.ogg", "pear_desc_de.ogg"}


@pytest.mark.parametrize(("language", "words"), [(None, "A red apple."), ("en", "A red apple."), ("pt", "Uma maçã.")])
def test_captions_beside_in_a_language(tmp_path: Path, language: str | None, words: str) -> None:
    folder = put(tmp_path / "data", "apple.png", "plain.png", "odd.png")
    (folder / "apple.txt").write_text("A red apple.\nde.utf8=Ein Apfel.\npt_BR.utf8=Uma maçã.\n")
    (folder / "plain.txt").write_text("One caption\nin two lines.")
    (folder / "odd.txt").write_text("The sum\nx = y\nand some more\nof it")
    items = offered(folder, captions="beside", language=language)
    assert items["apple.png"].fields["text"] == words
    assert items["plain.png"].fields["text"] == "One caption\nin two lines."
    assert items["odd.png"].fields["text"].startswith("The sum\nx = y")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"target": "clean/1.wav"}, "one `\\*`"),
        ({"target": "*/*.wav"}, "one `\\*`"),
        ({"main": "*.wav"}, "further file beside `main`"),
    ],
)
def test_patterns_that_say_nothing_are_refused(files: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        FolderSource.Spec(folder="x", files=files)


def test_a_pattern_that_finds_nothing_is_a_sentence(tmp_path: Path) -> None:
    folder = put(tmp_path / "data", "noisy/1.wav")
    with pytest.raises(
        RequestError, match=r"folder:data: `files.target` finds no file; nothing in it is called clean/\*\.wav"
    ):
        offered(folder, files={"main": "noisy/*.wav", "target": "clean/*.wav"})


def test_rows_name_further_files(tmp_path: Path) -> None:
    folder = put(tmp_path / "data", "a/1.png", "a/2.png", "b/1.png", "b/3.png")
    (folder / "t.csv").write_text("n\n1\n2\n")
    join: Any = {"table": "t.csv", "path": "a/{n}.png", "files": {"target": "b/{n}.png"}}
    expected = {"a/1.png": {"target": "b/1.png"}, "a/2.png": "missing_file", "b/3.png": "unreferenced"}
    assert partners(offered(folder, join=join)) == expected
    rows = TableSource(
        TableSource.Spec(table=str(folder / "t.csv"), path="a/{n}.png", files={"target": "b/{n}.png"}), tmp_path
    )
    assert partners({item.path: item for item in rows.offer()}) == {k: expected[k] for k in ("a/1.png", "a/2.png")}


def test_a_pair_of_two_sources_has_the_licences_of_both(tmp_path: Path) -> None:
    write_artists(tmp_path)
    [noto, twemoji, _] = artists_sources(tmp_path)
    noto["join"]["files"] = {"target": {"path": "img/twemoji/64/{image}", "from": {"folder": twemoji["folder"]}}}
    with outside_task("pair", PAIRS, "genwright.tasks.draw.task:Draw"):
        items = collected(run := Run(tmp_path / "run"), "pair", [noto])
    kept = [item for item in items if item.kept]
    assert len(kept) == 20
    assert {item.licence for item in kept} == {"Apache-2.0 AND CC-BY-4.0"}
    one = next(item for item in ledger.read_run(run) if item.kept)
    target = one.files["target"]
    assert (target.medium, target.bytes, target.licence) == ("image", len(target.read_bytes()), "CC-BY-4.0")
    assert target.sha256 != one.sha256 and len(target.sha256 or "") == 64
    account = ledger.account(items)
    assert account.offered == account.kept + sum(account.dropped.values())


def test_three_artists_of_one_thing_stand_on_one_side(tmp_path: Path) -> None:
    write_artists(tmp_path, count=30)
    items = collected(Run(tmp_path / "run"), "draw", artists_sources(tmp_path))
    kept = [item for item in items if item.kept]
    assert Counter(item.fields["artist"] for item in kept) == {"noto": 50, "twemoji": 50, "fluent": 49}
    assert Counter(item.reason for item in items if item.source == "folder:fluent") == {
        None: 49,
        "missing_file": 1,
        "notice": 1,
    }
    sides: dict[str, set[str]] = {}
    for item in kept:
        sides.setdefault(item.fields["group"], set()).add(item.split)
    assert len(sides) == 30 and all(len(splits) == 1 for splits in sides.values())
    assert {split for splits in sides.values() for split in splits} == {"train", "validation", "test"}
    toned = next(item for item in kept if item.path == "assets/1f440-1f3fb.webp")
    assert toned.fields == {
        "artist": "fluent",
        "group": "1F440",
        "label": "Things",
        "text": "THING 0, in the style of fluent",
    }
    again = collected(Run(tmp_path / "again"), "draw", artists_sources(tmp_path))
    assert [(item.id, item.split) for item in again] == [(item.id, item.split) for item in items]


def test_a_further_file_that_cannot_be_used_costs_the_item(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for number in range(6):
        picture(folder / f"{number}.png", number)
        picture(folder / f"{number}_target.png", 100 + number // 2)
    (folder / "1_target.png").write_bytes((folder / "1_target.png").read_bytes()[:80])
    (folder / "2_target.png").write_bytes(b"")
    (folder / "5.png").write_bytes((folder / "4.png").read_bytes())
    with outside_task("pair", PAIRS, "genwright.tasks.draw.task:Draw"):
        items = collected(Run(tmp_path / "run"), "pair", [{"folder": str(folder), "files": {"target": "*_target.png"}}])
    # 4 and 5 are the same picture with the same target; had they other ones, both would be kept.
    assert {item.path: item.reason for item in items} == {
        **{"0.png": None, "1.png": "undecodable", "2.png": "empty", "3.png": None},
        **{"4.png": None, "5.png": "duplicate"},
    }
    assert next(item for item in items if item.path == "1.png").detail.startswith("its target, 1_target.png: ")


def test_equal_pictures_with_other_targets_are_two_items(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / "data" / f"{number}.png", 0)
        picture(tmp_path / "data" / f"{number}_target.png", 100 + number)
    with outside_task("pair", PAIRS, "genwright.tasks.draw.task:Draw"):
        items = collected(
            Run(tmp_path / "run"), "pair", [{"folder": str(tmp_path / "data"), "files": {"target": "*_target.png"}}]
        )
    assert [item.reason for item in items] == [None, None]


def test_a_source_has_a_role(tmp_path: Path) -> None:
    for role in ("a", "b"):
        for number in range(4):
            picture(tmp_path / role / f"{number}.png", number if number == 3 else 10 * ord(role) + number)
    sources = [{"folder": str(tmp_path / role), "as": role} for role in ("a", "b")]
    with outside_task("pair", PAIRS, "genwright.tasks.draw.task:Draw"):
        items = collected(Run(tmp_path / "run"), "pair", sources)
    # A picture of both sides is one of each.
    assert Counter(item.role for item in items if item.kept) == {"a": 4, "b": 4}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{folder: x, as: b}", "data.sources.0.as`: `draw` has no use for `b`; its sources are all alike to it"),
        ("{folder: x, files: {tagret: '*_t.png'}}", "data.sources.0.files.tagret`: `draw` has no use for `tagret`"),
        ("{folder: x, join: {table: t.csv, path: '{n}', from: {nmp: x@1.0.0}}}", "did you mean `npm`?"),
        ("{folder: x, join: {table: t.csv, path: '{n}'}, text: '{title}'}", "where there is a `join`"),
        ("{folder: x, captions: beside, files: {text: '*.txt'}}", "both say where the words are"),
        ("{folder: x, join: {table: t.csv, text: '{n}', files: {target: '{n}'}}}", "say with `path` which is its own"),
    ],
)
def test_what_a_recipe_says_wrongly_is_one_sentence(source: str, words: str) -> None:
    with pytest.raises(RequestError) as refused:
        recipe.parse(f"task: draw\ndata: {{sources: [{source}]}}\n")
    assert words in str(refused.value)


def test_paths_of_the_other_source_are_those_of_the_recipe(tmp_path: Path) -> None:
    text = "task: draw\ndata: {sources: [{folder: a, join: {table: t.csv, path: '{n}', from: {folder: b}}}]}\n"
    [source] = recipe.parse(text, folder=tmp_path).data.sources
    assert source["join"]["from"]["folder"] == str(tmp_path / "b")
    assert source["folder"] == str(tmp_path / "a")


def test_a_table_is_no_place_for_files(tmp_path: Path) -> None:
    put(tmp_path / "data", "a.png")
    (tmp_path / "t.csv").write_text("n\na.png\n")
    join: Any = {"table": "t.csv", "path": "{n}", "from": {"table": str(tmp_path / "t.csv"), "path": "{n}"}}
    with pytest.raises(RequestError, match="name a folder, an archive or a package"):
        offered(tmp_path / "data", join=join)
