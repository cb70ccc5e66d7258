"""Prepare: from the ledger's kept items to memory-mapped examples.

    prepare/
      facts/                      the task's facts (tokenizer, statistics), frozen until --refit
      parts/<hash>/               a chunk of items, encoded; named by its items, the facts and the settings
      index.json                  the parts of each split, in order
      ledger.parquet              the items that could not be encoded, and why

A chunk is a pure function of its items, so any number of workers writes the same bytes, a stopped run goes on where it
was, and new items cost only new chunks.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genwright import ledger
from genwright.console import track
from genwright.errors import RequestError
from genwright.ledger import SPLITS, Drop, Item
from genwright.recipe import Recipe
from genwright.run import Run, read_json, write_atomic
from genwright.shards import Example, ExampleStore, read_about, write_part
from genwright.stages.inputs import digest, stage_inputs
from genwright.tasks.base import BaseTask, Splits

CHUNK_ITEMS = 256
CHUNK_BYTES = 8 << 20
_ALONE_BYTES = 8 << 20
"""Below this much input, starting worker processes costs more than it gains."""


def run(recipe: Recipe, run: Run, *, task: BaseTask, refit: bool = False) -> dict[str, Any]:
    """Encode what is new. Raises RequestError when nothing is left to learn from."""
    started = time.monotonic()
    inputs = stage_inputs("prepare", recipe, run, task)
    folder = run.reopen("prepare")
    items = list(ledger.leaves(ledger.read(run.stage("collect") / "ledger.parquet")))
    facts_hash = _fit(task, items, folder, refit)
    chunks = _chunks(items, _previous_chunks(folder), digest(facts_hash, task.encoding_settings()))
    _encode_all(task, folder, chunks, recipe.prepare.workers)
    index = {split: [name for name, chunk in chunks if chunk[0].split == split] for split in SPLITS}
    write_atomic(folder / "index.json", json.dumps(index, indent=1))
    dropped = _write_drops(folder, chunks)
    _sweep(folder, {name for name, _ in chunks})
    splits = load_splits(run, task)
    counts = {split: len(store) for split, store in splits.stores.items()}
    if not counts["train"]:
        raise RequestError(_nothing_left(run, dropped))
    summary = {"examples": counts, "dropped": len(dropped), "facts": facts_hash}
    run.complete(
        "prepare", inputs=inputs, outputs=digest(index, facts_hash), seconds=time.monotonic() - started, summary=summary
    )
    return summary


def load_facts(run: Run, task: BaseTask) -> Any:
    return task.load_facts(run.stage("prepare") / "facts")


def load_splits(run: Run, task: BaseTask) -> Splits:
    """The prepared examples of every split, with the items behind them."""
    folder = run.stage("prepare")
    index = read_json(folder / "index.json")
    stores = {split: ExampleStore([folder / "parts" / name for name in index[split]]) for split in SPLITS}
    items = {item.id: item for item in ledger.read(run.stage("collect") / "ledger.parquet")}
    return Splits(stores, items, digest({split: sorted(store.ids) for split, store in stores.items()}))


def _fit(task: BaseTask, items: Sequence[Item], folder: Path, refit: bool) -> str:
    """Measure the facts on the training items, unless they stand already; returns their hash."""
    facts_folder, seal = folder / "facts", folder / "facts.json"
    settings = digest(task.encoding_settings())
    if not refit and seal.exists() and read_json(seal)["settings"] == settings:
        return read_json(seal)["hash"]
    training = [item for item in items if item.split == "train"]
    if not training:
        raise RequestError(
            f"{folder.parent}: no item is left to train on; see why with `genwright ledger {folder.parent}`."
        )
    shutil.rmtree(facts_folder, ignore_errors=True)
    facts_folder.mkdir(parents=True)
    task.fit(training).save(facts_folder)
    content = digest({file.name: file.read_bytes().hex() for file in sorted(facts_folder.iterdir())})
    write_atomic(seal, json.dumps({"settings": settings, "hash": content}))
    return content


Chunk = tuple[str, list[Item]]


def _previous_chunks(folder: Path) -> list[tuple[str, list[str]]]:
    """(split, item ids) of the chunks that an earlier run made, in their order."""
    if not (folder / "index.json").exists():
        return []
    index = read_json(folder / "index.json")
    abouts = [(split, read_about(folder / "parts" / name)) for split in index for name in index[split]]
    return [(split, about["items"]) for split, about in abouts if about]


def _chunks(items: Sequence[Item], previous: list[tuple[str, list[str]]], key: str) -> list[Chunk]:
    """Group items by split and size. Chunks of earlier runs stay as they are while all their items are still there."""
    by_id = {item.id: item for item in items}
    groups: list[list[Item]] = []
    for split, ids in previous:
        if all(i in by_id and by_id[i].split == split for i in ids):
            groups.append([by_id.pop(i) for i in ids])
    for split in SPLITS:
        group: list[Item] = []
        size = 0
        for item in (item for item in by_id.values() if item.split == split):
            if group and (len(group) == CHUNK_ITEMS or size > CHUNK_BYTES):
                groups.append(group)
                group, size = [], 0
            group.append(item)
            size += _size(item)
        if group:
            groups.append(group)
    return [(digest(key, [[i.id, i.sha256, i.start, i.stop, i.fields] for i in group]), group) for group in groups]


def _size(item: Item) -> int:
    if item.start is not None and item.stop is not None:
        return item.stop - item.start
    return item.bytes or sum(map(len, item.fields.values()))


def _encode_all(task: BaseTask, folder: Path, chunks: Sequence[Chunk], workers: int | None) -> None:
    waiting = [(name, items) for name, items in chunks if read_about(folder / "parts" / name) is None]
    workers = min(workers or os.cpu_count() or 1, len(waiting))
    if workers > 1 and sum(_size(item) for _, items in waiting for item in items) > _ALONE_BYTES:
        from joblib import Parallel, delayed

        jobs = (delayed(encode_chunk)(task, folder, name, items) for name, items in waiting)
        done = Parallel(n_jobs=workers, return_as="generator_unordered")(jobs)
    else:
        done = (encode_chunk(task, folder, name, items) for name, items in waiting)
    for _ in track(done, "prepare", len(waiting)):
        pass


def encode_chunk(task: BaseTask, folder: Path, name: str, items: Sequence[Item]) -> str:
    """Encode one chunk into its part; a pure function of its arguments, run in any process."""
    facts = task.load_facts(folder / "facts")
    about: dict[str, Any] = {"items": [item.id for item in items], "drops": {}}

    def examples() -> Iterator[tuple[str, Example]]:
        for item in items:
            for result in _encode(task, item, facts):
                if isinstance(result, Drop):
                    about["drops"][item.id] = [result.reason, result.detail]
                else:
                    yield item.id, result

    write_part(folder / "parts" / name, examples(), about)
    return name


def _encode(task: BaseTask, item: Item, facts: Any) -> Iterator[Example | Drop]:
    try:
        yield from task.encode(item, facts)
    except (OSError, ValueError, ArithmeticError, LookupError, MemoryError) as error:
        # A decoder may fail in any of these ways on a file made to break it; one bad item must not cost the run.
        yield Drop("unreadable" if isinstance(error, OSError) else "undecodable", f"{type(error).__name__}: {error}")


def _write_drops(folder: Path, chunks: Sequence[Chunk]) -> list[Item]:
    dropped = []
    for name, items in chunks:
        drops = (read_about(folder / "parts" / name) or {}).get("drops", {})
        for item in items:
            if item.id in drops:
                row = replace(item)
                row.drop(Drop(*drops[item.id]))
                dropped.append(row)
    ledger.write(dropped, folder / "ledger.parquet")
    return dropped


def _sweep(folder: Path, keep: set[str]) -> None:
    for part in (folder / "parts").iterdir():
        if part.name not in keep:
            shutil.rmtree(part, ignore_errors=True)


def _nothing_left(run: Run, dropped: Sequence[Item]) -> str:
    why = f" ({dropped[0].path}: {ledger.REASONS[str(dropped[0].reason)]})" if dropped else ""
    return f"{run.folder}: no item could be turned into a training example{why}; see `genwright ledger {run.folder} --dropped`."
