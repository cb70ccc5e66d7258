"""Every kind of bad input, in one table: through the command line, as a user meets it.

Each case puts something bad beside good files and says what must come of it: the reason that each item has in the ledger,
and what standard error names. `new` and `collect` are run on the folder where a stranger would stand. In every case nothing
outside the folder is read or written, nothing hangs, and the good files are kept.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from genwright import ledger
from genwright.run import Run
from helpers.bomb import bomb

PATIENCE_S = 100
SECRET = b"This text lies outside the folder and nobody may read it."


def png(side: int = 16, grey: int = 0) -> bytes:
    out = io.BytesIO()
    Image.radial_gradient("L").resize((side, side)).point(lambda v: (v + grey) % 256).save(out, "PNG")
    return out.getvalue()


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.radial_gradient("L").save(out, "JPEG")
    return out.getvalue()


def climbing_zip(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("../climbed.txt", "../../climbed.txt", "/tmp/climbed-absolute.txt", "inside.txt"):
            archive.writestr(name, f"{name}: a text out of an archive, long enough to be one.\n" * 3)


def climbing_tar(file: Path) -> None:
    with tarfile.open(file, "w:gz") as archive:
        for name in ("../climbed.txt", "/tmp/climbed-absolute.txt", "inside.txt"):
            content = f"{name}: a text out of a tar file, long enough to be one.\n".encode() * 3
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("passwd")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)


@dataclass
class Case:
    """What is put beside the good files, and what must come of it."""

    name: str
    make: Callable[[Path], object]
    reasons: dict[str, str | None]
    """Path in the ledger -> reason, None: kept."""
    task: str = "write"
    stderr: list[str] = field(default_factory=list)


def file(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


CASES = [
    Case("truncated PNG", file("cut.png", png()[:60]), {"cut.png": "undecodable"}, "draw", stderr=["cut.png"]),
    Case("truncated JPEG", file("cut.jpg", jpeg()[:900]), {"cut.jpg": "undecodable"}, "draw"),
    Case("empty text", file("empty.txt", b""), {"empty.txt": "empty"}, stderr=["empty.txt"]),
    Case("blank text", file("blank.txt", b" \n\t\n"), {"blank.txt": "empty"}, stderr=["blank.txt"]),
    Case("empty picture", file("empty.png", b""), {"empty.png": "empty"}, "draw", stderr=["empty.png"]),
    Case(
        "a page called .png",
        file("page.png", b"<html>not found</html>"),
        {"page.png": "wrong_medium"},
        "draw",
        stderr=["page.png"],
    ),
    Case(
        "noise called .png",
        file("noise.png", bytes(range(256))),
        {"noise.png": "undecodable"},
        "draw",
        stderr=["noise.png"],
    ),
    Case("a JPEG called .png", file("photo.png", jpeg()), {"photo.png": None}, "draw"),
    Case("a picture called .txt", file("poem.txt", png()), {"poem.txt": "wrong_medium"}, stderr=["poem.txt"]),
    Case("a program", file("tool.txt", b"\x7fELF" + bytes(200)), {"tool.txt": "undecodable"}, stderr=["tool.txt"]),
    Case(
        "UTF-16 with its mark", file("wide.txt", "A wide text, with its mark.\n".encode("utf-16")), {"wide.txt": None}
    ),
    Case(
        "UTF-16 without a mark",
        file("nomark.txt", "no mark".encode("utf-16-le")),
        {"nomark.txt": "undecodable"},
        stderr=["nomark.txt"],
    ),
    Case(
        "latin-1",
        file("old.txt", "Süße Träume, böse Bäume, und müde Mühlen im Grünen.\n".encode("latin-1") * 4),
        {"old.txt": None},
    ),
    Case(
        "no encoding at all",
        file("odd.txt", os.urandom(3000).translate(None, bytes(range(32)))),
        {"odd.txt": "undecodable"},
    ),
    Case("decompression bomb", file("bomb.png", bomb()), {"bomb.png": "bomb"}, "draw", stderr=["bomb.png"]),
    Case("a dot of a picture", file("dot.png", png(2)), {"dot.png": "too_small"}, "draw", stderr=["dot.png"]),
    Case("a loop of links", lambda f: (f / "loop").symlink_to(f), {"loop": "link"}, stderr=["loop"]),
    Case(
        "a link that leaves",
        lambda f: (f / "out.txt").symlink_to(f.parent / "secret.txt"),
        {"out.txt": "link"},
        stderr=["out.txt"],
    ),
    Case("a folder link that leaves", lambda f: (f / "out").symlink_to(f.parent), {"out": "link"}, stderr=["out"]),
    Case(
        "a link to a pipe outside",
        lambda f: (f / "out-pipe.txt").symlink_to(f.parent / "secret-pipe"),
        {"out-pipe.txt": "link"},
    ),
    Case("a pipe", lambda f: os.mkfifo(f / "pipe.txt"), {"pipe.txt": "special_file"}, stderr=["pipe.txt"]),
    Case(
        "a copy",
        lambda f: (f / "zz.txt").write_bytes(b"A copy.\n") and (f / "zy.txt").write_bytes(b"A copy.\n"),
        {"zz.txt": "duplicate", "zy.txt": None},
    ),
    Case("spaces", file("a b  c.txt", b"A name with spaces.\n"), {"a b  c.txt": None}),
    Case("other letters", file("größe 図 🦊.txt", b"A name with other letters.\n"), {"größe 図 🦊.txt": None}),
    Case("a leading dash", file("--rf.txt", b"A name with dashes.\n"), {"--rf.txt": None}),
    Case(
        "a name that is not UTF-8",
        lambda f: Path(os.fsdecode(os.fsencode(f) + b"/caf\xe9.txt")).write_bytes(b"A name.\n"),
        {"caf\\udce9.txt": None},
    ),
    Case(
        "a name with a new line",
        file("a\nb\x1b[2J.txt", b""),
        {"a\nb\x1b[2J.txt": "empty"},
        stderr=["a\\nb\\x1b[2J.txt"],
    ),
    Case(
        "a zip that climbs",
        lambda f: climbing_zip(f / "evil.zip"),
        {
            "evil.zip/../climbed.txt": "escapes",
            "evil.zip/../../climbed.txt": "escapes",
            "evil.zip//tmp/climbed-absolute.txt": "escapes",
            "evil.zip/inside.txt": None,
        },
        stderr=["climbed"],
    ),
    Case(
        "a tar that climbs",
        lambda f: climbing_tar(f / "evil.tar.gz"),
        {
            "evil.tar.gz/../climbed.txt": "escapes",
            "evil.tar.gz//tmp/climbed-absolute.txt": "escapes",
            "evil.tar.gz/passwd": "link",
            "evil.tar.gz/inside.txt": None,
        },
        stderr=["climbed"],
    ),
    Case(
        "a broken zip",
        file("broken.zip", b"PK\x03\x04 and then nothing"),
        {"broken.zip": "undecodable"},
        stderr=["broken.zip"],
    ),
]


if os.geteuid() != 0:  # root may read everything; tests/stages/test_stages_collect.py puts another user in its place
    CASES.append(
        Case(
            "unreadable",
            lambda f: (f / "closed.txt").write_bytes(b"A closed text.\n") and (f / "closed.txt").chmod(0),
            {"closed.txt": "unreadable"},
            stderr=["closed.txt"],
        )
    )


def genwright(*arguments: str, where: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "genwright", *arguments],
        cwd=where,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "GENWRIGHT_CACHE": str(where / "cache"), "OMP_NUM_THREADS": "1"},
    )


def good_files(folder: Path, task: str) -> set[str]:
    folder.mkdir()
    for number in range(24):
        name = f"good-{number:02}" + (".txt" if task == "write" else ".png")
        content = (
            f"Good text number {number}: the rose is red.\n".encode() * 3 if task == "write" else png(grey=5 * number)
        )
        (folder / name).write_bytes(content)
    return {path.name for path in folder.iterdir()}


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every path with its size, its time of change and its last access."""
    found = {}
    for top, folders, files in os.walk(folder):
        for name in (*folders, *files):
            status = os.lstat(os.path.join(top, name))  # noqa: PTH118
            found[os.path.join(top, name)] = (status.st_size, status.st_mtime_ns, status.st_ino)  # noqa: PTH118
    return found


