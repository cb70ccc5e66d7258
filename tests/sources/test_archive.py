"""Archives made to do harm: every member is a row, nothing is written outside the cache."""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from genwright.errors import RequestError
from genwright.ledger import Item
from genwright.sources.archive import ArchiveSource
from genwright.sources.folder import FolderSource

MEGABYTE = 1 << 20


def offered(archive: Path, cache: Path) -> dict[str, Item]:
    items = list(ArchiveSource(ArchiveSource.Spec(archive=str(archive)), cache).offer())
    assert len({item.id for item in items}) == len(items)
    return {item.path: item for item in items}


def reasons(items: dict[str, Item]) -> dict[str, str | None]:
    return {path: item.reason for path, item in items.items()}


def tar(file: Path, *members: tuple[str, bytes] | tarfile.TarInfo, mode: str = "w:gz") -> Path:
    with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return file


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zipped(file: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz"])
def test_members_are_unpacked_once(tmp_path: Path, name: str) -> None:
    members = [("b/two.txt", b"two"), ("one.txt", b"one"), ("größe.txt", b"3")]
    if name.endswith("zip"):
        zipped(tmp_path / name, *members)
    else:
        compression = {"tgz": "gz", "tar": ""}.get(name.split(".")[-1], name.split(".")[-1])
        tar(tmp_path / name, *members, mode=f"w:{compression}")
    for _ in range(2):
        items = offered(tmp_path / name, tmp_path / "cache")
        assert [(i.path, i.read_bytes()) for i in items.values()] == sorted(members)
    assert len(list((tmp_path / "cache" / "unpacked").glob("*/members.json"))) == 1


@pytest.mark.parametrize("make", [tar, zipped])
def test_climbers_are_rows_and_nothing_is_written_outside(tmp_path: Path, make: Callable[..., Path]) -> None:
    inner = tmp_path / "x" / "y"
    inner.mkdir(parents=True)
    names = ["../../climber.txt", "/absolute.txt", "good/../../../other.txt", "..\\windows.txt", "C:\\drive.txt"]
    archive = make(inner / "evil.bin", *((name, b"evil") for name in names), ("good.txt", b"good"))
    items = offered(archive, inner / "cache")
    assert reasons(items) == {"good.txt": None} | dict.fromkeys(names, "escapes")
    assert items["good.txt"].read_bytes() == b"good"
    written = files_below(tmp_path)
    assert written - {"x/y/evil.bin"} == {path for path in written if path.startswith("x/y/cache/unpacked/")}
    assert not Path("/absolute.txt").exists()


def test_links_and_devices_of_a_tar(tmp_path: Path) -> None:
    archive = tar(
        tmp_path / "a.tar.gz",
        special("link", tarfile.SYMTYPE, "good.txt"),
        special("out", tarfile.SYMTYPE, "/etc"),
        special("up", tarfile.SYMTYPE, "../../x"),
        special("hard", tarfile.LNKTYPE, "good.txt"),
        special("pipe", tarfile.FIFOTYPE),
        special("device", tarfile.CHRTYPE),
        ("out/passwd", b"through the link"),
        ("good.txt", b"good"),
    )
    items = offered(archive, tmp_path / "cache")
    links = dict.fromkeys(("link", "out", "up", "hard"), "link")
    assert reasons(items) == {
        **links,
        "pipe": "special_file",
        "device": "special_file",
        "out/passwd": None,
        "good.txt": None,
    }
    assert items["out/passwd"].read_bytes() == b"through the link"


def test_links_of_a_zip(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    items = offered(zipped(tmp_path / "a.zip", (link, b"/etc/passwd"), ("good.txt", b"good")), tmp_path / "cache")
    assert reasons(items) == {"link": "link", "good.txt": None}


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", ("zeros.txt", bytes(80 * MEGABYTE)), ("good.txt", b"good"))
    assert archive.stat().st_size < MEGABYTE
    items = offered(archive, tmp_path / "cache")
    assert reasons(items) == {"zeros.txt": "bomb", "good.txt": None}
    assert sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*") if file.is_file()) < MEGABYTE


def test_a_zip_that_was_cut_short_is_told_as_such(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", ("good.txt", b"good" * 1000))
    archive.write_bytes(archive.read_bytes()[:40])
    with pytest.raises(RequestError, match="a zip file whose end is missing: it was cut short; get it again"):
        offered(archive, tmp_path / "cache")


def test_a_zip_that_lies_about_its_size(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", ("zeros.txt", bytes(3 * MEGABYTE)))
    data = bytearray(archive.read_bytes())
    size = (3 * MEGABYTE).to_bytes(4, "little")
    assert data.count(size) == 2
    archive.write_bytes(bytes(data).replace(size, (10).to_bytes(4, "little")))
    assert next(iter(reasons(offered(archive, tmp_path / "cache")).values())) in ("bomb", "undecodable")
    assert sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*") if file.is_file()) < MEGABYTE


def test_a_tar_bomb_is_stopped(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar.gz", ("good.txt", b"good"), ("zeros.txt", bytes(80 * MEGABYTE)))
    assert reasons(offered(archive, tmp_path / "cache")) == {"good.txt": None, "zeros.txt": "bomb"}


def test_a_locked_member(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", ("secret.txt", b"secret"), ("good.txt", b"good"))
    data = bytearray(archive.read_bytes())
    data[6] |= 1  # the bit that says "encrypted", in the member's own header and in the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    assert reasons(offered(archive, tmp_path / "cache")) == {"secret.txt": "encrypted", "good.txt": None}


def test_a_truncated_archive_gives_what_was_whole(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar.gz", ("good.txt", b"good"), ("noise.bin", os.urandom(MEGABYTE)))
    archive.write_bytes(archive.read_bytes()[: MEGABYTE // 2])
    found = reasons(offered(archive, tmp_path / "cache"))
    assert found["good.txt"] is None
    assert "undecodable" in found.values()


def dos_zip(file: Path, names: list[str], encoding: str) -> Path:
    """A zip as programs make it that do not mark their names: each in the table of its country's Windows."""
    info = {}
    for number, name in enumerate(names):
        raw = name.encode(encoding)
        info[f"{number}".rjust(len(raw), "x")] = raw
    zipped(file, *((name, str(number).encode()) for number, name in enumerate(info)))
    data = file.read_bytes()
    for placeholder, raw in info.items():
        data = data.replace(placeholder.encode(), raw)
    file.write_bytes(data)
    return file


@pytest.mark.parametrize(
    ("names", "encoding"),
    [
        (["猫/0.png", "狗/0.png"], "gbk"),
        (["照片/小猫.png", "照片/IMG小狗2.png", "说明.txt"], "gbk"),
        (["ネコ/0.png", "写真/東京タワー.png"], "cp932"),
        (["кошки/0.png", "Мои документы/Отчёт.txt"], "cp866"),
        (["貓/0.png", "狗/1.png"], "big5"),
        (["고양이/0.png", "강아지/1.png", "나무와 꽃.png"], "cp949"),
        (["größe.txt", "café/a.png"], "cp437"),
        (["größe.txt", "猫/a.png"], "utf-8"),
    ],
)
def test_names_that_are_not_marked_as_utf8(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str], encoding: str
) -> None:
    archive = dos_zip(tmp_path / "a.zip", names, encoding)
    for _ in range(2):  # unpacked, and from the cache
        items = offered(archive, tmp_path / "cache")
        assert {path: item.read_bytes() for path, item in items.items()} == {
            name: str(number).encode() for number, name in enumerate(names)
        }
        assert ("were read as" in capsys.readouterr().err) == (encoding != "utf-8")
    with zipfile.ZipFile(tmp_path / "marked.zip", "w") as out:
        for name in names:
            out.writestr(name, name)
    assert set(offered(tmp_path / "marked.zip", tmp_path / "cache")) == set(names)


def test_names_of_a_tar_that_are_not_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [os.fsdecode(name.encode("gbk")) for name in ("猫/0.png", "小狗.png")]
    archive = tar(tmp_path / "a.tar", *((name, b"x") for name in names), mode="w:")
    assert set(offered(archive, tmp_path / "cache")) == {"猫/0.png", "小狗.png"}
    assert "read as gb18030" in capsys.readouterr().err


def test_a_zip_from_windows_with_its_own_separators(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", ("img\\a.png", b"x"))
    source = ArchiveSource(ArchiveSource.Spec(archive=str(archive), labels="folders"), tmp_path / "cache")
    assert [(item.path, item.fields) for item in source.offer()] == [("img/a.png", {"label": "img"})]


def test_a_member_with_a_wrong_checksum(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("bad.txt", b"marker-of-the-content")
        out.writestr("good.txt", b"good")
    archive.write_bytes(archive.read_bytes().replace(b"marker-of", b"merkar-of"))
    assert reasons(offered(archive, tmp_path / "cache")) == {"bad.txt": "undecodable", "good.txt": None}


def test_two_members_of_one_name_are_two_items(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar", ("a.txt", b"one"), ("./a.txt", b"two"), mode="w:")
    items = offered(archive, tmp_path / "cache")
    assert {path: item.read_bytes() for path, item in items.items()} == {"a.txt": b"one", "a.txt (2)": b"two"}


@pytest.mark.parametrize("content", [b"", b"not an archive at all", b"PK\x03\x04 broken"])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(RequestError, match=r"a\.zip"):
        offered(tmp_path / "a.zip", tmp_path / "cache")


def test_no_such_archive(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"gone\.zip"):
        offered(tmp_path / "gone.zip", tmp_path / "cache")


def test_an_archive_in_a_folder_is_looked_into(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    zipped(tmp_path / "data" / "a.zip", ("in.txt", b"in"), ("../out.txt", b"out"))
    (tmp_path / "data" / "b.zip").write_bytes(b"no zip")
    source = FolderSource(FolderSource.Spec(folder=str(tmp_path / "data")), tmp_path / "cache")
    assert {item.path: item.reason for item in source.offer()} == {
        "a.zip/../out.txt": "escapes",
        "a.zip/in.txt": None,
        "b.zip": "undecodable",
    }


@pytest.mark.skipif(not shutil.which("mount") or os.geteuid() != 0, reason="needs to mount a small file system")
def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    from genwright.errors import WorkError

    cache = tmp_path / "cache"
    cache.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", cache], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        archive = tar(tmp_path / "a.tar", ("noise.bin", os.urandom(3 * MEGABYTE)), mode="w:")
        with pytest.raises(WorkError, match="No space left"):
            offered(archive, cache)
        assert not list(cache.glob("unpacked/*/*"))
    finally:
        subprocess.run(["umount", cache], check=True)


@pytest.mark.parametrize("right", [True, False])
def test_the_name_that_info_zip_writes_beside_one_of_dos(tmp_path: Path, right: bool) -> None:
    old = "k\u00e1t-?.txt"
    crc = zlib.crc32(old.encode("cp437") if right else b"another")
    name = "kát-猫.txt".encode()
    info = zipfile.ZipInfo("k_t-?.txt")
    info.extra = struct.pack("<HHBI", 0x7075, 5 + len(name), 1, crc) + name
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info, "a note")
    file.write_bytes(file.read_bytes().replace(b"k_t-?.txt", old.encode("cp437")))
    assert set(offered(file, tmp_path / "cache")) == ({"kát-猫.txt"} if right else {"kát-?.txt"})
