"""How much is held out: enough to score by where the data has it, and of much data no more than the task's shares."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from genwright import ledger
from genwright.run import Run
from genwright.stages.collect.shares import ENOUGH, deal, held_out
from helpers import ASSETS
from helpers.collect_task import collected, write_texts

TEXT = {"train": 0.9, "validation": 0.05, "test": 0.05}
DRAWN = {"train": 0.85, "validation": 0.05, "test": 0.1}


@pytest.mark.parametrize("shares", [TEXT, DRAWN])
@pytest.mark.parametrize("count", [3, 12, 30, 60, 100, 200, 399, 400, 799, 800, 5000])
def test_what_scores_are_measured_on_is_enough_from_sixty_on(count: int, shares: dict[str, float]) -> None:
    groups = {f"group {count} {n}": 1 for n in range(count)}
    counts = Counter(deal(groups, {}, shares).values())
    assert counts["test"] >= min(ENOUGH, count // 3)
    assert counts["train"] >= 0.55 * count
    if count >= 800:
        assert all(0.6 * shares[split] < counts[split] / count < 1.4 * shares[split] for split in shares)
    assert deal(groups, {}, shares) == deal(dict(reversed(groups.items())), {}, shares)


def test_a_large_group_is_not_dealt_to_a_split_that_it_would_fill() -> None:
    found = deal({"giant": 50, **{f"small {n}": 1 for n in range(50)}}, {}, TEXT)
    assert found["giant"] == "train" and Counter(found.values())["test"] == held_out(100, TEXT)["test"] == 20


def test_data_that_comes_later_is_learnt_from_as_well() -> None:
    """An old run that held out three of sixty: of five new texts one makes up for it, not all."""
    counts = Counter(deal({f"new {n}": 1 for n in range(5)}, {"train": 57, "validation": 2, "test": 1}, TEXT).values())
    assert counts == {"train": 4, "test": 1}
    many = Counter(
        deal({f"new {n}": 1 for n in range(400)}, {"train": 60, "validation": 10, "test": 20}, TEXT).values()
    )
    assert many["train"] > 340 and many["test"] >= 20


def test_notes_are_cut_so_that_twenty_blocks_are_held_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sixty notes: by chance one alone was held out, and decided the score."""
    (tmp_path / "notes").mkdir()
    whole = "".join(file.read_text(encoding="utf-8") for file in sorted((ASSETS / "text").iterdir()))
    for number in range(60):
        (tmp_path / "notes" / f"{number:02}.txt").write_text(whole[number * 3000 : (number + 1) * 3000])
    items = collected(Run(tmp_path / "run"), "write", [{"folder": str(tmp_path / "notes")}])
    leaves = list(ledger.leaves(items))
    test = [leaf for leaf in leaves if leaf.split == "test"]
    assert len(test) >= 20 and len({leaf.parent for leaf in test}) > 10
    characters = Counter()
    for leaf in leaves:
        characters[leaf.split] += leaf.characters or 0
    assert characters["train"] > 0.75 * characters.total()
    said = capsys.readouterr().err
    assert "blocks of" in said and "are held out" in said
    # No text is cut where nothing is held out: what is learnt from lies together.
    for one, following in pairwise(leaves):
        assert (
            one.parent is None or one.parent != following.parent or (one.split, following.split) != ("train", "train")
        )


def test_many_texts_are_held_out_whole(tmp_path: Path) -> None:
    write_texts(tmp_path / "data", 220, lines=40)
    items = collected(Run(tmp_path / "run"), "write", [{"folder": str(tmp_path / "data")}])
    assert all(item.parent is None for item in items)
    assert Counter(item.split for item in items)["test"] == 20


def labelled(folder: Path, labels: dict[str, int]) -> list[dict[str, str]]:
    number = 0
    for label, count in labels.items():
        (folder / label).mkdir(parents=True)
        for _ in range(count):
            Image.new("RGB", (16, 16), (number % 256, number // 256, 9)).save(folder / label / f"{number}.png")
            number += 1
    return [{"folder": str(folder), "labels": "folders"}]


def test_every_label_is_learnt_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A label that stands in validation alone would be known to nobody."""
    names = {f"kind {n}": 1 for n in range(30)}
    items = collected(Run(tmp_path / "run"), "draw", labelled(tmp_path / "data", {"cat": 40, "dog": 40, **names}))
    splits: dict[str, set[str]] = {}
    for item in items:
        splits.setdefault(item.fields["label"], set()).add(item.split)
    assert all("train" in found for found in splits.values())
    assert "test" in splits["cat"] | splits["dog"]
    said = capsys.readouterr().err
    assert "too few to hold any of them out" in said and "kind " in said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (60, "25 items are held out, 42% of all: 20 to score by and 5 to choose the best weights by; scores of fewer than 20 say little, so"),
        (57, "19 to score by and 4 to choose the best weights by; scores of fewer than 20 say little, and more data helps"),
    ],
)  # fmt: skip
def test_what_is_held_out_is_told_by_what_it_is_for(
    count: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    collected(Run(tmp_path / "run"), "draw", labelled(tmp_path / "data", {"cat": count}))
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_pictures_leave_nothing_or_one_to_score(
    count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = collected(Run(tmp_path / "run"), "draw", labelled(tmp_path / "data", {"cat": count}))
    assert "train" in {item.split for item in items}
    assert "split: " in capsys.readouterr().err


def by_authors(folder: Path, count: int, each: int) -> list[dict[str, object]]:
    """A table of texts of so many authors."""
    texts = [{"text": f"{'The rose is red. ' * 200} {n}", "author": f"poet {n // each}"} for n in range(count)]
    (folder / "poems.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))
    return [{"table": str(folder / "poems.jsonl"), "text": "{text}", "fields": {"author": "{author}"}}]


def test_one_author_of_all_texts_is_cut_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = collected(Run(tmp_path / "run"), "write", by_authors(tmp_path, 30, 30), prepare__group="[author]")
    assert {item.split for item in ledger.leaves(items)} == {"train", "validation", "test"}
    assert "30 texts that belong together are more than a tenth of all" in capsys.readouterr().err


def test_texts_that_belong_together_and_are_few_of_all_stay_whole(tmp_path: Path) -> None:
    found = collected(Run(tmp_path / "run"), "write", by_authors(tmp_path, 90, 3), prepare__group="[author]")
    items = list(ledger.leaves(found))
    by_author: dict[str, set[str]] = {}
    for item in items:
        by_author.setdefault(item.fields["author"], set()).add(item.split)
    assert all(len(splits) == 1 for splits in by_author.values()) and all(item.parent is None for item in items)
    assert sum(item.split == "test" for item in items) >= 18


def test_near_duplicates_that_are_most_of_all_are_held_out_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    same = "\n".join(f"value_{n} = read('a', {n})" for n in range(30))
    for number in range(70):
        (tmp_path / "data" / f"made_{number:02}.py").write_text(f"# file {number}\n{same}\n")
    items = list(ledger.leaves(collected(Run(tmp_path / "run"), "complete", [{"folder": str(tmp_path / "data")}])))
    assert {item.split for item in items} == {"train", "validation", "test"}
    assert "both sides of the split" in capsys.readouterr().err
