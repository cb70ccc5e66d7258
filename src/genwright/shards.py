"""Prepared examples on disk: memory-mapped flat arrays, a folder a part, its manifest written last.

An example is a dict of numpy arrays ("tokens": uint16[T], or "image": uint8[H, W, C] and "caption": uint16[L]). A part
holds, for each field, one flat `.bin` file with the examples after one another, and an index of shapes. Parts are never
changed once their manifest stands, so new items cost a new part and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from genwright import files

Example = dict[str, np.ndarray]
MANIFEST = "manifest.json"


def write_part(folder: Path, examples: Iterable[tuple[str, Example]], about: dict[str, Any] | None = None) -> None:
    """Write (item id, example) pairs as one part; atomic: the folder has its name only once it is whole.

    `about` may be filled while the examples are drawn; it is written into the manifest.
    """
    ids: list[str] = []
    shapes: dict[str, list[list[int]]] = {}
    dtypes: dict[str, str] = {}
    with files.whole(folder) as temporary:
        temporary.mkdir()
        with ExitStack() as opened:
            fields: dict[str, IO[bytes]] = {}
            for item_id, example in examples:
                ids.append(item_id)
                for name, array in example.items():
                    if name not in fields:
                        fields[name] = opened.enter_context((temporary / f"{name}.bin").open("wb"))
                        dtypes[name] = array.dtype.str
                        shapes[name] = []
                    if array.dtype.str != dtypes[name]:
                        raise TypeError(f"field {name!r} has dtype {array.dtype}, its part has {dtypes[name]}")
                    fields[name].write(np.ascontiguousarray(array).tobytes())
                    shapes[name].append(list(array.shape))
        if any(len(rows) != len(ids) for rows in shapes.values()):
            raise ValueError("every example of a part must have the same fields")
        manifest = {"ids": ids, "dtypes": dtypes, "shapes": shapes, "about": about or {}}
        (temporary / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def read_about(folder: Path) -> dict[str, Any] | None:
    """What `write_part` was told about a part; None when the part is not there or not whole."""
    try:
        return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["about"]
    except (OSError, ValueError, KeyError):
        return None


class _Part:
    def __init__(self, folder: Path):
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        self.ids: list[str] = manifest["ids"]
        self.shapes = manifest["shapes"]
        self.flat: dict[str, np.ndarray] = {}
        self.offsets: dict[str, np.ndarray] = {}
        for name, dtype in manifest["dtypes"].items():
            lengths = [int(np.prod(shape)) for shape in self.shapes[name]]
            self.offsets[name] = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
            size = int(self.offsets[name][-1])
            file = folder / f"{name}.bin"
            self.flat[name] = np.memmap(file, dtype=dtype, mode="r", shape=(size,)) if size else np.empty(0, dtype)


class ExampleStore:
    """The examples of a split, over all its parts, read-only. `store[i]` is an `Example`; arrays are views of the files."""

    def __init__(self, folders: Sequence[Path]):
        self.folders = list(folders)
        self._parts = [_Part(folder) for folder in folders]
        self._starts = np.cumsum([0] + [len(part.ids) for part in self._parts])
        self.ids: list[str] = [item_id for part in self._parts for item_id in part.ids]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        part, i = self._parts[number], index - int(self._starts[number])
        return {
            name: part.flat[name][part.offsets[name][i] : part.offsets[name][i + 1]].reshape(part.shapes[name][i])
            for name in part.flat
        }

    def flat(self, name: str) -> np.ndarray:
        """One field of every example, laid after one another (a view when the split is one part)."""
        arrays = [part.flat[name] for part in self._parts if name in part.flat]
        if not arrays:
            return np.empty(0, np.uint8)
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

    def lengths(self, name: str) -> np.ndarray:
        """How many values each example has in a field."""
        return np.concatenate(
            [np.empty(0, np.int64), *(np.diff(part.offsets[name]) for part in self._parts if name in part.offsets)]
        )

    def last(self, name: str) -> np.ndarray:
        """The last value of a field in each example; 0 where there is none."""
        found = [np.empty(0, np.int64)]
        for part in self._parts:
            if name in part.offsets:
                stops, lengths = part.offsets[name][1:], np.diff(part.offsets[name])
                values = np.asarray(part.flat[name])[np.maximum(stops - 1, 0)] if len(part.flat[name]) else 0 * stops
                found.append(np.where(lengths > 0, values, 0).astype(np.int64))
        return np.concatenate(found)


class Selection(ExampleStore):
    """The examples at `rows` (int[N], or a bool mask) of a store, in the store's order: nothing is copied but what `flat` is asked for."""

    def __init__(self, store: ExampleStore, rows: np.ndarray):
        self.store, self.folders = store, store.folders
        self.rows = np.flatnonzero(rows) if rows.dtype == bool else np.asarray(rows, dtype=np.int64)
        self.ids = [store.ids[row] for row in self.rows]

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.store[int(self.rows[index])]

    def flat(self, name: str) -> np.ndarray:
        arrays = [self[i][name] for i in range(len(self))]
        return np.concatenate([array.reshape(-1) for array in arrays]) if arrays else np.empty(0, np.uint8)

    def lengths(self, name: str) -> np.ndarray:
        return self.store.lengths(name)[self.rows]

    def last(self, name: str) -> np.ndarray:
        return self.store.last(name)[self.rows]
