"""Which items stand together in one prepared part, and whose examples are there already.

An item whose content did not change is never encoded again: a part whose items are all as they were stays as it is, and of a
part that lost an item, or in which one changed, the others are copied into a new part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genwright.ledger import SPLITS, Item
from genwright.run import read_json
from genwright.shards import Example, ExampleStore, read_about
from genwright.stages.inputs import digest

CHUNK_ITEMS = 256
CHUNK_BYTES = 8 << 20


@dataclass
class Chunk:
    """Items that share a part. `name` follows from the items, the facts and the settings, so it names the bytes too."""

    name: str
    items: list[Item]
    copied_from: str | None = None
    """The earlier part that holds the examples of all these items, and of others that are gone or changed."""


@dataclass
class Former:
    """A part that an earlier run made."""

    name: str
    split: str
    items: list[str]
    keys: dict[str, str] = field(default_factory=dict)


def item_key(item: Item, key: str) -> str:
    """Names the examples of an item: its content and place, under the facts and settings that `key` stands for."""
    return digest(key, [item.id, item.sha256, item.start, item.stop, item.fields, *item.beside()])


def size_of(item: Item) -> int:
    """Bytes, or characters where an item is a block of a text."""
    if item.start is not None and item.stop is not None:
        return item.stop - item.start
    return item.bytes or sum(map(len, item.fields.values()))


def former_parts(folder: Path) -> list[Former]:
    """The parts of the index that an earlier run left, in their order."""
    if not (folder / "index.json").exists():
        return []
    index = read_json(folder / "index.json")
    abouts = [(split, name, read_about(folder / "parts" / name)) for split in index for name in index[split]]
    return [
        Former(name, split, about["items"], dict(zip(about["items"], about.get("keys", []), strict=False)))
        for split, name, about in abouts
        if about
    ]


def chunks(items: Sequence[Item], former: Sequence[Former], key: str) -> list[Chunk]:
    """Items grouped by split and size, those of earlier parts first, as they were."""
    by_id = {item.id: item for item in items}
    keys = {item.id: item_key(item, key) for item in items}
    made: list[Chunk] = []
    for part in former:
        there = [i for i in part.items if i in by_id and by_id[i].split == part.split and part.keys.get(i) == keys[i]]
        if there:
            name = _name(key, [keys[i] for i in there])
            made.append(
                Chunk(name, [by_id.pop(i) for i in there], None if len(there) == len(part.items) else part.name)
            )
    for split in SPLITS:
        group: list[Item] = []
        size = 0
        for item in (item for item in by_id.values() if item.split == split):
            if group and (len(group) == CHUNK_ITEMS or size > CHUNK_BYTES):
                made.append(Chunk(_name(key, [keys[i.id] for i in group]), group))
                group, size = [], 0
            group.append(item)
            size += size_of(item)
        if group:
            made.append(Chunk(_name(key, [keys[i.id] for i in group]), group))
    return made


def copied(folder: Path, chunk: Chunk) -> tuple[Iterator[tuple[str, Example]], dict[str, Any]]:
    """The examples of a chunk out of the earlier part, and what of its items became none: "drops" and "partly"."""
    assert chunk.copied_from is not None
    place = folder / "parts" / chunk.copied_from
    wanted = {item.id for item in chunk.items}
    store = ExampleStore([place])
    about = read_about(place) or {}
    examples = ((store.ids[i], store[i]) for i in range(len(store)) if store.ids[i] in wanted)
    lost = {name: about.get(name, {}).items() for name in ("drops", "partly")}
    return examples, {
        name: {item_id: drop for item_id, drop in them if item_id in wanted} for name, them in lost.items()
    }


def _name(key: str, keys: Sequence[str]) -> str:
    return digest(key, list(keys))
