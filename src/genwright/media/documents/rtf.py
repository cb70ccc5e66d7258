"""Rich text (rtf), by striprtf."""

from __future__ import annotations

import re

from genwright.media.documents.base import Document, UnreadableError, about
from genwright.media.documents.html import Kind, joined

_LINE = "\ue000"
"""Stands for the end of a line that ends no paragraph, which the library would not tell from one."""
_LINE_WORD = re.compile(r"(?<!\\)\\line(?![a-z])[ \r\n]?")
_BULLET = re.compile(r"[•·▪◦‣\uf0b7–-][\t ]\s*")
_NUMBER = re.compile(r"(\d{1,3})[.)]\t\s*")
_ENTRY = r"\{\\%s ([^{}\\]*)\}"


def read_rtf(data: bytes) -> Document:
    """Raises UnreadableError where it is none, and ImportError without the library."""
    from striprtf.striprtf import rtf_to_text

    text = data.decode("cp1252", "replace")
    if text.count("{") > 2 * text.count("}") + 100:
        raise UnreadableError("undecodable", "cut short: its groups are not closed")
    try:
        plain = rtf_to_text(_LINE_WORD.sub(r"\\u57344?", text), errors="replace")
    except Exception as error:  # the library fails in any way on what is no rich text
        raise UnreadableError("undecodable", f"no rich text that can be read: {type(error).__name__}") from error
    blocks = [_block(line.strip(" ")) for line in plain.split("\n")]
    title, author = (re.search(_ENTRY % word, text[:20_000]) for word in ("title", "author"))
    return Document(joined(blocks), about(title and title[1], author and author[1]))


def _block(line: str) -> tuple[Kind, str]:
    text = line.replace(_LINE, "\n")
    if "|" in text and text.endswith("|"):
        return "row", " | ".join(" ".join(cell.split()) for cell in text.split("|")[:-1])
    text = text.strip()
    if bullet := _BULLET.match(text):
        return "item", "- " + text[bullet.end() :]
    if number := _NUMBER.match(text):
        return "item", f"{number[1]}. {text[number.end() :]}"
    return "paragraph", text.replace("\t", " ")
