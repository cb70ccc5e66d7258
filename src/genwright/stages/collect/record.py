"""The record of splits: what was once decided stays, in collect/splits.parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from genwright import files
from genwright.ledger import Item


class SplitRecord:
    """Every group that was ever assigned, so that a file that goes and comes back finds its place."""

    def __init__(self, key: str, shares: Mapping[str, float]) -> None:
        self.key = key
        self.shares = dict(shares)
        """Of all items, that go to each split."""
        self.splits: dict[str, str] = {}
        self.parents: dict[str, list[tuple[int, int]]] = {}
        self.contents: dict[str, str] = {}
        self.marks: dict[str, list[str]] = {}
        """Hashes of the characters of each block, by parent."""

    @classmethod
    def of(cls, file: Path, rule: str, shares: Sequence[Mapping[str, float]]) -> SplitRecord:
        """What was recorded under the rule with the first of some `shares` that it was recorded with; else nothing, with the first."""
        found = [cls.read(file, f"{rule} {sorted(one.items())}", one) for one in shares]
        return next((record for record in found if record.splits), found[0])

    @classmethod
    def read(cls, file: Path, key: str, shares: Mapping[str, float]) -> SplitRecord:
        """What was recorded under the same rule; nothing when the rule is another."""
        import pyarrow.parquet as pq

        record = cls(key, shares)
        if not file.exists():
            return record
        table = pq.read_table(file)
        if (table.schema.metadata or {}).get(b"rule") != key.encode():
            return record
        for row in table.to_pylist():
            if row["parent"] is None:
                record.splits[row["group"]] = row["split"]
            else:
                record.parents.setdefault(row["parent"], []).append((row["start"], row["stop"]))
                record.contents[row["parent"]] = row["sha256"]
                record.marks.setdefault(row["parent"], []).append(row.get("mark") or "")
        return record

    def spans(self, item: Item) -> list[tuple[int, int]]:
        """How the item was divided, if it was and still has the same content."""
        return self.parents.get(item.id, []) if self.contents.get(item.id) == item.sha256 else []

    def add(self, leaves: Iterable[Item], contents: Mapping[str, str]) -> None:
        """`contents` are the hashes of whole items, by id."""
        parents: dict[str, list[tuple[int, int]]] = {}
        for leaf in leaves:
            self.splits[str(leaf.group)] = leaf.split
            if leaf.parent is not None and leaf.start is not None and leaf.stop is not None:
                parents.setdefault(leaf.parent, []).append((leaf.start, leaf.stop))
                self.contents[leaf.parent] = contents[leaf.parent]
        self.parents.update(parents)

    def write(self, file: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {"group": pa.string(), "split": pa.string(), "parent": pa.string(), "sha256": pa.string()}
        columns["mark"] = pa.string()
        schema = pa.schema([*columns.items(), ("start", pa.int64()), ("stop", pa.int64())], {"rule": self.key})
        with files.whole(file) as temporary:
            pq.write_table(pa.Table.from_pylist(list(self._rows()), schema=schema), temporary)

    def _rows(self) -> Iterator[dict[str, object]]:
        for group, split in self.splits.items():
            yield {"group": group, "split": split}
        for parent, spans in self.parents.items():
            marks = self.marks.get(parent) or [""] * len(spans)
            for (start, stop), mark in zip(spans, marks, strict=True):
                yield {"parent": parent, "sha256": self.contents[parent], "mark": mark, "start": start, "stop": stop}
