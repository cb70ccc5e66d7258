"""Near-duplicates of held-out texts are not learnt from; everything else is left alone."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from genwright import ledger
from genwright.duplicates.held_out import drop_near_duplicates
from genwright.errors import RequestError
from genwright.ledger import Item, item_id
from genwright.run import Run
from helpers import ASSETS
from helpers.collect_task import by_path, collected

SONNETS = (ASSETS / "text" / "sonnets.txt").read_text(encoding="utf-8").split("\n\n")
POEMS = [text for text in SONNETS if len(text) > 300]


def row(name: str, text: str, split: str) -> Item:
    return Item(item_id("t", name), "t", name, medium="text", split=split, characters=len(text), fields={"text": text})


def changed(text: str, share: float, seed: int) -> str:
    """Some words written otherwise."""
    draw = random.Random(seed)
    return " ".join(word[::-1] if draw.random() < share else word for word in text.split(" "))


def jaccard(a: str, b: str) -> float:
    sets = []
    for text in (a, b):
        joined = "".join(text.split())
        sets.append({joined[i : i + 4] for i in range(len(joined) - 3)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_it_drops_what_an_exhaustive_comparison_would() -> None:
    rows = [row(f"h{i}", POEMS[i], ("validation", "test")[i % 2]) for i in range(60)]
    rows += [row(f"c{i}", changed(POEMS[i % 60], 0.02 * (i // 10), i), "train") for i in range(120)]
    rows += [row(f"n{i}", POEMS[60 + i], "train") for i in range(60)]
    held_out = [r.fields["text"] for r in rows if r.split != "train"]
    near = {r.path: max(jaccard(r.fields["text"], text) for text in held_out) for r in rows if r.split == "train"}
    count = drop_near_duplicates(rows, 0.5)
    dropped = {r.path for r in rows if r.reason == "near_duplicate"}
    wanted = {path for path, share in near.items() if share >= 0.5}
    assert count == len(dropped) > 60 and dropped <= wanted
    assert len(wanted - dropped) <= 0.02 * len(wanted)  # those near the threshold may go unseen by the bands
    assert all(path in dropped for path, share in near.items() if share >= 0.6)
    assert all(r.kept for r in rows if r.path[0] in "hn")
    one = next(r for r in rows if r.path == "c0")
    assert one.detail == "100% the same as h0, which is held out for validation" and one.split == ""


def test_line_breaks_do_not_matter_and_short_texts_are_left_alone() -> None:
    text = POEMS[0]
    rows = [row("a", text, "test"), row("b", text.replace("\n", "  \n\n"), "train")]
    rows += [row("c", "the rose", "test"), row("d", "the rose!", "train")]
    assert drop_near_duplicates(rows, 0.9) == 1 and rows[1].reason == "near_duplicate" and rows[3].kept


def test_a_divided_text_is_dropped_when_no_block_is_left() -> None:
    text = POEMS[1] + POEMS[2]
    whole = row("w", text, "")
    half = len(POEMS[1])
    pieces = [
        replace(
            whole,
            id=f"p{i}",
            path=f"w#{i}",
            parent=whole.id,
            start=start,
            stop=stop,
            split="train",
            fields=dict(whole.fields),
        )
        for i, (start, stop) in enumerate([(0, half), (half, len(text))])
    ]
    rows = [whole, *pieces, row("h1", POEMS[1], "test")]
    assert drop_near_duplicates(rows, 0.8) == 1 and whole.kept and not pieces[0].kept and pieces[1].kept
    rows.append(row("h2", POEMS[2], "test"))
    assert drop_near_duplicates(rows, 0.8) == 1 and whole.reason == "near_duplicate"


def test_by_the_recipe_with_the_account_exact(tmp_path: Path) -> None:
    folder = tmp_path / "poems"
    folder.mkdir()
    for number, text in enumerate(POEMS[:60]):
        (folder / f"{number:03}.txt").write_text(text, encoding="utf-8")
        (folder / f"{number:03}-again.txt").write_text(text.replace("\n", "\n\n"), encoding="utf-8")
    sources = [{"folder": str(folder)}]
    plain = collected(Run(tmp_path / "plain"), "write", sources)
    assert all(item.kept for item in plain)
    items = collected(Run(tmp_path / "run"), "write", sources, data__drop_near_duplicates=0.7)
    reasons, splits = by_path(items), by_path(plain)
    for number in range(60):
        pair = [f"{number:03}.txt", f"{number:03}-again.txt"]
        across = {"train"} < {splits[path] for path in pair}
        for path in pair:
            gone = across and splits[path] == "train"
            assert reasons[path] == ("near_duplicate" if gone else splits[path])
    account = ledger.account(items)
    assert account.dropped["near_duplicate"] > 3 and account.offered == account.kept + account.dropped["near_duplicate"]
    with pytest.raises(RequestError, match="drop_near_duplicates compares texts"):
        collected(Run(tmp_path / "draw"), "draw", [{"folder": str(ASSETS / "pictures")}], data__drop_near_duplicates=0.7)  # fmt: skip
