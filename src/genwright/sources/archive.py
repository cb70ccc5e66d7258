"""Archives (zip, tar, tar.gz, ...), unpacked into the cache so that no member can do harm.

Members are written under numbers, never under their own names, so no name can lead outside, collide or be too long; the
checks of tarfile's data filter are made all the same, and what fails them is a dropped item with its reason. Links,
devices and encrypted members are not unpacked, and an archive that unpacks to far more than its size is stopped.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from filelock import FileLock
from pydantic import Field

from genwright.console import count, progress, say
from genwright.errors import RequestError, WorkError
from genwright.ledger import Drop
from genwright.media.encodings import detect_names
from genwright.run import write_atomic
from genwright.sources.base import absolute
from genwright.sources.files import FilesSource, FilesSpec, cache_place
from genwright.sources.tree import Entry, is_left_behind
from genwright.sources.zip_names import name_members

BOMB_BYTES = 64 << 20
"""What is smaller than this when unpacked is never called a bomb."""
BOMB_RATIO = 200
"""How many times its size an archive, or a zip's member, may unpack to."""
MOST_MEMBERS = 2_000_000

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_FORMAT = 3
_BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, ValueError, LookupError, NotImplementedError, RuntimeError, OverflowError, MemoryError),
)
"""What the libraries raise on archives that are not as they should be."""


class ArchiveSpec(FilesSpec):
    archive: str = Field(description="Path of a zip or tar file, from the recipe's folder.")

    def relative_to(self, folder: Path) -> ArchiveSpec:
        return super().relative_to(folder).model_copy(update={"archive": absolute(self.archive, folder)})

    def title(self) -> str:
        return f"archive:{Path(self.archive).name}"


class ArchiveSource(FilesSource):
    Spec = ArchiveSpec

    def entries(self) -> Iterator[Entry]:
        file = Path(self.spec.archive)
        members = unpack(file, str(file), self.cache)
        if isinstance(members, Drop):
            raise RequestError(f"{file}: the archive can't be unpacked ({members.detail}).")
        yield from members


def is_archive_name(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES)


def most_bytes(size: int) -> int:
    """How much an archive of so many bytes may unpack to."""
    return max(BOMB_BYTES, BOMB_RATIO * size)


def unpack(archive: Path, shown: str, cache: Path) -> list[Entry] | Drop:
    """The members of an archive, unpacked once for each content. A Drop when it can't be opened as an archive.

    Raises WorkError when there is no room to unpack it.
    """
    try:
        if not archive.is_file():
            return Drop("unreadable", "there is no such file")
        digest = _sha256(archive)
    except OSError as error:
        return Drop("unreadable", error.strerror or "can't be read")
    place = cache_place(cache, "unpacked") / f"{digest[:32]}-{_FORMAT}"
    with FileLock(place.with_suffix(".lock")):
        record = place / "members.json"
        if record.exists():
            return _entries(place, json.loads(record.read_text(encoding="utf-8")), shown)
        shutil.rmtree(place, ignore_errors=True)
        files = place / "files"
        files.mkdir(parents=True)
        unpacker = _Unpacker(archive, shown, files)
        try:
            members = unpacker.run()
        except OSError as error:
            shutil.rmtree(place, ignore_errors=True)
            raise WorkError(
                f"{shown}: can't be unpacked to {place} ({error.strerror}); make room or set GENWRIGHT_CACHE."
            ) from error
        if isinstance(members, Drop):
            shutil.rmtree(place, ignore_errors=True)
            return members
        content = {"names": unpacker.names, "members": members}
        write_atomic(record, json.dumps(content))
    return _entries(place, content, shown)


Member = tuple[str, str | None, int | None, str | None, str]
"""Path, name of the unpacked file, size, reason of dropping, detail."""


def _entries(place: Path, content: dict[str, Any], shown: str) -> list[Entry]:
    if content["names"]:
        say(
            f"{shown}: its names are not marked as UTF-8 and were read as {content['names']}; "
            "where that is wrong, pack the files again with a program that writes UTF-8."
        )
    entries = [
        Entry(path, str(place / "files" / file) if file else None, size, Drop(reason, detail) if reason else None)
        for path, file, size, reason, detail in content["members"]
    ]
    return sorted(entries, key=lambda entry: entry.path.encode("utf-8", "surrogateescape"))


