"""Collect: go through the sources and account for every item, before anything else looks at the data.

collect/
  ledger.parquet      one row an item: where from, what it is, whose it is, which split, kept or dropped and why
  splits.parquet      every group that was ever assigned to a split
  licences/           the notices that licences were read from
  seen.jsonl          what was measured of each file, so that only new and changed files are read again
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genwright import cache, ledger
from genwright.console import count, say, track
from genwright.duplicates.held_out import drop_near_duplicates
from genwright.errors import RequestError
from genwright.files import printable
from genwright.ledger import Drop, Item
from genwright.media.base import is_textual
from genwright.recipe import DataSettings, Recipe
from genwright.registry import SOURCES
from genwright.run import Run
from genwright.sources.base import Source
from genwright.stages.collect import split as collect_split
from genwright.stages.collect.read import Reader
from genwright.stages.inputs import digest, stage_inputs

if TYPE_CHECKING:
    from genwright.tasks.base import BaseTask


def run(recipe: Recipe, run: Run, *, task: BaseTask, offline: bool = False) -> dict[str, Any]:
    """Write the ledger; returns what the stage record keeps. Raises RequestError when nothing is usable."""
    started = time.monotonic()
    inputs = stage_inputs("collect", recipe, run, task)
    near = recipe.data.drop_near_duplicates
    if near is not None and not is_textual(task.medium):
        raise RequestError(
            f"data.drop_near_duplicates compares texts, and `{task.name}` works with {task.medium}; leave it out."
        )
    sources = open_sources(recipe.data, offline=offline)
    folder = run.stage("collect")
    items = read_items(recipe, sources, task, folder / "seen.jsonl")
    rows = collect_split.assign(items, task, recipe.data.split, folder / "splits.parquet")
    if near is not None:
        drop_near_duplicates(rows, near)
    _tell(rows, sources)
    run.reopen("collect")
    ledger.write(rows, folder / ledger.LEDGER)
    notices = _keep_notices(run, sources)
    summary = _summary(rows, sources, notices)
    run.complete("collect", inputs=inputs, outputs=_outputs(rows), seconds=time.monotonic() - started, summary=summary)
    return summary


def read_items(recipe: Recipe, sources: Sequence[Source], task: BaseTask, seen: Path) -> list[Item]:
    """Everything that the sources offer, read; what can't be used is dropped. `seen`: what was read before, and what is read now.

    Raises RequestError where nothing of it is usable.
    """
    items = [item for source in sources for item in _offered(source)]
    _limit(items, recipe.data.limit)
    with Reader(seen, task, recipe.data.max_item_bytes) as reader:
        reader.read(items)
        by_name = {source.name: source for source in sources}
        for item in items:
            by_name[item.source].complete(item)
        _drop_duplicates(items)
        if not any(item.kept for item in items):
            _tell(items, sources)
            if not (file := seen.with_name(ledger.LEDGER)).exists():  # to see why; an earlier one is not spoiled
                ledger.write(items, file)
            raise RequestError(_nothing(items, sources, task))
    return items


def open_sources(data: DataSettings, *, offline: bool = False) -> list[Source]:
    """The recipe's sources, each with a name of its own."""
    found: list[Source] = []
    taken: Counter[str] = Counter()
    for given in data.sources:
        kind = next(key for key in given if key in SOURCES)
        source_class = SOURCES[kind].load()
        spec = source_class.Spec.model_validate(given)
        name = spec.title()
        taken[name] += 1
        name = name if taken[name] == 1 else f"{name} ({taken[name]})"
        found.append(source_class(spec, cache.folder(), name=name, offline=offline))
    return found


def _offered(source: Source) -> Iterator[Item]:
    """Everything a source offers. Fetching and unpacking, which come before the first item, have progress lines of their own."""
    items = source.offer()
    for first in items:
        for item in track(chain([first], items), f"look through {source.name}"):
            item.role = source.spec.as_
            yield item


def _limit(items: Sequence[Item], limit: int | None) -> None:
    """Keep the `limit` items whose hashes come first, so that a larger limit keeps what a smaller one kept."""
    usable = [item for item in items if item.kept]
    if limit is None or len(usable) <= limit:
        return
    ranked = sorted(usable, key=lambda item: hashlib.sha256(f"limit {item.id}".encode()).digest())
    for item in ranked[limit:]:
        item.drop(Drop("limit"))


