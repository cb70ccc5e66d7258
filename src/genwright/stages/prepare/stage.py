"""Prepare: from the ledger's kept items to memory-mapped examples.

    prepare/
      facts/                      the task's facts (tokenizer, statistics), frozen until --refit
      parts/<hash>/               a chunk of items, encoded; named by its items, the facts and the settings
      index.json                  the parts of each split, in order
      ledger.parquet              the items that could not be encoded, and why

A chunk is a pure function of its items, so any number of workers writes the same bytes, a stopped run goes on where it
was, and only items that are new or changed are encoded (prepare_chunks.py).
"""

from __future__ import annotations

import json
import os
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genwright import files, ledger
from genwright.console import count, say, track
from genwright.errors import RequestError
from genwright.ledger import SPLITS, Drop, Item
from genwright.recipe import Recipe
from genwright.run import Run, read_json, write_atomic
from genwright.shards import Example, ExampleStore, read_about, write_part
from genwright.stages.inputs import digest, stage_inputs
from genwright.stages.prepare.chunks import Chunk, chunks, copied, former_parts, item_key, size_of
from genwright.stages.train.budgets import refuse_other_facts
from genwright.tasks.base import BaseTask, Splits

_ALONE_BYTES = 8 << 20
"""Below this much input, starting worker processes costs more than it gains."""


def run(recipe: Recipe, run: Run, *, task: BaseTask, refit: bool = False) -> dict[str, Any]:
    """Encode what is new. Raises RequestError when nothing is left to learn from."""
    started = time.monotonic()
    inputs = stage_inputs("prepare", recipe, run, task)
    folder = run.stage("prepare")
    items = list(ledger.leaves(ledger.read(run.stage("collect") / "ledger.parquet")))
    facts_hash = _fit(task, items, run, refit)
    run.reopen("prepare")
    key = digest(facts_hash, task.encoding_settings())
    former = former_parts(folder)
    made = chunks(items, former, key)
    encoded = _encode_all(task, folder, made, key, recipe.prepare.workers)
    if former and encoded:
        say(f"prepare: encoded {count(encoded, 'new or changed item')}; {len(items) - encoded:,} stay as they were.")
    index = {split: [chunk.name for chunk in made if chunk.items[0].split == split] for split in SPLITS}
    write_atomic(folder / "index.json", json.dumps(index, indent=1))
    dropped = _write_drops(folder, made)
    _tell(len(items), dropped, folder, made)
    _sweep(folder, {chunk.name for chunk in made})
    splits = load_splits(run, task)
    counts = {split: len(store) for split, store in splits.stores.items()}
    if not counts["train"]:
        raise RequestError(_nothing_left(run, dropped))
    summary = {"examples": counts, "dropped": len(dropped), "facts": facts_hash, "encoded": encoded}
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
    content = {split: sorted({_seal(items[i]) for i in store.ids}) for split, store in stores.items()}
    return Splits(stores, items, digest(content))


def _seal(item: Item) -> str:
    return " ".join(str(part) for part in (item.id, item.sha256, *item.beside()))


def _fit(task: BaseTask, items: Sequence[Item], run: Run, refit: bool) -> str:
    """Measure the facts on the training items, unless they stand already; returns their hash. Raises RequestError where a training
    stands on others, which --refit alone may replace."""
    folder = run.stage("prepare")
    facts_folder, seal = folder / "facts", folder / "facts.json"
    settings = digest(task.encoding_settings())
    if not refit and seal.exists() and read_json(seal)["settings"] == settings:
        return read_json(seal)["hash"]
    training = [item for item in items if item.split == "train"]
    if not training:
        groups = len({item.group for item in items})
        raise RequestError(
            f"{folder.parent}: everything is held out ({count(len(items), 'item')}), because it was split as {count(groups, 'group')} "
            "and an earlier split stays; add data, or run the recipe in a new folder."
        )
    with files.whole(facts_folder) as temporary:
        temporary.mkdir()
        task.fit(training).save(temporary)
        content = digest({file.name: file.read_bytes().hex() for file in sorted(temporary.iterdir())})
        if not refit:
            refuse_other_facts(run.stage("train"), content)
    write_atomic(seal, json.dumps({"settings": settings, "hash": content}))
    return content


