"""Names in zip archives: the format has a mark for UTF-8, an extra field beside it, and else none can tell."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Sequence

from genwright.media.encodings import detect_names

_UTF8_MARK = 0x800
_UNICODE_PATH = 0x7075
"""Info-ZIP's extra field for a name in UTF-8."""


def name_members(members: Sequence[zipfile.ZipInfo]) -> str:
    """Give members whose names bear no mark of UTF-8, which the library takes for those of DOS, their right names. Returns the
    encoding that had to be guessed; "" where none had to be."""
    told = {id(member): name for member in members if (name := _beside(member)) is not None}
    for member in members:
        member.filename = told.get(id(member), member.filename)
    unmarked = [m for m in members if id(m) not in told and not m.flag_bits & _UTF8_MARK and not m.filename.isascii()]
    names = [member.filename.encode("cp437") for member in unmarked]
    encoding = detect_names(names) if names else "utf-8"
    for member, name in zip(unmarked, names, strict=True):
        member.filename = name.decode(encoding)
    return encoding if encoding != "utf-8" else ""


def _beside(member: zipfile.ZipInfo) -> str | None:
    """The name in UTF-8 that Info-ZIP, 7-Zip and WinZip write beside one in a table of DOS, where it is that of the same name."""
    extra = member.extra
    while len(extra) >= 4 and not member.flag_bits & _UTF8_MARK:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind != _UNICODE_PATH or len(field) < 6 or field[0] != 1:
            continue
        try:
            is_its = struct.unpack_from("<I", field, 1)[0] == zlib.crc32(member.orig_filename.encode("cp437"))
            return field[5:].decode("utf-8").replace("\0", "") or None if is_its else None
        except UnicodeError:
            return None
    return None