def _drop_duplicates(items: Sequence[Item]) -> None:
    first: dict[tuple[str | None, ...], Item] = {}
    for item in items:
        if item.kept and item.sha256 is not None:
            original = first.setdefault((item.sha256, *item.beside()), item)
            if original is not item:
                elsewhere = f" in {original.source}" if original.source != item.source else ""
                row = f" row {original.row}" if original.row is not None else ""
                item.drop(Drop("duplicate", f"of {printable(original.path)}{row}{elsewhere}"))


def _keep_notices(run: Run, sources: Sequence[Source]) -> list[dict[str, Any]]:
    folder = run.stage("collect") / "licences"
    kept = []
    for source in sources:
        for notice in source.notices.values():
            # Named by hash: a path of the source might be too long, or lead elsewhere.
            name = hashlib.sha256(f"{source.name}\n{notice.path}".encode("utf-8", "surrogateescape")).hexdigest()[:12]
            folder.mkdir(exist_ok=True)
            (folder / f"{name}.txt").write_text(notice.text, encoding="utf-8", errors="replace")
            about = {"source": source.name, "path": printable(notice.path), "licence": notice.licence}
            kept.append({**about, "file": f"licences/{name}.txt"})
    return kept


def _summary(rows: Sequence[Item], sources: Sequence[Source], notices: list[dict[str, Any]]) -> dict[str, Any]:
    offered = [item for item in rows if item.parent is None]
    kept = [item for item in offered if item.kept]
    whole = ledger.account(rows)
    by_source: dict[str, list[Item]] = {source.name: [] for source in sources}
    for item in offered:
        by_source[item.source].append(item)
    return {
        "offered": whole.offered,
        "kept": whole.kept,
        "dropped": whole.dropped,
        "bytes": sum(item.bytes or 0 for item in kept),
        "characters": sum(item.characters or 0 for item in kept),
        "licences": dict(Counter(item.licence or "unknown" for item in kept).most_common()),
        "splits": dict(Counter(item.split for item in ledger.leaves(rows))),
        "sources": {
            source.name: {**vars(ledger.account(by_source[source.name])), "about": source.about} for source in sources
        },
        "notices": notices,
    }


def _outputs(rows: Sequence[Item]) -> str:
    return digest(
        [[i.id, i.sha256, i.split, i.start, i.stop, i.fields, i.reason, i.licence, *i.beside()] for i in rows]
    )


def _tell(rows: Sequence[Item], sources: Sequence[Source]) -> None:
    """The account in a few lines, and loudly what is not known of rights."""
    whole = ledger.account(rows)
    say(f"collect: {whole.offered:,} offered = {whole.kept:,} kept + {sum(whole.dropped.values()):,} dropped")
    for line in ledger.told(row for row in rows if row.parent is None):
        say(line)
    for source in sources:
        unknown = sum(i.kept and i.parent is None and i.source == source.name and i.licence is None for i in rows)
        if unknown:
            say(
                f"LICENCE UNKNOWN for {count(unknown, 'item')} of {source.name}: no notice was found in it; "
                "make sure that you may use them, and say so with `licence:` under the source in the recipe."
            )


def _nothing(rows: Sequence[Item], sources: Sequence[Source], task: BaseTask) -> str:
    where = ", ".join(str(getattr(source.spec, source.name.partition(":")[0], source.name)) for source in sources)
    dropped = Counter(item.reason for item in rows if item.parent is None)
    left_out = sum(source.about.get("left_out_by_patterns", 0) for source in sources)
    said = {item.reason: item.detail for item in reversed(rows) if item.parent is None and item.detail}
    main = [
        f"{number:,} {reason}: {said.get(reason) or ledger.REASONS[str(reason)]}"
        for reason, number in dropped.most_common(3)
    ]
    if left_out:
        main.append(f"{left_out:,} left out by `include` and `exclude`")
    return f"{where}: nothing usable for `{task.name}`, which works with {task.medium} ({'; '.join(main) or 'it is empty'}); add such files or check the recipe's sources."
