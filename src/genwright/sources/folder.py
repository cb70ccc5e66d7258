"""A folder of the user's own files. Archives that lie in it are looked into, one level deep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from genwright.console import say
from genwright.ledger import Drop
from genwright.sources.archive import is_archive_name, unpack
from genwright.sources.base import absolute
from genwright.sources.files import FilesSource, FilesSpec
from genwright.sources.tree import Entry, walk


class FolderSpec(FilesSpec):
    folder: str = Field(description="Path of the folder, from the recipe's own.")

    def relative_to(self, folder: Path) -> FolderSpec:
        return super().relative_to(folder).model_copy(update={"folder": absolute(self.folder, folder)})

    def title(self) -> str:
        return f"folder:{Path(self.folder).name or self.folder}"


class FolderSource(FilesSource):
    Spec = FolderSpec

    def entries(self) -> Iterator[Entry]:
        for entry in self._walked():
            if entry.file is None or entry.drop is not None or not is_archive_name(entry.name):
                yield entry
                continue
            members = unpack(Path(entry.file), entry.path, self.cache)
            if isinstance(members, Drop):
                yield Entry(entry.path, drop=members)
                continue
            for member in members:
                yield Entry(f"{entry.path}/{member.path}", member.file, member.bytes, member.drop)

    def _walked(self) -> list[Entry]:
        """Without what the folder's .gitignore files name, unless they name everything: then the user, who named the folder, wants it."""
        root = Path(self.spec.folder)
        found = list(walk(root, ignoring=True))
        ignored = sum(entry.drop is not None and entry.drop.reason == "ignored" for entry in found)
        if ignored and not any(entry.drop is None for entry in found):
            say(f"{self.name}: its .gitignore names everything in it, so it is not followed.")
            return list(walk(root))
        return found
