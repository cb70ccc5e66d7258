"""The compiled decoder is made once, and is done without where it can't be made."""

import re
import shutil

import pytest

from genwright.networks.native import build as native_build


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv(native_build.SWITCH, raising=False)
    native_build.library.cache_clear()
    yield
    native_build.library.cache_clear()


def test_it_is_compiled_once(tmp_path, monkeypatch):
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("no C++ compiler here")
    assert native_build.library() is not None
    made = list((tmp_path / "cache" / "native").iterdir())
    assert len(made) == 1 and made[0].suffix == ".so"
    native_build.library.cache_clear()
    monkeypatch.setattr(native_build, "_compile", lambda command, file: pytest.fail("compiled again"))
    assert native_build.library() is not None


@pytest.mark.parametrize("compiler", ["/nowhere/c++", "false", "echo", "c++ '-O2"])
def test_a_compiler_that_makes_nothing_is_done_without(compiler, monkeypatch):
    monkeypatch.setenv("CXX", compiler)
    assert native_build.library() is None


def test_code_that_does_not_compile_leaves_no_file(tmp_path, monkeypatch):
    broken = tmp_path / "broken.cpp"
    broken.write_text("no c++")
    monkeypatch.setattr(native_build, "SOURCE", broken)
    assert native_build.library() is None
    assert not list((tmp_path / "cache").rglob("*.so"))


def test_it_can_be_switched_off(monkeypatch):
    monkeypatch.setenv(native_build.SWITCH, "0")
    assert native_build.library() is None


@pytest.mark.parametrize(
    ("compiler", "said"),
    [
        ("/nowhere/c++", "No such file.*/nowhere/c\\+\\+"),
        ("false", "ends with status 1"),
        ("c++ '-O2", "No such file.*c\\+\\+ '-O2"),
    ],
)
def test_why_nothing_was_made_is_told(compiler, said, monkeypatch):
    monkeypatch.setenv("CXX", compiler)
    assert re.search(said, native_build.trouble())


def test_a_cache_that_can_not_be_made_is_told_as_such_and_not_as_a_fault_of_the_compiler(tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path / "taken"))
    monkeypatch.setenv("CXX", "echo")
    assert native_build.library() is None
    assert "the cache folder can't be made" in native_build.trouble()


def test_what_the_compiler_says_is_told(tmp_path, monkeypatch):
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("no C++ compiler here")
    broken = tmp_path / "broken.cpp"
    broken.write_text("#error no OpenMP here")
    monkeypatch.setattr(native_build, "SOURCE", broken)
    assert "no OpenMP here" in native_build.trouble()
