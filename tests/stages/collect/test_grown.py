"""A text that grows: what stood there keeps its split and its examples, whatever is added behind it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from genwright import recipe as recipes
from genwright.ledger import Item, leaves
from genwright.model_folder import build_task
from genwright.run import Run
from genwright.stages.prepare import stage as prepare
from genwright.stages.train import new_data
from helpers import ASSETS
from helpers.collect_task import collected

TEXT = ASSETS / "text"
COMEDY, SONNETS = ((TEXT / name).read_text(encoding="utf-8") for name in ("comedy_of_errors.txt", "sonnets.txt"))
JOURNAL = COMEDY * 3
"""Long enough for blocks of a hundredth of it, whose size changes as it grows."""


def blocks(run: Run, folder: Path, text: str, **options: str) -> list[Item]:
    folder.mkdir(exist_ok=True)
    (folder / "journal.txt").write_text(text, encoding="utf-8")
    return list(leaves(collected(run, "write", [{"folder": str(folder)}], **options)))


def spans(items: list[Item]) -> dict[tuple[int, int], str]:
    return {(item.start or 0, item.stop or 0): item.split for item in items}


@pytest.mark.parametrize("options", [{}, {"data__split": "tail 10%"}])
def test_what_is_added_moves_nothing_to_another_split(tmp_path: Path, options: dict[str, str]) -> None:
    run, folder = Run(tmp_path / "run"), tmp_path / "data"
    before = spans(blocks(run, folder, JOURNAL, **options))
    grown = JOURNAL + SONNETS
    after = spans(blocks(run, folder, grown, **options))
    assert len(JOURNAL) > 250_000 and before.items() <= after.items() and len(after) > len(before)
    edges = sorted(after)
    assert edges[0][0] == 0 and edges[-1][1] == len(grown)
    assert all(one[1] == next_[0] for one, next_ in pairwise(edges))
    assert spans(blocks(run, folder, grown, **options)) == after
    # Again, and from the shorter text back.
    assert after.items() <= spans(blocks(run, folder, grown + COMEDY, **options)).items()
    shorter = spans(blocks(run, folder, JOURNAL[:-5000], **options))
    assert max(shorter)[1] == len(JOURNAL) - 5000
    assert {span: split for span, split in before.items() if span[1] <= len(JOURNAL) - 5000}.items() <= shorter.items()


def test_only_the_end_of_a_text_that_grew_is_new(tmp_path: Path) -> None:
    run, folder = Run(tmp_path / "run"), tmp_path / "data"
    blocks(run, folder, JOURNAL)
    recipe = recipes.parse(
        f"task: write\ndata: {{sources: [{{folder: {folder}}}]}}\nprepare: {{tokenizer: characters}}\n"
    )
    task = build_task(recipe)
    count = prepare.run(recipe, run, task=task)["encoded"]
    splits = prepare.load_splits(run, task)
    (tmp_path / "train").mkdir()
    new_data.save(tmp_path / "train", "first", splits, "")

    grown = JOURNAL + SONNETS
    items = blocks(run, folder, grown)
    encoded = prepare.run(recipe, run, task=task)["encoded"]
    # The new blocks, and the one that was the last: its text goes on now.
    assert encoded == len(items) - count + 1
    splits = prepare.load_splits(run, task)
    known = new_data.load(tmp_path / "train", "first")
    assert known is not None
    new = sum(new_data.is_new(store, splits.items, known).sum() for store in splits.stores.values())
    assert new == encoded
    facts = prepare.load_facts(run, task)
    ends = {
        (splits.items[store.ids[i]].stop or 0)
        for store in splits.stores.values()
        for i in range(len(store))
        if store[i]["tokens"][-1] == facts.end_token
    }
    assert ends == {len(grown)}


def test_a_change_in_the_middle_keeps_what_stands_before_it(tmp_path: Path) -> None:
    run, folder = Run(tmp_path / "run"), tmp_path / "data"
    before = spans(blocks(run, folder, JOURNAL))
    middle = len(JOURNAL) // 2
    after = spans(blocks(run, folder, JOURNAL[:middle] + "A line more.\n" + JOURNAL[middle:]))
    kept = {span: split for span, split in before.items() if span[1] <= middle}
    assert len(kept) > 30 and kept.items() <= after.items()
