"""The parts of documents that are zip archives (docx, epub, odt), never unpacked to more than a document needs."""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from genwright.media.documents.base import UnreadableError

if TYPE_CHECKING:
    from lxml.etree import _Element

MOST_BYTES = 64 << 20
"""A document may always unpack to so much ..."""
MOST_TIMES = 200
"""... or to so many times its size, as an archive may; and its XML, which takes many times its size in memory, only to the former."""
_MOST_PARTS = 20_000


class Parts:
    """The parts of a document by name. Raises UnreadableError where it is no zip archive, is locked or would unpack to too much."""

    def __init__(self, data: bytes):
        try:
            self.zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, LookupError, NotImplementedError, OverflowError) as error:
            raise UnreadableError("undecodable", f"cut short or corrupt: {_short(error)}") from error
        infos = self.zip.infolist()
        # The library reads no more of a part than the archive says it holds, so what is said here is a bound.
        whole = sum(info.file_size for info in infos)
        written = sum(info.file_size for info in infos if info.filename.lower().endswith((".xml", ".rels")))
        if whole > max(MOST_BYTES, MOST_TIMES * len(data)) or written > MOST_BYTES or len(infos) > _MOST_PARTS:
            raise UnreadableError("bomb", f"{len(data):,} bytes would unpack to {whole:,} in {len(infos):,} parts")
        if any(info.flag_bits & 1 for info in infos):
            raise UnreadableError("encrypted", "needs a password")
        self.names = {info.filename: info for info in infos}

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def read(self, name: str) -> bytes:
        """A part. Raises UnreadableError where it is not there or broken."""
        if name not in self.names:
            raise UnreadableError("undecodable", f"its part {name[:80]} is missing")
        if self.names[name].file_size > MOST_BYTES:
            raise UnreadableError("bomb", f"its part {name[:80]} would unpack to {self.names[name].file_size:,} bytes")
        try:
            return self.zip.read(self.names[name])
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
            raise UnreadableError("undecodable", f"cut short or corrupt: {_short(error)}") from error

    def xml(self, name: str) -> _Element:
        """A part as XML. Raises UnreadableError where it is none."""
        return parse_xml(self.read(name), name)


def parse_xml(data: bytes, name: str) -> _Element:
    """XML from a stranger: entities are refused, nothing outside is looked up. Raises UnreadableError."""
    etree: Any = import_module("lxml.etree")

    check_entities(data, name)
    try:
        root = etree.fromstring(data, xml_parser())
    except (etree.XMLSyntaxError, ValueError) as error:
        raise UnreadableError("undecodable", f"its part {name[:80]} is no XML: {_short(error)}") from error
    return root


def xml_parser() -> Any:
    etree: Any = import_module("lxml.etree")

    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)


def check_entities(data: bytes, name: str) -> None:
    """Raises UnreadableError where XML declares entities of its own, which documents never do and bombs are made of."""
    plain = data.replace(b"\0", b"") if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:4] else data
    if b"<!ENTITY" in plain:
        raise UnreadableError("bomb", f"its part {name[:80]} declares entities, which would grow without end")


def beside(name: str, link: str) -> str:
    """The part that a link in another part leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(link.partition("#")[0])))


def local(tag: Any) -> str:
    """The name of an element without its namespace; "" for comments and the like."""
    return tag.rpartition("}")[2].lower() if isinstance(tag, str) else ""


def said(root: _Element, name: str) -> str:
    """The text of the first element of a name anywhere below, without its namespace: a title, an author."""
    found = next((element for element in root.iter() if local(element.tag) == name), None)
    return "" if found is None else "".join(map(str, found.itertext()))


def _short(error: BaseException) -> str:
    return (str(error) or type(error).__name__).split("\n")[0][:160]
