"""Where the files of an item are looked for: the entries of a source, among which no row of a table can lead outside."""

from __future__ import annotations

import posixpath
import unicodedata

from genwright.ledger import Drop, Further
from genwright.rights.licence import Notice, Rights
from genwright.sources.tree import Entry

_LONGEST_PATH = 4096


def same(path: str) -> str:
    """A path in the one of Unicode's two ways that most systems write; macOS and some programs write "ü" as "u" and its dots."""
    return unicodedata.normalize("NFC", path)


def _fold(path: str) -> str:
    return same(path).casefold()


class Place:
    """The files of a source by their paths, and whose they are."""

    def __init__(self, name: str, entries: dict[str, Entry], rights: Rights):
        self.name, self.entries, self.rights = name, entries, rights
        self.used: set[str] = set()
        """Notices that the licences of further files were read from."""
        self._folded: dict[str, list[Entry]] | None = None

    def find(self, path: str) -> tuple[str | None, Entry | None, Drop | None]:
        """The path as it is here, the file, and why there is none."""
        if len(path) > _LONGEST_PATH:
            why = f"a text of {len(path):,} characters, such as a picture in base64, where a file's name is needed; write the pictures to files"
            return None, None, Drop("missing_file", why)
        # A table that was written on Windows has its paths that way.
        normal = posixpath.normpath(path.replace("\\", "/")) if path else ""
        if normal.startswith("/") or normal.split("/")[0] == ".." or normal[1:3] == ":/":
            return path, None, Drop("escapes", "the row points outside the source")
        entry = self.entries.get(path) or self.entries.get(normal) or self._alike(normal)
        return (normal, None, Drop("missing_file")) if entry is None else (entry.path, entry, None)

    def further(self, entry: Entry) -> Further:
        """A file of here as a further one of an item."""
        licence, notice = self.rights.of(entry.path)
        self.used |= {notice} if notice else set()
        return Further(entry.path, str(entry.file), entry.bytes, licence=licence)

    def notices(self) -> list[tuple[str, Notice]]:
        """The notices that licences of further files were read from."""
        return [(path, self.rights.notices[path]) for path in sorted(self.used) if path in self.rights.notices]

    def _alike(self, path: str) -> Entry | None:
        """The file whose name is the same but for capitals and the way that Unicode writes it, where there is one such file."""
        if self._folded is None:
            self._folded = {}
            for entry in self.entries.values():
                self._folded.setdefault(_fold(entry.path), []).append(entry)
        found = self._folded.get(_fold(path), [])
        return found[0] if len(found) == 1 else None


def with_further(role: str, entry: Entry | None, path: str | None, drop: Drop | None) -> Drop | None:
    """Why a further file can't be had, in words that say which one; None where it can."""
    why = drop or (entry.drop if entry else Drop("missing_file"))
    if why is None:
        return None
    return Drop(
        why.reason,
        f"its {role}, {path}" + (f": {why.detail}" if why.detail else "") if path else f"its {role}: {why.detail}",
    )
