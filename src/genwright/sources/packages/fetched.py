"""Packages of a registry as data: fetched the way the user's own pip or npm is configured, checked by hash, never run."""

from __future__ import annotations

import json
import re
import shutil
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from genwright.errors import RequestError, WorkError
from genwright.ledger import Drop
from genwright.run import write_atomic
from genwright.sources.archive import unpack
from genwright.sources.files import FilesSource, cache_place
from genwright.sources.tree import Entry


class PackageSource(FilesSource):
    """A package fetched once into the cache, then unpacked as an archive."""

    @property
    @abstractmethod
    def requirement(self) -> tuple[str, str]:
        """Name and version; "" for whatever version there is."""

    @abstractmethod
    def fetch(self, folder: Path) -> tuple[Path, dict[str, Any]]:
        """Download the package into a folder; its file, checked, and what is to be recorded of it."""

    def entries(self) -> Iterator[Entry]:
        file, about = self._cached()
        self.about.update(about)
        members = unpack(file, self.name, self.cache)
        if isinstance(members, Drop):
            raise WorkError(
                f"{self.name}: {file.name} can't be unpacked ({members.detail}); remove it and try again: {file}."
            )
        yield from self.inside(members)

    def _cached(self) -> tuple[Path, dict[str, Any]]:
        name, version = self.requirement
        kind = self.name.partition(":")[0]
        place = cache_place(self.cache, kind) / re.sub(
            r"[^A-Za-z0-9._+-]", "_", f"{name}-{version}" if version else name
        )
        record = place / "fetched.json"
        with FileLock(place.with_name(place.name + ".lock")):
            if record.exists():
                about = json.loads(record.read_text(encoding="utf-8"))
                file = place / about["file"]
                if file.is_file() and file.stat().st_size == about["bytes"]:
                    return file, about
            if self.offline:
                raise RequestError(
                    f"{self.name}: not in the cache, and --offline forbids fetching it; run once without --offline."
                )
            # What a killed download left behind has no record, so it is never taken for whole.
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            file, about = self.fetch(place)
            about = {"file": file.name, "bytes": file.stat().st_size, **about}
            write_atomic(record, json.dumps(about, indent=2))
            return file, about

    def inside(self, members: list[Entry]) -> Iterator[Entry]:
        """Paths without the folder that registries wrap a package in (`package/`, `name-version/`)."""
        tops = {member.path.partition("/")[0] for member in members if member.drop is None}
        strip = f"{tops.pop()}/" if len(tops) == 1 and all("/" in m.path for m in members if m.drop is None) else ""
        for member in members:
            yield Entry(member.path.removeprefix(strip), member.file, member.bytes, member.drop)
