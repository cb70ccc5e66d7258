"""Text: bytes to str, in whatever encoding they are, and never a guess that nothing speaks for."""

from __future__ import annotations

import codecs

from genwright.ledger import Drop

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Longest first where one is the start of another."""

_CONTROLS = frozenset(range(32)) - {9, 10, 12, 13, 27, 26}
_CHAOS_LIMIT = 0.15
"""The detector's share of characters that look like a mess; above it a guess is not believed."""

_WESTERN_SHARE = 0.05
"""Up to this share of bytes above 127 a text that is plausible in Windows-1252 is taken as such: ASCII with a few accents."""

_SAMPLE_BYTES = 1 << 20


def decode(data: bytes) -> str | Drop:
    """The text behind some bytes, with `\\n` line ends and without a byte order mark, or why it can't be had.

    In this order: a byte order mark decides; NUL bytes and control characters are no text; UTF-8; else the detector of
    charset-normalizer, whose guess must be plausible.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            try:
                return _lines(data[len(mark) :].decode(encoding))
            except UnicodeDecodeError as error:
                return Drop("undecodable", f"starts as {encoding}, but byte {error.start} does not go on so")
    present = set(data)
    if 0 in present:
        return Drop("undecodable", "has NUL bytes: not text")
    if controls := present & _CONTROLS:
        count = sum(data.count(byte) for byte in controls)
        if count > len(data) // 1000:
            return Drop("undecodable", "has control characters: not text")
    try:
        return _lines(data.decode("utf-8"))
    except UnicodeDecodeError:
        pass
    encoding = _detect(data)
    if encoding is None:
        return Drop("undecodable", "neither UTF-8 nor any other encoding that fits")
    try:
        return _lines(data.decode(encoding))
    except UnicodeDecodeError as error:
        return Drop("undecodable", f"seems to be {encoding}, but byte {error.start} does not fit")


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _detect(data: bytes) -> str | None:
    from charset_normalizer import from_bytes

    high = sum(map(data.count, range(128, 256)))
    results = from_bytes(data[:_SAMPLE_BYTES], threshold=_CHAOS_LIMIT, enable_fallback=False)
    plausible = [match.encoding for match in results]
    if high <= _WESTERN_SHARE * len(data):
        # Few accents in ASCII: a dozen tables fit, and the Western ones are by far the likeliest.
        for western in ("cp1252", "latin_1"):
            likely = not plausible or any(western in (m.encoding, *m.could_be_from_charset) for m in results)
            if likely and _fits(data, western):
                return western
    return plausible[0] if plausible else None


def _fits(data: bytes, encoding: str) -> bool:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return not any("\x80" <= character < "\xa0" for character in set(text))
