"""Debian packages, by the machine's own apt: a real small one, and one of the test's own that a stand-in for apt hands out."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from genwright.errors import RequestError, WorkError
from genwright.sources import archive
from genwright.sources.packages import deb
from genwright.sources.packages.deb import DebSource

needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb, which Debian has")
COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
License: GPL-2+

Files: art/blue.txt
License: CC-BY-4.0
"""


def source(cache: Path, package: str, *, offline: bool = False, **spec: Any) -> DebSource:
    return DebSource(DebSource.Spec(deb=package, **spec), cache, offline=offline)


def a_package(folder: Path, version: str = "1:2.0-1") -> Path:
    """A package whose script would leave a mark if it were installed."""
    root = folder / "root"
    files = {
        "DEBIAN/control": f"Package: clips\nVersion: {version}\nArchitecture: all\nMaintainer: Ann <a@b.c>\nDescription: x\n",
        "DEBIAN/postinst": f"#!/bin/sh\ntouch {folder}/was-run\n",
        "usr/share/clips/art/blue.txt": f"blue of {version}\n",
        "usr/share/clips/red.txt": "red\n",
        "usr/share/doc/clips/copyright": COPYRIGHT,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    if not (link := root / "usr/share/clips/link.txt").is_symlink():
        link.symlink_to("/etc/passwd")
    (root / "DEBIAN/postinst").chmod(0o755)
    file = folder / f"clips_{version.replace(':', '%3a')}_all.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", str(root), str(file)], check=True, capture_output=True)
    return file


def stand_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: Path, version: str = "1:2.0-1", sha256: str = ""
) -> Path:
    """apt-get and apt-cache that know one package; returns a file with a line for each time that it is fetched."""
    programs, fetched = folder / "bin", folder / "fetched"
    programs.mkdir(exist_ok=True)
    sha256 = sha256 or hashlib.sha256(file.read_bytes()).hexdigest()
    known = f"Package: clips\nVersion: {version}\nSHA256: {sha256}\nArchitecture: all\n"
    show = f'case "$3" in clips|clips={version}) printf "{known}";; *) echo "E: No packages found" >&2; exit 100;; esac'
    get = f'test "$3" = "clips={version}" || exit 9\necho "$3" >> {fetched}\ncp {file} .'
    for name, script in (("apt-cache", show), ("apt-get", get)):
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return fetched


@needs_dpkg
def test_a_package_is_unpacked_and_never_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, a_package(tmp_path))
    taken = source(tmp_path / "cache", "clips")
    items = {item.path: item for item in taken.offer()}
    assert {path: (item.reason, item.licence) for path, item in items.items()} == {
        "usr/share/clips/art/blue.txt": (None, "CC-BY-4.0"),
        "usr/share/clips/red.txt": (None, "GPL-2.0-or-later"),
        "usr/share/clips/link.txt": ("link", "GPL-2.0-or-later"),
        "usr/share/doc/clips/copyright": ("notice", "GPL-2.0-or-later"),
    }
    assert items["usr/share/clips/red.txt"].read_bytes() == b"red\n"
    assert (taken.about["version"], taken.about["architecture"]) == ("1:2.0-1", "all")
    assert set(taken.notices) == {"usr/share/doc/clips/copyright"}
    assert not (tmp_path / "was-run").exists()
    assert not list((tmp_path / "cache" / "deb").rglob("*.deb")), "what was unpacked is kept twice"


@needs_dpkg
def test_the_version_that_was_taken_stays_and_another_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = stand_in(tmp_path, monkeypatch, a_package(tmp_path))
    list(source(tmp_path / "cache", "clips").offer())
    stand_in(tmp_path, monkeypatch, a_package(tmp_path, "1:3.0-1"), "1:3.0-1")
    again = source(tmp_path / "cache", "clips", offline=True)
    assert [i.read_bytes() for i in again.offer() if i.path.endswith("blue.txt")] == [b"blue of 1:2.0-1\n"]
    newer = source(tmp_path / "cache", "clips=1:3.0-1")
    assert [i.read_bytes() for i in newer.offer() if i.path.endswith("blue.txt")] == [b"blue of 1:3.0-1\n"]
    assert fetched.read_text().split() == ["clips=1:2.0-1", "clips=1:3.0-1"]
    with pytest.raises(RequestError, match=r"deb:clips=9: apt knows no such package and version"):
        list(source(tmp_path / "cache", "clips=9").offer())
    with pytest.raises(RequestError, match=r"deb:clocks: apt knows no such package; check the name"):
        list(source(tmp_path / "cache", "clocks").offer())


@needs_dpkg
def test_what_is_not_as_apt_says_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = a_package(tmp_path)
    stand_in(tmp_path, monkeypatch, file, sha256="0" * 64)
    with pytest.raises(WorkError, match=r"deb:clips: clips_.* does not have the sha256 that apt states"):
        list(source(tmp_path / "cache", "clips").offer())
    file.write_bytes(file.read_bytes()[:200])
    stand_in(tmp_path, monkeypatch, file)
    with pytest.raises(WorkError, match="dpkg-deb can't read it"):
        list(source(tmp_path / "cache", "clips").offer())
    file.unlink()
    with pytest.raises(WorkError, match=r"apt-get can.t fetch it .*check the network"):
        list(source(tmp_path / "cache", "clips").offer())


@needs_dpkg
def test_a_package_that_unpacks_to_far_more_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "root/usr/share/clips").mkdir(parents=True)
    (tmp_path / "root/usr/share/clips/zeros").write_bytes(bytes(10_000_000))
    stand_in(tmp_path, monkeypatch, a_package(tmp_path))
    monkeypatch.setattr(archive, "BOMB_BYTES", 1_000_000)
    with pytest.raises(WorkError, match="it unpacks to more than"):
        list(source(tmp_path / "cache", "clips").offer())
    assert not list((tmp_path / "cache").rglob("data.tar"))


def test_a_machine_without_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deb.shutil, "which", lambda name: None)
    with pytest.raises(RequestError, match=r"deb:clips: apt-get is not there, which Debian and Ubuntu have.*`folder:`"):
        list(source(tmp_path, "clips").offer())
    with pytest.raises(RequestError, match="--offline"):
        list(source(tmp_path, "clips", offline=True).offer())


@pytest.mark.parametrize("name", ["", "-y", "a b", "clips/sid", "clips=", "Clips", "clips=--help", "clips clocks"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValidationError, match="openclipart-svg"):
        DebSource.Spec(deb=name)


@needs_dpkg
def test_a_real_package(tmp_path: Path) -> None:
    if not shutil.which("apt-cache") or not subprocess.run(["apt-cache", "show", "hello"], capture_output=True).stdout:
        pytest.skip("apt is not there, or has no lists of packages")
    taken = source(tmp_path, "hello")
    items = {item.path: item for item in taken.offer()}
    assert b"hello" in items["usr/bin/hello"].read_bytes()
    assert items["usr/bin/hello"].licence == "GPL-3.0-or-later"
    assert items["usr/share/doc/hello/copyright"].reason == "notice"
    assert taken.about["version"] and len(taken.about["sha256"]) == 64