@dataclass
class Outcome:
    """What came of all cases of a task together: a process that imports torch costs seconds, so they share a folder."""

    survey: dict[str, Any]
    """What `new` printed."""
    done: list[subprocess.CompletedProcess[str]]
    run: Run
    good: set[str]
    untouched: bool
    """Whether all that lies in and around the folder is as it was."""

    @property
    def stderr(self) -> str:
        return "".join(process.stderr for process in self.done)


@pytest.fixture(scope="module", params=["write", "draw"])
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    where = tmp_path_factory.mktemp("bad")
    place, stand = where / "place", where / "stand"
    place.mkdir()
    stand.mkdir()
    good = good_files(place / "data", request.param)
    (place / "secret.txt").write_bytes(SECRET)
    os.mkfifo(place / "secret-pipe")
    for case in cases_of(request.param):
        case.make(place / "data")
    before = snapshot(place)
    done = [genwright("new", "../place/data", "--task", request.param, "--json", where=stand)]
    done.append(genwright("collect", "data.yaml", where=stand))
    if request.param == "draw":  # a JPEG that is cut short shows it only when it is decoded
        done.append(genwright("prepare", "data.yaml", where=stand))
    untouched = snapshot(place) == before and {p.name for p in where.iterdir()} == {"place", "stand"}
    survey = json.loads(done[0].stdout) if done[0].returncode == 0 else {}
    return Outcome(survey, done, Run(stand / "runs" / "data"), good, untouched)


