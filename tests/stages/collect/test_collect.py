"""Collect accounts for every item once, splits before anything else looks, and goes on where it stopped."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from genwright import ledger, recipe
from genwright.errors import RequestError
from genwright.ledger import Item
from genwright.model_folder import build_task
from genwright.run import Run
from genwright.stages.collect import read as collect_read
from genwright.stages.collect.record import SplitRecord
from genwright.stages.collect.shares import deal, fill_empty
from genwright.stages.prepare import stage as prepare
from genwright.tasks.draw.task import Draw
from genwright.tasks.write.task import item_text
from helpers import ASSETS, TESTS
from helpers.collect_task import by_path, collected, write_texts


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path / "cache"))


def splits(items: list[Item]) -> dict[str, str]:
    return {item.path: item.split for item in ledger.leaves(items)}


def test_the_first_of_equal_files_is_kept(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_texts(folder, 25)
    (folder / "zz.txt").write_bytes((folder / "poem-003.txt").read_bytes())
    items = {item.path: item for item in collected(run, "write", [{"folder": str(folder)}])}
    assert items["zz.txt"].reason == "duplicate"
    assert items["zz.txt"].detail == "of poem-003.txt"
    assert items["poem-003.txt"].kept


def test_equal_names_in_two_sources_are_two_items(run: Run, tmp_path: Path) -> None:
    for place, text in (("a/poems", "one"), ("b/poems", "two")):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "x.txt").write_text(text)
    items = collected(run, "write", [{"folder": str(tmp_path / "a/poems")}, {"folder": str(tmp_path / "b/poems")}])
    assert [item.source for item in items] == ["folder:poems", "folder:poems (2)"]
    assert len({item.id for item in items}) == 2


def test_shares_and_groups(run: Run, tmp_path: Path) -> None:
    write_texts(tmp_path / "data", 400)
    items = collected(run, "write", [{"folder": str(tmp_path / "data")}])
    counts = Counter(splits(items).values())
    assert 340 <= counts["train"] <= 380
    assert counts["validation"] >= 8
    assert counts["test"] >= 8
    assert all(item.group == item.sha256 for item in items)


def test_pictures_of_one_thing_stay_together(run: Run) -> None:
    source = {
        "folder": str(ASSETS / "pictures"),
        "join": {"table": "emoji.jsonl", "path": "{image}", "text": "{label}", "fields": {"group": "{label}"}},
    }
    items = [item for item in collected(run, "draw", [source]) if item.kept]
    by_group: dict[str, set[str]] = {}
    for item in items:
        by_group.setdefault(str(item.group), set()).add(item.split)
    assert len(items) == 64
    assert len(by_group) < 20
    assert all(len(found) == 1 for found in by_group.values())
    assert {item.split for item in items} == {"train", "validation", "test"}
    assert all((item.width, item.height, item.licence) == (32, 32, "Apache-2.0") for item in items)


def captioned(folder: Path, captions: dict[str, int], start: int = 0) -> list[dict[str, str]]:
    """So many pictures of each caption, told apart by their pixels; the source that reads them."""
    folder.mkdir(exist_ok=True)
    for caption, count in captions.items():
        for number in range(start, start + count):
            colour = (sorted(captions).index(caption), number // 256, number % 256)
            Image.new("RGB", (16, 16), colour).save(folder / f"{caption}-{number:03}.png")
            (folder / f"{caption}-{number:03}.txt").write_text(caption)
    return [{"folder": str(folder), "captions": "beside"}]


def by_caption(items: list[Item]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for item in ledger.leaves(items):
        found.setdefault(item.fields["text"], Counter())[item.split] += 1
    return found


@pytest.mark.parametrize(
    "captions",
    [
        {"cat": 30, "dog": 30},
        dict.fromkeys(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"), 20),
        {"car": 60},
    ],
)
def test_few_captions_are_learnt_from_and_held_out_each(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], captions: dict[str, int]
) -> None:
    found = by_caption(collected(run, "draw", captioned(tmp_path / "data", captions)))
    assert {caption: counts.total() for caption, counts in found.items()} == captions
    for counts in found.values():
        assert counts["train"] >= 0.55 * counts.total()
        assert counts["validation"] >= 1
        assert counts["test"] >= 1
    assert "stand on both sides of the split" in capsys.readouterr().err


def test_a_large_group_among_many_is_dealt_out_and_the_others_stay_whole(run: Run, tmp_path: Path) -> None:
    captions = {"car": 40, **{f"thing {n}": 3 for n in range(40)}}
    items = collected(run, "draw", captioned(tmp_path / "data", captions))
    found = by_caption(items)
    assert set(found["car"]) == {"train", "validation", "test"}
    assert all(len(counts) == 1 for caption, counts in found.items() if caption != "car")


def test_what_was_dealt_out_stays_and_what_was_whole_stays_whole(run: Run, tmp_path: Path) -> None:
    before = splits(collected(run, "draw", captioned(tmp_path / "data", {"cat": 30, "dog": 30})))
    source = captioned(tmp_path / "data", {"cat": 200, "dog": 200}, start=30)
    captioned(tmp_path / "data", {f"thing {n}": 2 for n in range(30)})
    items = collected(run, "draw", source)
    after = splits(items)
    assert {path: after[path] for path in before} == before
    assert set(by_caption(items)["cat"]) == {"train", "validation", "test"}
    assert all(len(counts) == 1 for caption, counts in by_caption(items).items() if "thing" in caption)
    # A run of a version that held whole groups out goes on so.
    record = SplitRecord.of(run.stage("collect") / "splits.parquet", "hash", [Draw.split_shares])
    assert record.key == "hash [('test', 0.1), ('train', 0.85), ('validation', 0.05)]"
    assert record.splits
    record.splits = {"cat": "train", "dog": "validation"}
    record.write(run.stage("collect") / "splits.parquet")
    old = by_caption(collected(run, "draw", source))
    assert (set(old["cat"]), set(old["dog"])) == ({"train"}, {"validation"})


def test_a_large_new_run_with_words_sets_some_aside_for_a_judge_and_an_old_one_does_not(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = captioned(tmp_path / "data", {f"thing {n}": 3 for n in range(180)})
    counts = Counter(splits(collected(run, "draw", source)).values())
    assert 40 <= counts["judge"] <= 70 and counts["train"] > 0.68 * 540 and counts["test"] >= 40
    assert "that a judge of the scores learns from" in capsys.readouterr().err
    # The same pictures without words, and those of a run that began with fewer, are split as ever.
    assert "judge" not in splits(collected(Run(tmp_path / "b"), "draw", source, model__condition="none")).values()
    small = captioned(tmp_path / "few", {f"thing {n}": 3 for n in range(40)})
    before = splits(collected(Run(tmp_path / "c"), "draw", small))
    more = captioned(tmp_path / "few", {f"thing {n}": 3 for n in range(40, 220)}, start=10)
    after = splits(collected(Run(tmp_path / "c"), "draw", more))
    assert len(after) > 500 and "judge" not in after.values() and {path: after[path] for path in before} == before


def test_one_question_with_many_answers_is_learnt_from_and_held_out(run: Run, tmp_path: Path) -> None:
    rows = ['{"prompt": "Tell me a joke", "response": "Joke %d"}' % n for n in range(60)]  # noqa: UP031
    (tmp_path / "jokes.jsonl").write_text("\n".join(rows))
    counts = Counter(item.split for item in collected(run, "chat", [{"table": str(tmp_path / "jokes.jsonl")}]))
    assert counts == {"train": 35, "validation": 5, "test": 20}


def test_a_messengers_export_is_divided_between_conversations(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    days = range(1, 29)
    lines = (
        f"{day:02}.02.24, 09:00 - {('Ann', 'Bob')[day % 2]}: Question {day}?\n{day:02}.02.24, 09:01 - {('Bob', 'Ann')[day % 2]}: Yes\n"
        for day in days
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "WhatsApp Chat with Ann.txt").write_text("".join(lines))
    sources = [{"folder": str(tmp_path / "data")}]
    items = collected(run, "chat", sources)
    assert set(splits(items).values()) == {"train", "validation", "test"}
    loaded = recipe.parse(f"task: chat\ndata: {{sources: {sources}}}")
    task = build_task(loaded)
    found = [m for item in ledger.leaves(items) for one in task._dialogues(item) for m in one.messages]  # type: ignore[attr-defined]
    assert {m["content"][:3] for m in found if m["role"] == "assistant"} == {"Yes"}
    prepare.run(loaded, run, task=task)
    assert "is learned as the assistant" in capsys.readouterr().err


def test_the_only_group_of_all_is_learnt_from(run: Run, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / "data").mkdir(exist_ok=True)
        Image.new("RGB", (16, 16), (number, 0, 0)).save(tmp_path / "data" / f"{number}.png")
    for name in ("car", "bus", "tram", "ship", "boat"):  # whatever split the hash of the only group says
        rows = "".join(f'{{"image": "{number}.png", "group": "{name}"}}\n' for number in range(20))
        (tmp_path / "data" / "all.jsonl").write_text(rows)
        join = {"table": "all.jsonl", "path": "{image}", "fields": {"group": "{group}"}}
        items = collected(Run(tmp_path / name), "draw", [{"folder": str(tmp_path / "data"), "join": join}])
        assert {item.split for item in ledger.leaves(items)} == {"train"}


def test_few_texts_are_divided_into_blocks(run: Run) -> None:
    items = collected(run, "write", [{"folder": str(ASSETS / "text")}])
    parents = [item for item in items if item.parent is None]
    blocks = [item for item in items if item.parent is not None]
    assert ledger.account(items) == ledger.Account(3, 3, {})
    assert all(item.kept and not item.split for item in parents)
    assert {block.split for block in blocks} == {"train", "validation", "test"}
    for parent in parents:
        own = [block for block in blocks if block.parent == parent.id]
        text = item_text(parent)
        assert [block.path for block in own] == [f"{parent.path}#{number}" for number in range(len(own))]
        assert "".join(map(str, map(item_text, own))) == text
        assert parent.characters == len(str(text))
    assert len({block.id for block in blocks}) == len(blocks)


def test_the_tail_is_held_out_to_the_character(run: Run) -> None:
    items = collected(run, "write", [{"folder": str(ASSETS / "text")}], data__split="tail 10%")
    whole = "".join(str(item_text(item)) for item in items if item.parent is None)
    parts = {
        name: "".join(str(item_text(i)) for i in ledger.leaves(items) if i.split == name) for name in ledger.SPLITS
    }
    assert parts["train"] == whole[: len(whole) * 9 // 10]
    assert parts["validation"] == whole[len(whole) * 9 // 10 :]
    assert parts["test"] == parts["judge"] == ""


def test_a_tail_of_pictures_is_refused(run: Run) -> None:
    with pytest.raises(RequestError, match="tail"):
        collected(run, "draw", [{"folder": str(ASSETS / "pictures")}], data__split="tail 10%")


def test_recorded_splits_do_not_change(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_texts(folder, 6, lines=100)
    before = splits(collected(run, "write", [{"folder": str(folder)}]))
    assert any("#" in path for path in before)
    write_texts(folder, 60, start=100)
    (folder / "a-first.txt").write_text("A text that comes before all others.\n")
    after = splits(collected(run, "write", [{"folder": str(folder)}]))
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 61
    moved = folder / "poem-002.txt"
    moved.rename(tmp_path / "away.txt")
    without = splits(collected(run, "write", [{"folder": str(folder)}]))
    assert not any(path.startswith("poem-002") for path in without)
    (tmp_path / "away.txt").rename(moved)
    assert splits(collected(run, "write", [{"folder": str(folder)}])) == after


def test_another_rule_splits_anew(run: Run) -> None:
    source = [{"folder": str(ASSETS / "text")}]
    assert "test" in splits(collected(run, "write", source)).values()
    assert set(splits(collected(run, "write", source, data__split="tail 10%")).values()) == {"train", "validation"}


def test_only_new_files_are_read(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    write_texts(folder, 30)
    first = collected(run, "write", [{"folder": str(folder)}])
    read: list[str] = []
    real = collect_read.read_regular
    monkeypatch.setattr(collect_read, "read_regular", lambda file: read.append(Path(file).name) or real(file))
    assert collected(run, "write", [{"folder": str(folder)}]) == first
    assert read == []
    write_texts(folder, 1, start=500)
    (folder / "poem-004.txt").write_text("changed")
    collected(run, "write", [{"folder": str(folder)}])
    assert sorted(read) == ["poem-004.txt", "poem-500.txt"]


def test_the_record_says_when_nothing_is_new(run: Run, tmp_path: Path) -> None:
    write_texts(tmp_path / "data", 30)
    outputs = []
    for extra in (0, 0, 1):
        write_texts(tmp_path / "data", extra, start=100)
        collected(run, "write", [{"folder": str(tmp_path / "data")}])
        record = run.record("collect")
        assert record is not None
        outputs.append(record.outputs)
    assert outputs[0] == outputs[1] != outputs[2]


def test_a_limit_keeps_what_a_smaller_one_kept(tmp_path: Path) -> None:
    write_texts(tmp_path / "data", 50)
    kept = []
    for limit in (10, 30):
        items = collected(
            Run(tmp_path / f"run{limit}"), "write", [{"folder": str(tmp_path / "data")}], data__limit=limit
        )
        assert ledger.account(items) == ledger.Account(50, limit, {"limit": 50 - limit})
        kept.append({item.path for item in items if item.kept and item.parent is None})
    assert kept[0] < kept[1]


def test_limits_of_the_recipe(run: Run, tmp_path: Path) -> None:
    write_texts(tmp_path / "data", 3, lines=2)
    (tmp_path / "data" / "short.txt").write_text("Hm.\n")
    (tmp_path / "data" / "long.txt").write_text("x" * 5000)
    limits = {"data__max_item_bytes": 4000, "prepare__min_characters": 10}
    found = by_path(collected(run, "write", [{"folder": str(tmp_path / "data")}], **limits))
    assert found["short.txt"] == "too_small"
    assert found["long.txt"] == "too_large"


def test_licences_are_kept_and_the_unknown_is_said(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_texts(tmp_path / "free", 2)
    (tmp_path / "free" / "LICENSE").write_text("CC0 1.0 Universal\n")
    write_texts(tmp_path / "silent", 1, start=10)
    items = collected(run, "write", [{"folder": str(tmp_path / "free")}, {"folder": str(tmp_path / "silent")}])
    assert {(i.path, i.licence) for i in items if i.kept and i.source == "folder:free"} == {
        ("poem-000.txt", "CC0-1.0"),
        ("poem-001.txt", "CC0-1.0"),
    }
    assert by_path(items)["LICENSE"] == "notice"
    record = run.record("collect")
    assert record is not None
    [notice] = record.summary["notices"]
    assert (run.stage("collect") / notice["file"]).read_text() == "CC0 1.0 Universal\n"
    said = capsys.readouterr().err
    assert "LICENCE UNKNOWN for 1 item of folder:silent" in said
    assert "folder:free:" not in said


def test_how_texts_were_read_stands_in_the_ledger_and_is_said(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_texts(tmp_path / "data", 3)
    (tmp_path / "data" / "old.txt").write_bytes(
        ("Les élèves étaient à l’école, où ils mangeaient. " * 9).encode("cp1252")
    )
    (tmp_path / "data" / "torn.txt").write_bytes(("“Ja”, sagte die Müllerin. " * 30 + "Ü").encode()[:-1])
    items = {item.path: item for item in collected(run, "write", [{"folder": str(tmp_path / "data")}])}
    assert {path: item.detail for path, item in items.items() if item.detail} == {
        "old.txt": "read as cp1252",
        "torn.txt": "bytes that are not UTF-8 were replaced by \ufffd (1, the first at 930)",
    }
    said = capsys.readouterr().err
    assert "1 kept, read as cp1252 (old.txt)" in said
    assert "1 kept, bytes that are not UTF-8 were replaced by \ufffd (torn.txt)" in said


def test_nothing_usable_names_the_folder_and_the_reason(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.bin").write_bytes(bytes(100))
    with pytest.raises(RequestError, match=r"data: nothing usable.*1 wrong_medium"):
        collected(run, "write", [{"folder": str(tmp_path / "data")}])
    assert run.record("collect") is None
    assert ledger.account(ledger.read_run(run)) == ledger.Account(1, 0, {"wrong_medium": 1})


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder, and no right to read what is closed in it: root, who may read everything, takes another user's place."""
    folder = Path(tempfile.mkdtemp())
    was_root = os.geteuid() == 0
    if was_root:
        folder.chmod(0o777)
        os.seteuid(65_534)
    try:
        yield folder
    finally:
        if was_root:
            os.seteuid(0)
        subprocess.run(["chmod", "-R", "u+rwX", folder], check=True)
        shutil.rmtree(folder)


