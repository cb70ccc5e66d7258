"""Word documents, by mammoth: what was deleted, comments, headers and footers are not in the text."""

from __future__ import annotations

import io
import re

from genwright.media.documents.base import Document, UnreadableError, about
from genwright.media.documents.html import read_fragment
from genwright.media.documents.parts import Parts, check_entities, said

_BACK = re.compile(r'<a href="#(?:foot|end)note-ref-[^"]*">.*?</a>')
_NOTE = re.compile(r'<sup><a href="#(?:foot|end)note-[^"]*"[^>]*>(.*?)</a></sup>')
_SAVE_AS = {"xl/": "a spreadsheet; save it as .csv", "ppt/": "a presentation; save it as .pdf"}


def read_docx(data: bytes) -> Document:
    """Raises UnreadableError where it is none, and ImportError without the library."""
    from mammoth import convert_to_html, images

    parts = Parts(data)
    for folder, hint in _SAVE_AS.items():
        if any(name.startswith(folder) for name in parts.names):
            raise UnreadableError("wrong_medium", hint)
    for name in parts.names:
        if name.lower().endswith((".xml", ".rels")):
            check_entities(parts.read(name), name)
    try:
        found = convert_to_html(
            io.BytesIO(data), convert_image=images.img_element(lambda image: {}), ignore_empty_paragraphs=False
        )
    except Exception as error:  # the library says by any exception that a document is not as it should be
        raise UnreadableError("undecodable", f"no Word document that can be read: {_short(error)}") from error
    html = _NOTE.sub(r"\1", _BACK.sub("", found.value))
    core = parts.xml("docProps/core.xml") if "docProps/core.xml" in parts else None
    facts = about(said(core, "title"), said(core, "creator")) if core is not None else {}
    return Document(read_fragment(html, empties=True), facts)


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__).split("\n")[0][:160]