def _encode_all(task: BaseTask, folder: Path, made: Sequence[Chunk], key: str, workers: int | None) -> int:
    """Write the parts that are not there; returns how many items had to be encoded."""
    missing = [chunk for chunk in made if read_about(folder / "parts" / chunk.name) is None]
    for chunk in missing:
        if chunk.copied_from is not None:
            examples, lost = copied(folder, chunk)
            write_part(folder / "parts" / chunk.name, examples, _about(chunk.items, key) | lost)
    waiting = [chunk for chunk in missing if chunk.copied_from is None]
    workers = min(workers or os.cpu_count() or 1, len(waiting))
    if workers > 1 and sum(size_of(item) for chunk in waiting for item in chunk.items) > _ALONE_BYTES:
        from joblib import Parallel, delayed

        jobs = (delayed(encode_chunk)(task, folder, chunk.name, chunk.items, key) for chunk in waiting)
        done = Parallel(n_jobs=workers, return_as="generator_unordered")(jobs)
    else:
        done = (encode_chunk(task, folder, chunk.name, chunk.items, key) for chunk in waiting)
    with warnings.catch_warnings():
        # Workers that grew are replaced in the middle of the work, which is no matter for anybody.
        warnings.filterwarnings("ignore", "A worker stopped while", UserWarning)
        for _ in track(done, "prepare", len(waiting)):
            pass
    return sum(len(chunk.items) for chunk in waiting)


def encode_chunk(task: BaseTask, folder: Path, name: str, items: Sequence[Item], key: str) -> str:
    """Encode one chunk into its part; a pure function of its arguments, run in any process."""
    facts = task.load_facts(folder / "facts")
    about = _about(items, key)

    def examples() -> Iterator[tuple[str, Example]]:
        for item in items:
            drops: dict[str, list[Any]] = {}
            found = False
            for result in _encode(task, item, facts):
                if isinstance(result, Drop):
                    drops.setdefault(result.reason, [0, result.detail])[0] += 1
                else:
                    found = True
                    yield item.id, result
            if drops and found:
                about["partly"][item.id] = drops
            elif drops:
                about["drops"][item.id] = next((reason, detail) for reason, (_, detail) in drops.items())

    write_part(folder / "parts" / name, examples(), about)
    return name


def _about(items: Sequence[Item], key: str) -> dict[str, Any]:
    """`drops` are items without an example, with reason and detail; of items in `partly` some of what they hold became none: how
    much by reason, and a detail."""
    keys = [item_key(item, key) for item in items]
    return {"items": [item.id for item in items], "keys": keys, "drops": {}, "partly": {}}


def _encode(task: BaseTask, item: Item, facts: Any) -> Iterator[Example | Drop]:
    try:
        yield from task.encode(item, facts)
    except (OSError, ValueError, ArithmeticError, LookupError, MemoryError) as error:
        # A decoder may fail in any of these ways on a file made to break it; one bad item must not cost the run.
        yield Drop("unreadable" if isinstance(error, OSError) else "undecodable", f"{type(error).__name__}: {error}")


def _write_drops(folder: Path, made: Sequence[Chunk]) -> list[Item]:
    dropped = []
    for chunk in made:
        drops = (read_about(folder / "parts" / chunk.name) or {}).get("drops", {})
        for item in chunk.items:
            if item.id in drops:
                row = replace(item)
                row.drop(Drop(*drops[item.id]))
                dropped.append(row)
    ledger.write(dropped, folder / "ledger.parquet")
    return dropped


def _tell(items: int, dropped: Sequence[Item], folder: Path, made: Sequence[Chunk]) -> None:
    """What became no example, by reason, as collect says it; whole items, and parts of those that are kept."""
    if dropped:
        say(f"prepare: {count(items, 'item')} = {items - len(dropped):,} prepared + {len(dropped):,} dropped")
        for line in ledger.told(dropped):
            say(line)
    parts: dict[str, list[Any]] = {}
    for chunk in made:
        partly = (read_about(folder / "parts" / chunk.name) or {}).get("partly", {})
        for reason, (number, detail) in (pair for drops in partly.values() for pair in drops.items()):
            parts.setdefault(reason, [0, detail])[0] += number
    for reason, (number, detail) in parts.items():
        say(f"prepare: {count(number, 'part')} of kept items left out, {reason}: {ledger.REASONS[reason]} ({detail})")


def _sweep(folder: Path, keep: set[str]) -> None:
    for part in (folder / "parts").iterdir():
        if part.name not in keep:
            shutil.rmtree(part, ignore_errors=True)


def _nothing_left(run: Run, dropped: Sequence[Item]) -> str:
    why = f" ({dropped[0].path}: {dropped[0].detail or ledger.REASONS[str(dropped[0].reason)]})" if dropped else ""
    return f"{run.folder}: no item could be turned into a training example{why}; see `genwright ledger {files.quoted(run.folder)} --dropped`."
