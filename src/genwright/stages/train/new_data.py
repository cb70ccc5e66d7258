"""What of the data is new to a training: told by the content of the items, so that a renamed or touched file is not.

train/known-<hash of the data>.npy holds uint64 keys, sorted: the items of every split that were there when the training last
finished, and of the state before that one.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from genwright import files
from genwright.ledger import Item
from genwright.shards import ExampleStore, Selection
from genwright.tasks.base import Splits


def content_key(item: Item) -> int:
    """Names what an item holds, wherever it stands."""
    content = json.dumps([item.sha256, item.start, item.stop, item.fields], sort_keys=True).encode()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")


def keys_of(store: ExampleStore, items: dict[str, Item]) -> np.ndarray:
    """uint64[N]: the key of the item behind each example."""
    keys = {name: content_key(items[name]) for name in dict.fromkeys(store.ids)}
    return np.fromiter((keys[name] for name in store.ids), np.uint64, len(store.ids))


def is_new(store: ExampleStore, items: dict[str, Item], known: np.ndarray) -> np.ndarray:
    """bool[N]: which examples come of items that were not known."""
    return ~np.isin(keys_of(store, items), known)


def divided(store: ExampleStore, items: dict[str, Item], known: np.ndarray) -> tuple[Selection, Selection]:
    """The old examples of a store, and the new ones."""
    new = is_new(store, items, known)
    return Selection(store, ~new), Selection(store, new)


def save(folder: Path, data: str, splits: Splits, former: str) -> None:
    """Remember the items of all splits as those of `data`; of what was remembered before, `former` is kept."""
    keys = np.unique(np.concatenate([keys_of(store, splits.items) for store in splits.stores.values()]))
    file = _file(folder, data)
    with files.whole(file) as temporary, temporary.open("wb") as out:
        np.save(out, keys)
    for old in folder.glob("known-*.npy"):
        if old not in (file, _file(folder, former)):
            old.unlink()


def load(folder: Path, data: str) -> np.ndarray | None:
    """The keys of the items that `data` had; None where they were not remembered."""
    file = _file(folder, data)
    return np.load(file) if data and file.exists() else None


def _file(folder: Path, data: str) -> Path:
    return folder / f"known-{data}.npy"
