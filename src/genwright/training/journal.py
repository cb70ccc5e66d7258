"""metrics.jsonl: one JSON object for each logged step, and the running means that it is made of."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genwright.run import read_json_lines, write_atomic


class Journal:
    """Appends records to a file. `rewind` drops what was written after the step that a checkpoint goes on from."""

    def __init__(self, file: Path):
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)

    def write(self, record: dict[str, Any]) -> None:
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(record) + "\n")

    def sync(self) -> None:
        """On the disk before it returns: a checkpoint must never be newer than the journal."""
        if self.file.exists():
            with self.file.open("rb") as written:
                os.fsync(written.fileno())

    def rewind(self, step: int) -> None:
        records = [record for record in read_json_lines(self.file) if record["step"] <= step]
        write_atomic(self.file, "".join(json.dumps(record) + "\n" for record in records))


class Window:
    """Weighted means since the last record, summed on the device so that no step waits for it."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}

    def add(self, prefix: str, values: dict[str, Tensor], weight: Tensor, count: bool = True) -> None:
        """Take scalars in. All that stand under a prefix share its weight, which is counted once for each of them."""
        for name, value in values.items():
            self._sum(f"{prefix}/{name}", value.detach() * weight)
        if count:
            self._sum(f"{prefix}#", weight)

    def means(self) -> dict[str, float]:
        """The means so far; waits for the device."""
        names = [name for name in self.sums if not name.endswith("#")]
        if not names:
            return {}
        values = torch.stack([self.sums[name] / self.sums[f"{name.split('/')[0]}#"] for name in names]).tolist()
        return dict(zip(names, values, strict=True))

    def take(self) -> dict[str, float]:
        """The means, and begin anew."""
        means, self.sums = self.means(), {}
        return means

    def _sum(self, key: str, term: Tensor) -> None:
        if key in self.sums:
            self.sums[key] += term
        else:
            self.sums[key] = term.clone()


class Broken:
    """The first step at which a value was not finite, kept on the device so that no step waits for it."""

    _NEVER = 2**62

    def __init__(self, device: torch.device):
        self._at = torch.full((), self._NEVER, dtype=torch.int64, device=device)

    def watch(self, value: Tensor, step: int) -> None:
        torch.minimum(self._at, torch.where(value.detach().isfinite(), self._NEVER, step), out=self._at)

    @property
    def step(self) -> int | None:
        """Waits for the device."""
        at = int(self._at)
        return at if at < self._NEVER else None