def cases_of(task: str) -> list[Case]:
    return [case for case in CASES if case.task == task]


def test_bad_files_cost_a_row_each(outcome: Outcome, subtests: pytest.Subtests) -> None:
    rows = [item for item in ledger.read_run(outcome.run) if item.parent is None]
    items = {item.path: item for item in rows}
    for case in cases_of(outcome.survey["task"]):
        with subtests.test(case.name):
            assert {path: items[path].reason for path in case.reasons} == case.reasons
            assert all(word in outcome.stderr for word in case.stderr), outcome.stderr
    assert len(items) == len(rows)


def test_the_good_files_are_kept(outcome: Outcome) -> None:
    assert [process.returncode for process in outcome.done] == [0] * len(outcome.done), outcome.stderr
    assert "Traceback" not in outcome.stderr
    items = {item.path: item for item in ledger.read_run(outcome.run)}
    assert all(items[name].kept and items[name].split for name in outcome.good)
    account = ledger.account(items.values())
    assert account.offered == account.kept + sum(account.dropped.values())
    # Links, climbers and folders apart, every path is kept or dropped in the survey as in the ledger.
    assert outcome.survey["offered"] == account.offered


def test_nothing_outside_is_read_or_written(outcome: Outcome) -> None:
    assert outcome.untouched
    assert not Path("/tmp/climbed-absolute.txt").exists()
    stand = outcome.run.folder.parents[1]
    written = [path for path in stand.rglob("*") if path.is_file()]
    assert written
    assert not any(SECRET in path.read_bytes() for path in written)


REFUSED = [
    ("an empty folder", lambda f: None, ["new", "data"], ["data", "nothing usable"]),
    ("a folder of junk", lambda f: (f / "a.txt").write_bytes(bytes(9)), ["new", "data"], ["data", "nothing usable"]),
    ("no folder", lambda f: f.rmdir(), ["new", "data"], ["data", "no such folder"]),
    (
        "a run on junk",
        lambda f: (f / "a.txt").write_bytes(bytes(9)),
        ["run", "r.yaml"],
        ["data", "nothing usable", "a.txt"],
    ),
    ("a run on nothing", lambda f: f.rmdir(), ["run", "r.yaml"], ["data", "no such folder"]),
    (
        "a typo",
        lambda f: (f.parent / "r.yaml").write_text(
            "task: write\ndata:\n  sources: [{folder: data}]\ntrain:\n  bugdet: 2m\n"
        ),
        ["run", "r.yaml"],
        ["r.yaml line 5", "bugdet", "`budget`"],
    ),
    (
        "a typo in a source",
        lambda f: (f.parent / "r.yaml").write_text("task: write\ndata:\n  sources: [{foldr: data}]\n"),
        ["run", "r.yaml"],
        ["`folder`"],
    ),
    ("no YAML", lambda f: (f.parent / "r.yaml").write_bytes(b"a: [1,\nb: }"), ["run", "r.yaml"], ["r.yaml", "YAML"]),
    ("no recipe", lambda f: None, ["run", "gone.yaml"], ["gone.yaml"]),
    ("no such item", lambda f: None, ["ledger", "."], ["not a run folder"]),
]


@pytest.mark.parametrize(("name", "make", "command", "says"), REFUSED, ids=[case[0] for case in REFUSED])
def test_wrong_requests_are_one_sentence(
    tmp_path: Path, name: str, make: Callable[[Path], object], command: list[str], says: list[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "r.yaml").write_text("task: write\ndata: {sources: [{folder: data}]}\n")
    make(tmp_path / "data")
    done = genwright(*command, where=tmp_path)
    assert done.returncode == 2, done.stderr
    sentence = done.stderr.strip().splitlines()[-1]
    assert sentence.startswith("genwright: ")
    assert all(word in done.stderr for word in says), done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("data*.yaml"))
