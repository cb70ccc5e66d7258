"""Files are written whole or not at all, failures are told with their place, and names are typed and shown as they are."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from genwright.errors import refused
from genwright.files import at, printable, quoted, whole
from genwright.run import named, write_atomic


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), ValueError("no")])
def test_nothing_half_written_stays_and_what_stood_there_stands(tmp_path: Path, failure: BaseException) -> None:
    (tmp_path / "a.txt").write_text("before")
    with pytest.raises(type(failure)), whole(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise failure
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "before")]


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    for number in range(2):
        with whole(tmp_path / "new" / "part") as temporary:
            temporary.mkdir()
            (temporary / f"{number}").touch()
    assert [file.name for file in (tmp_path / "new").rglob("*")] == ["part", "1"]


def test_a_full_disk_is_told_with_the_place_of_what_was_written(tmp_path: Path) -> None:
    with pytest.raises(OSError) as raised, at(tmp_path / "b.bin"), Path("/dev/full").open("wb") as out:
        out.write(b"x" * 100_000)
    told = refused(raised.value)
    assert told and str(tmp_path / "b.bin") in told and "no room on the disk (" in told


def test_what_a_compiled_library_says_of_the_disk_is_told_so_too(tmp_path: Path) -> None:
    with pytest.raises(OSError) as raised, whole(tmp_path / "model"):
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(tmp_path / "model"))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOLCK, "keeps no locks"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "may not be read or written"),
        (errno.EISDIR, "a folder where a file belongs"),
        (errno.ENAMETOOLONG, "longer than the disk allows"),
    ],
)
def test_what_the_system_refuses_is_one_sentence_with_its_path(number: int, words: str) -> None:
    told = refused(OSError(number, os.strerror(number), "runs/x/lock"))
    assert told and told.startswith("runs/x/lock: ") and words in told and told.count(". ") == 0


def test_what_only_a_mistake_of_ours_can_be_is_not_explained_away() -> None:
    assert refused(OSError("no number")) is None
    assert refused(OSError(errno.ENOENT, "no file named")) is None
    assert refused(OSError(errno.EINVAL, "Invalid argument", "x")) is None


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(OSError) as raised:
        write_atomic(tmp_path / "runs" / "x" / "recipe.yaml", "")
    assert str(tmp_path / "runs") in str(refused(raised.value))


NAMES = [
    "plain", "my notes & v1", "exp[final]", "it's", '"quoted"', "-n", "new\nline", "\x1b[31mred", "😀", "a\\b\n", os.fsdecode(b"\xff"), "$(rm)",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_one_word_for_a_shell_on_one_line_and_no_option(name: str) -> None:
    typed = quoted(Path("x", name).relative_to("x"))
    done = subprocess.run(["bash", "-c", f"printf %s {typed}"], capture_output=True, check=True).stdout
    assert done == os.fsencode(f"./{name}" if name.startswith("-") else name)
    assert typed.isprintable() and printable(name).isprintable()


def test_a_run_is_found_by_its_name_and_a_folder_of_that_name_is_not_taken_for_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "poems").mkdir(parents=True)
    (tmp_path / "runs" / "poems" / "recipe.yaml").touch()
    (tmp_path / "poems").mkdir()
    assert named(Path("poems")) == Path("runs/poems")
    assert named(Path("x" * 400)) == Path("x" * 400)
    (tmp_path / "poems" / "recipe.yaml").touch()
    assert named(Path("poems")) == Path("poems")