class _Unpacker:
    def __init__(self, archive: Path, shown: str, files: Path):
        self.archive, self.shown, self.files = archive, shown, files
        self.size = archive.stat().st_size
        self.limit = most_bytes(self.size)
        self.written = 0
        self.members: list[Member] = []
        self.paths: dict[str, int] = {}
        self.names = ""
        """The encoding of the members' names, where the archive does not say and it is not UTF-8."""

    def run(self) -> list[Member] | Drop:
        with progress(f"unpack {self.shown}", self.size) as self.line, self.archive.open("rb") as self.raw:
            try:
                if zipfile.is_zipfile(self.raw):
                    self._zip()
                else:
                    self.raw.seek(0)
                    self._tar()
                    self._rename()
            except _NoRoomError as error:
                raise OSError(error.errno, error.strerror) from error
            except _BROKEN as error:
                if not self.members:
                    self.raw.seek(0)
                    if self.raw.read(4) == b"PK\x03\x04":  # what lies in a zip file stands at its end
                        return Drop("undecodable", "a zip file whose end is missing: it was cut short; get it again")
                    return Drop("undecodable", f"no zip or tar archive, and only those can be: {_short(error)}")
                self._drop(
                    "(rest of the archive)",
                    Drop("undecodable", f"the archive is cut short or corrupt: {_short(error)}"),
                )
        return self.members

    def _zip(self) -> None:
        with zipfile.ZipFile(self.raw) as archive:
            self.names = name_members(archive.infolist())
            for info in archive.infolist():
                if info.is_dir():
                    continue
                kind = info.external_attr >> 16
                if drop := self._check(info.filename):
                    self._drop(info.filename, drop)
                elif kind and stat.S_ISLNK(kind):
                    self._drop(info.filename, Drop("link", "a link inside the archive"))
                elif stat.S_IFMT(kind) not in (0, stat.S_IFREG):
                    self._drop(info.filename, Drop("special_file"))
                elif info.flag_bits & 1:
                    self._drop(info.filename, Drop("encrypted"))
                elif info.file_size > BOMB_BYTES and info.file_size > BOMB_RATIO * info.compress_size:
                    self._drop(
                        info.filename, Drop("bomb", f"{info.compress_size:,} bytes would unpack to {info.file_size:,}")
                    )
                else:
                    self._member(info.filename.replace("\\", "/"), info.file_size, lambda info=info: archive.open(info))

    def _rename(self) -> None:
        """Names of a tar file that are not UTF-8."""
        names = [os.fsencode(path) for path, *_ in self.members if not path.isascii()]
        encoding = detect_names(names) if names else "utf-8"
        if encoding != "utf-8":
            self.names = encoding
            self.members = [(os.fsencode(path).decode(encoding), a, b, c, d) for path, a, b, c, d in self.members]

    def _tar(self) -> None:
        with tarfile.open(fileobj=self.raw) as archive:
            for info in archive:
                if info.isdir():
                    continue
                if drop := self._check(info.name) or self._filter(info):
                    self._drop(info.name, drop)
                elif info.issym() or info.islnk():
                    self._drop(info.name, Drop("link", f"to {info.linkname}"))
                elif not info.isreg():
                    self._drop(info.name, Drop("special_file"))
                elif info.size > self.limit - self.written:
                    self._drop(info.name, Drop("bomb", f"{info.size:,} bytes in an archive of {self.size:,}"))
                    return
                else:
                    self._member(info.name, info.size, lambda info=info: archive.extractfile(info))

    def _check(self, name: str) -> Drop | None:
        parts = name.replace("\\", "/").split("/")
        if ".." in parts or parts[0] == "" or (len(parts[0]) > 1 and parts[0][1] == ":"):
            return Drop("escapes", "the archive would write it outside its folder")
        return None

    def _filter(self, info: tarfile.TarInfo) -> Drop | None:
        try:
            tarfile.data_filter(info, str(self.files))
        except (tarfile.AbsoluteLinkError, tarfile.LinkOutsideDestinationError) as error:
            return Drop("link", f"to {info.linkname}: {_short(error)}")
        except tarfile.SpecialFileError:
            return Drop("special_file")
        except tarfile.FilterError as error:
            return Drop("escapes", _short(error))
        return None

    def _member(self, path: str, size: int, open_member: object) -> None:
        if len(self.members) >= MOST_MEMBERS:
            raise ValueError(f"more than {MOST_MEMBERS:,} members")
        name = f"{len(self.members):06d}"
        target = self.files / name
        try:
            with open_member() as source:  # type: ignore[operator]
                written = self._copy(source, target, min(size, self.limit - self.written))
        except _BROKEN as error:
            if isinstance(error, _NoRoomError):
                raise
            target.unlink(missing_ok=True)
            self._drop(path, Drop("undecodable", _short(error)))
            return
        if written is None:
            target.unlink(missing_ok=True)
            self._drop(path, Drop("bomb", "unpacks to more than it says, or than its archive may"))
            return
        self.written += written
        self.members.append((self._unique(path), name, written, "hidden" if _hidden(path) else None, ""))

    def _copy(self, source: IO[bytes], target: Path, most: int) -> int | None:
        """Copy at most so many bytes; None when there are more."""
        written = 0
        with target.open("xb") as out:
            while chunk := source.read(1 << 20):
                written += len(chunk)
                if written > most:
                    return None
                try:
                    out.write(chunk)
                except OSError as error:
                    raise _NoRoomError(error.errno, error.strerror) from error
                # How far the archive itself has been read, which is what there is a whole of.
                self.line.update(self.raw.tell(), count(len(self.members), "file"))
        return written

    def _drop(self, path: str, drop: Drop) -> None:
        self.members.append((self._unique(path), None, None, drop.reason, drop.detail))

    def _unique(self, path: str) -> str:
        """An archive may hold a path twice; each is an item."""
        clean = path.removeprefix("./")
        self.paths[clean] = self.paths.get(clean, 0) + 1
        return clean if self.paths[clean] == 1 else f"{clean} ({self.paths[clean]})"


class _NoRoomError(OSError):
    """Writing to the cache failed, which is not the archive's fault."""


def _hidden(path: str) -> bool:
    parts = path.split("/")
    return (
        any(part.startswith(".") and part != "." for part in parts)
        or parts[0] == "__MACOSX"
        or is_left_behind(parts[-1])
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _short(error: BaseException) -> str:
    return (str(error) or type(error).__name__).split("\n")[0].replace(os.sep + "tmp", "")[:160]