def test_what_may_not_be_read_costs_a_row(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENWRIGHT_CACHE", str(nobody / "cache"))
    folder = nobody / "data"
    write_texts(folder, 25)
    (folder / "closed").mkdir()
    (folder / "closed.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    for name in ("poem-003.txt", "closed", "closed.zip"):
        (folder / name).chmod(0)
    found = by_path(collected(Run(nobody / "run"), "write", [{"folder": str(folder)}]))
    assert {path for path, what in found.items() if what == "unreadable"} == {"poem-003.txt", "closed/", "closed.zip"}
    assert sum(what in ledger.SPLITS for what in found.values()) == 24
    (folder / "poem-003.txt").chmod(0o644)
    assert by_path(collected(Run(nobody / "run"), "write", [{"folder": str(folder)}]))["poem-003.txt"] in ledger.SPLITS


def test_every_split_gets_a_group_where_there_are_enough() -> None:
    shares = {"train": 0.9, "validation": 0.05, "test": 0.05}
    for count in (3, 4, 10, 19):
        items = [Item(str(n), "s", str(n), group=f"group {count} {n}") for n in range(count)]
        dealt = deal({str(item.group): 1 for item in items}, {}, shares)
        filled = fill_empty(Counter(dealt.values()), dealt, shares)
        counts = Counter(filled[str(item.group)] for item in items)
        assert set(counts) == {"train", "validation", "test"}, count
        assert counts["train"] >= count / 2 or count < 5


def test_a_killed_collect_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_texts(folder, 1500, lines=40)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\nfrom genwright.run import Run\nfrom helpers.collect_task import collected\n"
        "collected(Run(Path(sys.argv[3])), 'write', [{'folder': sys.argv[2]}])\n"
    )

    seen = tmp_path / "torn" / "collect" / "seen.jsonl"
    arguments = [sys.executable, "-c", code, str(TESTS), str(folder), str(tmp_path / "torn")]
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while process.poll() is None and (not seen.exists() or seen.stat().st_size < 1000):
        time.sleep(0.001)
    time.sleep(random.random() * 0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if seen.exists():  # a line cut short is what a power cut leaves
        seen.write_bytes(seen.read_bytes()[:-7])
    for name in ("whole", "torn"):
        collected(Run(tmp_path / name), "write", [{"folder": str(folder)}])
    whole, torn = (ledger.read(tmp_path / name / "collect" / "ledger.parquet") for name in ("whole", "torn"))
    assert torn == whole
    assert not [p for p in (tmp_path / "torn" / "collect").iterdir() if p.name.startswith(".ledger")]


NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)
CONTENT = st.one_of(
    st.just(b""),
    st.sampled_from([b"same text\n", b"\x89PNG\r\n\x1a\nbroken", bytes(50), b"PK\x03\x04", "größe".encode("latin-1")]),
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")),
)
TREES = st.recursive(
    st.one_of(CONTENT, st.sampled_from(["link", "loop", "pipe"])),
    lambda below: st.dictionaries(NAMES, below, max_size=5),
    max_leaves=15,
)


def build(place: Path, tree: object, top: Path) -> int:
    """Make what is described; returns how many paths (folders apart) there are."""
    if isinstance(tree, dict):
        place.mkdir()
        return sum(build(place / name, below, top) for name, below in tree.items())
    if isinstance(tree, bytes):
        place.write_bytes(tree)
    elif tree == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(top if tree == "loop" else "/etc/passwd")
    return 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(NAMES.filter(lambda n: not n.startswith(".")), TREES, max_size=6),
    st.sampled_from(["write", "draw"]),
)
def test_whatever_the_folder_everything_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object], task: str
) -> None:
    place = tmp_path_factory.mktemp("any")
    total = build(place / "data", tree, place / "data")
    run = Run(place / "run")
    try:
        items = collected(run, task, [{"folder": str(place / "data")}])
    except RequestError:
        items = ledger.read_run(run)
        assert not any(item.kept and item.split for item in items)
    account = ledger.account(items)
    assert account.offered == account.kept + sum(account.dropped.values())
    assert len({item.id for item in items}) == len(items)
    offered = [item for item in items if item.parent is None]
    hidden_folders = [i.path for i in offered if i.path.endswith("/")]
    inside = sum(
        1 for path in hidden_folders for p in (place / "data" / path).rglob("*") if p.is_symlink() or not p.is_dir()
    )
    assert len(offered) - len(hidden_folders) + inside == total
    assert all(item.kept or item.reason in ledger.REASONS for item in items)
    assert all(item.split for item in ledger.leaves(items))


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_a_list_of_conversations_in_one_file_is_divided_between_rows(run: Run, tmp_path: Path, suffix: str) -> None:
    talks = [(f"Question {n}\nand more?", f"Answer {n}.") for n in range(40)]
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / f"talks{suffix}"
    if suffix == ".json":
        file.write_text(json.dumps([{"question": q, "answer": a} for q, a in talks], indent=1), encoding="utf-8")
    else:
        with file.open("w", newline="", encoding="utf-8") as out:
            csv.writer(out).writerows([("question", "answer"), *talks])
    items = collected(run, "chat", [{"folder": str(tmp_path / "data")}])
    pieces = [item for item in items if item.parent is not None]
    assert len(pieces) >= 20 and {piece.split for piece in pieces} >= {"train", "validation"}
    loaded = recipe.parse("task: chat\ndata: {sources: [{folder: x}]}\n")
    asked = [text for piece in pieces for text in build_task(loaded).texts(piece)]
    assert [text.partition("\n")[2] for text in asked] == [said for talk in talks for said in talk]


def test_documents_are_learnt_as_text_and_the_ledger_says_by_what(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_texts(data, 3)
    page = "<html><body><h1>Roses</h1><p>A rose is a rose, and so on for ever.</p></body></html>"
    (data / "saved.html").write_text(page, encoding="utf-8")
    (data / "marks.csv").write_text("a,b\n" + "1,2\n3,4\n" * 9, encoding="utf-8")
    (data / "~$note.docx").write_bytes(b"Ann" + bytes(150))
    (data / "line\nend [red].txt").write_text("A text with an odd name, to be sure.", encoding="utf-8")
    items = {item.path: item for item in collected(run, "write", [{"folder": str(data)}]) if item.parent is None}
    assert items["saved.html"].kept and items["saved.html"].fields["reader"].startswith("lxml ")
    assert item_text(items["saved.html"]) == "# Roses\n\nA rose is a rose, and so on for ever."
    assert items["marks.csv"].reason == "numbers"
    assert items["~$note.docx"].reason == "hidden"
    assert items["line\nend [red].txt"].kept
    items = {i.path: i for i in collected(run, "write", [{"folder": str(data)}], prepare__numbers=True)}
    assert items["marks.csv"].kept
