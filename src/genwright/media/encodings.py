"""Which table some bytes that are not UTF-8 were written in: of texts by charset-normalizer, of names by how common their letters are."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charset_normalizer import CharsetMatch

_CHAOS_LIMIT = 0.15
"""The detector's share of characters that look like a mess; above it a guess is not believed."""

_WESTERN_SHARE = 0.05
"""Up to this share of bytes above 127 a text that makes sense in Windows-1252 is taken as such: ASCII with a few accents, for
which a dozen tables would do."""

_FRENCH_MARKS = b"\xa0\xab\xbb"
"""No-break space and quotes, the same in all tables of Windows: they tell nothing of the letters, and French has one every line."""
_TYPOGRAPHY = frozenset("‘’“”‚„«»‹›–—…•°§£€©®™½¼¾·¿¡\u00a0\u00ad†‡²³¹×´")
_SAMPLE_BYTES = 1 << 20
_RUN = re.compile(rb"[\x80-\xff]{3,}")

_NAMED = re.compile(
    rb"""(?:<meta[^>]{0,200}charset|<\?xml[^>]{0,200}encoding)\s*=\s*["']?\s*([\w-]{2,40})""", re.IGNORECASE
)
_HEAD_BYTES = 4096
_OLD = ("mac_iceland", "mac_roman", "mac_turkish", "hp_roman8")
"""Western tables of before Unicode. Nearly all of their bytes are letters, so a few words of Windows make sense in them by chance."""

_COMMON = {
    "cp932": ((0x81, 0x84), (0x88, 0x97)),
    "gb18030": ((0xA1, 0xA3), (0xB0, 0xD7)),
    "big5": ((0xA1, 0xC6),),
    "cp949": ((0xA1, 0xA3), (0xB0, 0xC8)),
}
"""First bytes of the characters that are in daily use; behind them the tables of China and Korea have bytes from 0xA1 on."""
_TELLING_KOREAN = 8
"""So many different letters that are all in daily use in Korean are hardly Chinese, though each of them could be."""


def detect(data: bytes) -> str | None:
    """The encoding of a text that is not UTF-8, or None where nothing speaks for any."""
    above = sum(data.count(byte) for byte in range(128, 256) if byte not in _FRENCH_MARKS)
    if above <= _WESTERN_SHARE * len(data) and _fits(data, "cp1252"):
        return "cp1252"
    from charset_normalizer import from_bytes

    # Lines of nothing but ASCII are alike in all tables, and so many of them would hide what the others say.
    telling = b"\n".join(line for line in data.splitlines() if not line.isascii())
    guesses = from_bytes(telling[:_SAMPLE_BYTES], threshold=_CHAOS_LIMIT, enable_fallback=False)
    best = min(guesses, key=_rank, default=None)
    if best is None:
        return None
    return "cp1252" if _may_be_western(best) else best.encoding


def named(data: bytes) -> str | None:
    """The encoding that a web page says it is in, where it is one that fits all of it."""
    found = _NAMED.search(data[:_HEAD_BYTES])
    if found is None or not data.lstrip().startswith(b"<"):
        return None
    try:
        name = codecs.lookup(found[1].decode()).name
        # As browsers do: what calls itself Latin-1 may have the quotes of Windows.
        name = "cp1252" if name in ("iso8859-1", "ascii") else name
        return None if _decoded(data, name) is None else name
    except (LookupError, UnicodeError):
        return None


def detect_names(names: Sequence[bytes]) -> str:
    """The encoding of an archive's names, which are too short for a detector: UTF-8, one of East Asia, cp866, or else cp437."""
    if all(_decoded(name, "utf-8") is not None for name in names):
        return "utf-8"
    scores = {}
    for encoding in (*_COMMON, "cp866", "cp437"):
        texts = [_decoded(name, encoding) for name in names]
        if all(text is not None for text in texts):
            scores[encoding] = _strange(list(filter(None, texts)), encoding)
    different = {c for name in names for c in _decoded(name, "cp949") or "" if c > "\x7f"}
    if scores.get("cp949") == 0 and len(different) >= _TELLING_KOREAN:
        return "cp949"
    return min(scores, key=lambda encoding: scores[encoding])


def _rank(guess: CharsetMatch) -> tuple[float, bool, float, int, bool]:
    """Less mess, then a table that is still in use, then a likelier language; of equals the one with fewer capitals (KOI8-R read as Windows-1251 is all capitals)."""
    text = str(guess)[:10_000]
    mess = guess.chaos + (_rare(text, guess.encoding) if guess.encoding in _COMMON else 0)
    return mess, guess.encoding in _OLD, -guess.coherence, sum(map(str.isupper, text)), not _may_be_western(guess)


def _may_be_western(guess: CharsetMatch) -> bool:
    return "cp1252" in (guess.encoding, *guess.could_be_from_charset)


def _fits(data: bytes, encoding: str) -> bool:
    """Whether a text of single accents makes sense; letters in long runs are another alphabet's."""
    text = _decoded(data, encoding)
    if text is None:
        return False
    above = [c for c in text if c > "\x7f"]
    # Letters and the marks of good typography, as against the mathematics and boxes that another table's letters turn into.
    strange = sum(not (c.isalpha() or c in _TYPOGRAPHY) for c in above)
    return strange <= 0.1 * len(above) and 2 * sum(map(len, _RUN.findall(data))) <= len(above)


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeError:
        return None


def _rare(text: str, encoding: str) -> float:
    """The share of characters that stand outside the part of a table which is in daily use."""
    above = [c.encode(encoding) for c in text if c > "\x7f"]
    low = 0xA1 if encoding in ("gb18030", "cp949") else 0x40
    common = sum(
        len(c) == 2 and c[1] >= low and any(first <= c[0] <= last for first, last in _COMMON[encoding]) for c in above
    )
    return 1 - common / len(above) if above else 0.0


def _strange(names: Sequence[str], encoding: str) -> float:
    """How little some names look like what people of a table write: rare letters, and letters of two alphabets in one word."""
    text = "/".join(names)
    runs = re.findall(r"([A-Za-z]?)([^\x00-\x7f]+)([A-Za-z]?)", text)
    touching = sum(bool(before or after) for before, _, after in runs) / max(1, len(runs))
    if encoding in _COMMON:
        return _rare(text, encoding) + touching / 2
    above = [c for c in text if c > "\x7f"]
    wanted = "\u0400-\u04ff" if encoding == "cp866" else "\u00c0-\u024f"
    strange = sum(not re.match(f"[{wanted}]", c) for c in above) / len(above)
    return strange + (touching if encoding == "cp866" else 1 - touching) / 2
