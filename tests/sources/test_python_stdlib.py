"""The source `python: stdlib`: the running Python's own library, with its licence and without its tests."""

import platform
import sysconfig
from pathlib import Path

import pytest

from genwright.errors import RequestError
from genwright.recipe import parse
from genwright.registry import SOURCES


@pytest.fixture(scope="module")
def offered(tmp_path_factory):
    source_class = SOURCES["python"].load()
    source = source_class(source_class.Spec(python="stdlib"), tmp_path_factory.mktemp("cache"))
    return source, list(source.offer())


def test_every_module_is_an_item_with_the_licence_of_the_installation(offered):
    source, items = offered
    kept = {item.path: item for item in items if item.kept}
    assert {"json/decoder.py", "textwrap.py", "asyncio/tasks.py"} <= set(kept)
    assert all(path.endswith(".py") for path in kept)
    assert kept["textwrap.py"].licence == "PSF-2.0" and kept["textwrap.py"].notice == "LICENSE.txt"
    assert source.name == f"python:stdlib@{platform.python_version()}"
    assert [item.reason for item in items if item.path == "LICENSE.txt"] == ["notice"]


def test_neither_tests_nor_other_peoples_packages_are_in_it(offered):
    source, items = offered
    folders = {folder for item in items for folder in item.path.split("/")[:-1]}
    assert not folders & {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
    assert source.about["left_out_by_patterns"] > 100


def test_the_tests_can_be_asked_for(tmp_path):
    source_class = SOURCES["python"].load()
    spec = source_class.Spec(python="stdlib", exclude=[], include=["unittest/**"])
    paths = {item.path for item in source_class(spec, tmp_path).offer() if item.kept}
    library = Path(sysconfig.get_path("stdlib"))
    assert paths == {str(file.relative_to(library)) for file in (library / "unittest").rglob("*.py")}


def test_a_recipe_names_no_path():
    recipe = parse("task: complete\ndata:\n  sources:\n    - python: stdlib\n")
    assert recipe.data.sources[0]["python"] == "stdlib"
    with pytest.raises(RequestError, match="python"):
        parse("task: complete\ndata:\n  sources:\n    - python: site-packages\n")


def test_a_python_without_files_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    source_class = SOURCES["python"].load()
    with pytest.raises(RequestError, match="no standard library as files"):
        list(source_class(source_class.Spec(python="stdlib"), tmp_path).offer())
