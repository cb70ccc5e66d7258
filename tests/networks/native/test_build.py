"""The compiled decoder is made once, and is done without where it can't be made."""

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


@pytest.mark.parametrize("compiler", ["/nowhere/c++", "false", "echo"])
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
