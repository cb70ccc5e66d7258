"""Some of the examples of a store, as a store: nothing is copied but what `flat` is asked for."""

from __future__ import annotations

import numpy as np

from genwright.shards import Example, ExampleStore


class Selection(ExampleStore):
    """The examples at `rows` (int[N], or a bool mask) of a store, in the store's order."""

    def __init__(self, store: ExampleStore, rows: np.ndarray):
        self.store = store
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
