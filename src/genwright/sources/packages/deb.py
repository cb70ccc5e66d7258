"""Debian packages as data: fetched by the machine's own apt without root and unpacked by dpkg-deb; nothing is installed or run."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from genwright.console import progress
from genwright.errors import RequestError, WorkError
from genwright.sources.archive import most_bytes
from genwright.sources.files import FilesSpec
from genwright.sources.packages.fetched import PackageSource
from genwright.sources.packages.programs import ask
from genwright.sources.tree import Entry

_DEB = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?(=[0-9][A-Za-z0-9.+~:-]*)?")
_PROGRAMS = ("apt-get", "apt-cache", "dpkg-deb")


class DebSpec(FilesSpec):
    deb: str = Field(
        description="A package of Debian or Ubuntu: `openclipart-svg`, or of one version `openclipart-svg=1:0.18+dfsg-19`. It is "
        "fetched by apt without root and unpacked; nothing is installed. Without a version the one that was fetched first stays."
    )

    @field_validator("deb")
    @classmethod
    def _named(cls, value: str) -> str:
        if not _DEB.fullmatch(value):
            raise ValueError(
                "name a package as in `openclipart-svg`, or with its version as `openclipart-svg=1:0.18+dfsg-19`"
            )
        return value


class DebSource(PackageSource):
    """The files that a package would install, by their paths (`usr/share/openclipart/svg/...`)."""

    Spec = DebSpec

    @property
    def requirement(self) -> tuple[str, str]:
        name, _, version = self.spec.deb.partition("=")
        return name, version

    def fetch(self, folder: Path) -> tuple[Path, dict[str, Any]]:
        if missing := [program for program in _PROGRAMS if shutil.which(program) is None]:
            raise RequestError(
                f"{self.name}: {missing[0]} is not there, which Debian and Ubuntu have; on another system get the package's .deb, "
                "unpack it and name the folder with `folder:`."
            )
        known = self._known(folder)
        package = f"{self.requirement[0]}={known['version']}"
        answer = ask(["apt-get", "download", "-q", package], folder, _environment(), self.name)
        file = next(folder.glob("*.deb"), None)
        if answer.status or file is None:
            raise WorkError(
                f"{self.name}: apt-get can't fetch it ({_complaint(answer.err)}); check the network, and whether `apt-get update` helps."
            )
        with file.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if sha256 != known["sha256"]:
            file.unlink()
            raise WorkError(f"{self.name}: {file.name} does not have the sha256 that apt states; it was not used.")
        return _content(file, self.name), known

    def _known(self, folder: Path) -> dict[str, str]:
        """What apt's own lists say of the version that is asked for, or of the one that it would install."""
        command = ["apt-cache", "show", "--no-all-versions", self.spec.deb]
        about = message_from_string(ask(command, folder, _environment(), self.name).out)
        if "Version" not in about or "SHA256" not in about:
            what = "package and version" if self.requirement[1] else "package"
            raise RequestError(
                f"{self.name}: apt knows no such {what}; check the name, and run `apt-get update` as root if its lists are empty."
            )
        return {name.lower(): about[name] for name in ("Version", "SHA256", "Architecture")}

    def inside(self, members: list[Entry]) -> Iterator[Entry]:
        yield from members


def _content(file: Path, shown: str) -> Path:
    """The tar of what a package would install, in the package's place. Raises WorkError."""
    target, most = file.with_name("data.tar"), most_bytes(file.stat().st_size)
    written = 0
    process = subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
    )
    assert process.stdout is not None
    with process.stdout as tar, target.open("wb") as out, progress(f"unpack {shown}") as line:
        while written <= most and (chunk := tar.read(1 << 20)):
            out.write(chunk)
            written += len(chunk)
            line.update(written, f"{written / 1e6:,.1f} MB")
    process.kill() if written > most else None
    if process.wait():
        target.unlink()
        why = f"it unpacks to more than {most:,} bytes" if written > most else "dpkg-deb can't read it"
        raise WorkError(f"{shown}: {file.name} can't be unpacked ({why}); it was not used.")
    file.unlink()
    return target


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C"}


def _complaint(err: str) -> str:
    lines = [line.partition(": ")[2] for line in err.splitlines() if line.startswith("E: ")]
    return lines[0][:160] if lines else "no package came"
