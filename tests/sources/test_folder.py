"""A folder as it may be found: links, pipes, hidden files and odd names, none of them followed, opened or lost."""

from __future__ import annotations

import os
import socket
import stat
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from genwright.errors import RequestError
from genwright.files import read_regular
from genwright.ledger import Item
from genwright.sources import tree
from genwright.sources.folder import FolderSource
from genwright.sources.tree import walk


def offered(folder: Path, **spec: Any) -> dict[str, Item]:
    source = FolderSource(FolderSource.Spec(folder=str(folder), **spec), folder.parent / "cache")
    items = list(source.offer())
    assert len({item.id for item in items}) == len(items)
    return {item.path: item for item in items}


def reasons(items: dict[str, Item]) -> dict[str, str | None]:
    return {path: item.reason for path, item in items.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    return made


def test_every_path_is_one_item_in_a_stable_order(folder: Path) -> None:
    names = ["b.txt", "a.txt", "-rf.txt", "with space.txt", "größe 図.txt", "new\nline.txt", "sub/c.txt"]
    (folder / "sub").mkdir()
    for name in names:
        (folder / name).write_text(name)
    items = offered(folder)
    assert list(items) == sorted(names, key=os.fsencode)
    assert all(item.kept and item.read_bytes().decode() == path for path, item in items.items())


def test_a_name_that_is_not_utf8(folder: Path) -> None:
    (Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt"))).write_text("x")
    [item] = offered(folder).values()
    assert item.kept
    assert item.read_bytes() == b"x"


def test_links_are_not_followed(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (folder / "loop").symlink_to(folder)
    (folder / "out").symlink_to(outside)
    (folder / "file.txt").symlink_to(outside / "secret.txt")
    (folder / "broken").symlink_to("nowhere")
    assert set(reasons(offered(folder)).items()) == {(name, "link") for name in ("loop", "out", "file.txt", "broken")}


def test_pipes_sockets_and_devices_are_never_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(os.path.relpath(folder / "socket"))
        assert reasons(offered(folder)) == {"pipe.txt": "special_file", "socket": "special_file"}


def test_a_file_that_turns_into_a_pipe_is_refused_without_hanging(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to(folder / "pipe")
    for name in ("pipe", "link"):
        with pytest.raises(OSError, match=r"regular|symbolic"):
            read_regular(folder / name)


def test_hidden_files_are_left_out_unless_named(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("x")
    (folder / ".DS_Store").write_text("x")
    assert reasons(offered(folder)) == {".git/": "hidden", ".DS_Store": "hidden"}
    assert reasons(offered(folder, include=[".DS_Store"])) == {".DS_Store": None}


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_what_a_gitignore_names_is_left_out(folder: Path) -> None:
    files = dict.fromkeys(
        ("a.py", "keep.log", "b.log", "secrets/key.txt", "sub/c.py", "sub/c.tmp", "sub/deep/b.log"), "x"
    )
    put(folder, {**files, ".gitignore": "\ufeff*.log\n!keep.log\nsecrets/\n[\n", "sub/.gitignore": "*.tmp\n!b.log\n"})
    items = offered(folder)
    assert reasons(items) == {
        ".gitignore": "hidden",
        "a.py": None,
        "b.log": "ignored",
        "keep.log": None,
        "secrets/": "ignored",
        "sub/.gitignore": "hidden",
        "sub/c.py": None,
        "sub/c.tmp": "ignored",
        "sub/deep/b.log": None,
    }
    assert items["sub/c.tmp"].detail == "named in sub/.gitignore"
    assert reasons(offered(folder, include=["b.log"])) == {"b.log": None, "sub/deep/b.log": None}
    # A pattern asks for files of a kind, not for those that are ignored or hidden.
    assert reasons(offered(folder, include=["*.log"]))["b.log"] == "ignored"
    assert reasons(offered(folder, include=["*"]))[".gitignore"] == "hidden"


def test_other_peoples_code_is_left_out_where_there_is_a_program(folder: Path) -> None:
    put(
        folder,
        {"app/package.json": "{}", "app/dist/a.js": "x", "app/node_modules/m/i.js": "x", "app/src/dist/a.js": "x"},
    )
    put(folder, {"poems/dist/a.txt": "x", "poems/build/b.txt": "x", "lib/site-packages/p.py": "x"})
    assert reasons(offered(folder)) == {
        "app/dist/": "ignored",
        "app/node_modules/": "ignored",
        "app/package.json": None,
        "app/src/dist/a.js": None,
        "lib/site-packages/": "ignored",
        "poems/build/b.txt": None,
        "poems/dist/a.txt": None,
    }
    assert set(offered(folder / "app" / "dist")) == {"a.js"}


def test_a_gitignore_that_names_everything_is_not_followed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(folder, {".gitignore": "*\n!.gitignore\n", "a.txt": "a", "sub/b.txt": "b"})
    assert reasons(offered(folder)) == {".gitignore": "hidden", "a.txt": None, "sub/b.txt": None}
    assert "names everything in it" in capsys.readouterr().err


def test_runs_are_no_data(folder: Path) -> None:
    (folder / "runs" / "poems").mkdir(parents=True)
    for name in ("recipe.yaml", "lock"):
        (folder / "runs" / "poems" / name).write_text("")
    (folder / "a.txt").write_text("a")
    assert reasons(offered(folder)) == {"a.txt": None, "runs/poems/": "output"}


def test_a_folder_that_may_not_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "closed").mkdir()
    (folder / "a.txt").write_text("a")
    real = os.scandir

    def refusing(path: Any) -> Any:  # root may read everything, so the refusal has to be made up
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(tree.os, "scandir", refusing)
    assert reasons(offered(folder)) == {"a.txt": None, "closed/": "unreadable"}


def test_deep_folders_are_walked(folder: Path) -> None:
    # Deeper than Python's stack and longer than a path may be: walked as far as the system goes, then said.
    place = folder
    here = os.open(folder, os.O_RDONLY)
    try:
        for _ in range(720):
            os.mkdir("abcde", dir_fd=here)
            deeper = os.open("abcde", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
    finally:
        os.close(here)
    found = list(walk(place))
    assert len(found) == 1
    assert found[0].drop is not None
    assert found[0].drop.reason == "unreadable"
    os.system(f"rm -rf '{folder}'")  # shutil.rmtree would fail on it


def test_patterns(folder: Path) -> None:
    for name in ("a_gut.txt", "b.txt", "sub/c_gut.txt", "sub/d.md"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    assert set(offered(folder, include=["*_gut.txt"])) == {"a_gut.txt", "sub/c_gut.txt"}
    assert set(offered(folder, include=["/sub/"])) == {"sub/c_gut.txt", "sub/d.md"}
    assert set(offered(folder, exclude=["sub/**", "b.*"])) == {"a_gut.txt"}


def test_a_pattern_that_matches_nothing_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(folder, {"a.txt": "a", "b.txt": "b", "sub/c.txt": "c"})
    assert set(offered(folder, include=["*.txt", "*.md"], exclude=["sbu/**", "b.txt", "/sub/"])) == {"a.txt"}
    assert "nothing in it matches `*.md`, `sbu/**` of `include`" in capsys.readouterr().err
    offered(folder, exclude=["b.txt"])
    assert capsys.readouterr().err == ""


def test_captions_beside_pictures(folder: Path) -> None:
    for name in ("a.png", "b.jpg", "c.png", "lonely.txt"):
        (folder / name).write_bytes(b"x")
    (folder / "a.txt").write_text(" a red heart\n")
    (folder / "b.txt").write_text("\n")
    items = offered(folder, captions="beside")
    assert items["a.png"].fields == {"text": "a red heart"}
    assert reasons(items) == {"a.png": None, "b.jpg": "missing_text", "c.png": None, "lonely.txt": "unreferenced"}
    assert "a.txt" in offered(folder)


def test_captions_whose_names_unicode_writes_otherwise(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        (folder / unicodedata.normalize("NFD", f"Müller-{number}.png")).write_bytes(b"x")
        (folder / unicodedata.normalize("NFC", f"Müller-{number}.txt")).write_text(f"caption {number}")
    (folder / "plain.png").write_bytes(b"x")
    items = offered(folder, captions="beside")
    assert [item.fields.get("text") for item in items.values()] == ["caption 0", "caption 1", "caption 2", None]
    assert "found one for 3 of 4 pictures" in capsys.readouterr().err


def test_captions_and_labels_that_match_nothing_are_refused(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"x")
    (folder / "b.txt").write_text("a caption of nothing")
    with pytest.raises(RequestError, match="`captions: beside` finds no caption"):
        offered(folder, captions="beside")
    with pytest.raises(RequestError, match="`labels: folders` finds no label"):
        offered(folder, labels="folders")


def test_a_caption_with_a_bad_byte_keeps_its_letters(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"x")
    (folder / "a.txt").write_bytes("“Übergröße” steht drüber, süß und schön".encode() + b" \xe9")
    (folder / "b.png").write_bytes(b"x")
    (folder / "b.txt").write_text("word " * 20_000)
    items = offered(folder, captions="beside")
    assert items["a.png"].fields["text"] == "“Übergröße” steht drüber, süß und schön \ufffd"
    assert "not UTF-8" in items["a.png"].detail
    assert items["b.png"].reason == "missing_text"


def test_one_label_however_unicode_writes_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("NFC", "NFD"):
        (folder / unicodedata.normalize(form, "Müller")).mkdir()
        (folder / unicodedata.normalize(form, "Müller") / f"{form}.png").write_bytes(b"x")
    (folder / "outside.png").write_bytes(b"x")
    labels = {item.fields.get("label") for item in offered(folder, labels="folders").values()}
    assert labels == {unicodedata.normalize("NFC", "Müller"), None}
    assert "has a label for 2 of 3 files" in capsys.readouterr().err


def test_folders_as_labels(folder: Path) -> None:
    (folder / "cats" / "big").mkdir(parents=True)
    for name in ("x.png", "cats/y.png", "cats/big/z.png"):
        (folder / name).write_bytes(b"x")
    labels = {path: item.fields.get("label") for path, item in offered(folder, labels="folders").items()}
    assert labels == {"x.png": None, "cats/y.png": "cats", "cats/big/z.png": "big"}


@pytest.mark.parametrize("name", ["nothing", "file.txt"])
def test_what_is_no_folder(folder: Path, name: str) -> None:
    (folder / "file.txt").write_text("x")
    with pytest.raises(RequestError, match=name):
        offered(folder / name)


def test_the_recipe_says_where_from(tmp_path: Path) -> None:
    spec = FolderSource.Spec(folder="poems")
    assert spec.relative_to(tmp_path).folder == str(tmp_path / "poems")
    assert spec.relative_to(tmp_path).title() == "folder:poems"
    assert stat.S_ISDIR(tmp_path.stat().st_mode)


def test_stories_named_like_notices_are_texts_of_no_licence(folder: Path) -> None:
    prose = "The man looked up, and the rain went on along the river to the old mill. " * 20
    stories = {
        "License to Kill.txt": "",
        "Notice.txt": "",
        "Copying Beethoven.txt": "No MIT License in it. ",
        "poem.txt": "",
    }
    for name, start in stories.items():
        (folder / name).write_text(start + prose)
    items = offered(folder)
    assert reasons(items) == dict.fromkeys(stories)
    assert {item.licence for item in items.values()} == {None}
    (folder / "LICENSE").write_text(
        "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy"
    )
    items = offered(folder)
    assert reasons(items) == dict.fromkeys(stories) | {"LICENSE": "notice"}
    assert {item.licence for item in items.values()} == {"MIT"}
