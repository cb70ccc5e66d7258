"""HTML as a text: paragraphs, headings, lists and tables, as Markdown writes them; of a web page what it is about, without its menus.

Documents in other formats come through here too, because their readers make HTML of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from genwright.media.documents.base import Document, UnreadableError, about
from genwright.media.documents.elements import BESIDE, BLOCKS, ROLES, SILENT
from genwright.media.documents.parts import local

if TYPE_CHECKING:
    from lxml.etree import _Element

_IS_PAGE = re.compile(
    r"\s*(<\?xml[^>]{0,200}\?>\s*)?(<!--.{0,2000}?-->\s*){0,5}<(!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_IS_PIECE = re.compile(
    r"\s*<(div|p|section|article|main|header|nav|table|ul|ol|h[1-6])(\s[^<>]{0,2000})?>", re.IGNORECASE
)
_FEWEST_ENDS = 3
_ENDS = re.compile(r"</(div|p|section|article|main|header|nav|table|ul|ol|li|h[1-6]|tr)>", re.IGNORECASE)
_NAMES = re.compile(
    r"(^|[\s_-])(nav|navbar|navigation|menu|sidebar|breadcrumbs?|cookies?|consent|share|social|advert|advertisement|newsletter|"
    r"skip-?link|site-?header|site-?footer|masthead|popup|modal)([\s_-]|$)",
    re.IGNORECASE,
)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_LEFT = 0.25
"""Where less than this share of a page's text would be left without its menus, the page is made of such things: all is kept."""
_LINKS = 0.75
"""A list or block with more of its text in three links or more is a menu."""
_VERSE = 80
"""Paragraphs up to this long may be lines of verse."""
_EMPTY = 0.1
"""With so many empty paragraphs to a full one, they are what stands between stanzas or paragraphs."""


def is_page(text: str) -> bool:
    """Whether a text is a web page by its beginning, or a piece of one: it begins with an element of one, closes some, and ends so."""
    if _IS_PAGE.match(text[:8192]) is not None:
        return True
    if _IS_PIECE.match(text[:8192]) is None or _ENDS.search(text.rstrip()[-200:]) is None:
        return False
    return len(_ENDS.findall(text[:8192])) >= _FEWEST_ENDS


def read_page(text: str) -> Document:
    """What a web page is about. Raises UnreadableError where nothing can be made of it."""
    root = _parsed(text)
    title = _title(root)
    body = next((element for element in root.iter() if local(element.tag) == "body"), root)
    whole = len("".join(_words(body)).strip())
    inside = _main(body, whole)
    written = write(inside, skip=_is_beside)
    if len(written) < _LEFT * whole:
        written = write(body)
    if title and written and not re.search(r"^# ", written, re.MULTILINE):
        written = f"# {title}\n\n{written}"
    return Document(written, about(title, _meta(root, "author")))


def read_fragment(text: str, *, empties: bool = False) -> str:
    """HTML that a reader made of a document, whole. `empties`: empty paragraphs are part of how it is laid out."""
    return write(_parsed(text), empties=empties) if text.strip() else ""


def write(root: _Element, *, skip: Callable[[_Element], bool] | None = None, empties: bool = False) -> str:
    """The text of a tree of HTML elements, but for those that `skip` says."""
    writer = _Writer(skip or (lambda element: False), empties)
    writer.walk(root)
    writer.end()
    return writer.text()


def _parsed(text: str) -> _Element:
    etree: Any = import_module("lxml.etree")
    html: Any = import_module("lxml.html")

    parser = html.HTMLParser(encoding="utf-8", no_network=True, huge_tree=False)
    try:
        # As bytes, because a text that names its encoding is refused; a NUL would end it.
        root = html.document_fromstring(text.replace("\0", "").encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as error:
        raise UnreadableError("empty", "a web page with nothing in it") from error
    return root


def _title(root: _Element) -> str:
    element = root.find(".//title")
    return " ".join("".join(map(str, element.itertext())).split()) if element is not None else ""


def _meta(root: _Element, name: str) -> str:
    found = (m.get("content", "") for m in root.iter("meta") if str(m.get("name", "")).lower() == name)
    return next(found, "")


def _main(body: _Element, whole: int) -> _Element:
    """The element that a page says is what it is about, where there is one and it has much of the text."""
    for test in (
        lambda e: local(e.tag) == "main" or e.get("role") == "main",
        lambda e: local(e.tag) == "article",
    ):
        found = [element for element in body.iter() if isinstance(element.tag, str) and test(element)]
        if len(found) == 1 and len("".join(_words(found[0]))) > _LEFT * whole:
            return found[0]
    return body


def _words(element: _Element) -> Iterator[str]:
    """The pieces of text that can be seen."""
    if local(element.tag) in SILENT or not isinstance(element.tag, str):
        return
    yield element.text or ""
    for child in element:
        yield from _words(child)
        yield child.tail or ""


def _is_beside(element: _Element) -> bool:
    """Whether an element of a web page stands beside what the page is about."""
    tag = local(element.tag)
    if (
        element.get("hidden") is not None
        or element.get("aria-hidden") == "true"
        or _HIDDEN.search(element.get("style") or "")
    ):
        return True
    if tag not in BLOCKS or tag in ("html", "body", "main", "article"):
        return False
    above = {local(parent.tag) for parent in element.iterancestors()}
    if tag in BESIDE or (tag == "header" and not above & {"main", "article", "section"}):
        return True
    if element.get("role") in ROLES or _NAMES.search(f"{element.get('class') or ''} {element.get('id') or ''}"):
        return True
    return tag in ("ul", "ol", "div", "table", "dl") and _is_menu(element)


def _is_menu(element: _Element) -> bool:
    links = ["".join(map(str, link.itertext())).strip() for link in element.iter("a") if link.get("href")]
    if len(links) < 3:
        return False
    words = " ".join("".join(_words(element)).split())
    return sum(map(len, links)) > _LINKS * len(words) and max(map(len, links)) < _VERSE


Kind = Literal["block", "item", "row", "paragraph"]


@dataclass
class _Writer:
    skip: Callable[[_Element], bool]
    empties: bool
    blocks: list[tuple[Kind, str]] = field(default_factory=list)
    inline: list[str] = field(default_factory=list)
    lists: list[int | None] = field(default_factory=list)
    """The number of the last item of each list around; None where items have none."""
    mark: str = ""
    """What the next block begins with."""
    kind: Kind = "block"

    def walk(self, element: _Element) -> None:
        tag = local(element.tag)
        if not tag or tag in SILENT or self.skip(element):
            return
        if tag == "br":
            self.inline.append("\n")
        elif tag == "pre":
            self.end()
            self.blocks.append(("block", "".join(map(str, element.itertext())).strip("\n").expandtabs(4)))
        elif tag == "table" and _is_data(element):
            self._table(element)
        elif tag in BLOCKS:
            self._block(tag, element)
        else:
            self._inside(element)

    def _inside(self, element: _Element) -> None:
        self.inline.append(_collapsed(element.text))
        for child in element:
            self.walk(child)
            self.inline.append(_collapsed(child.tail))

    def _block(self, tag: str, element: _Element) -> None:
        self.end()
        if tag in ("ul", "ol", "menu"):
            self.lists.append(_first_number(element) - 1 if tag == "ol" else None)
            self._inside(element)
            self.end()
            self.lists.pop()
            return
        if tag == "li":
            self._item()
        elif len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self.mark = "#" * int(tag[1]) + " "
        elif tag == "p" and self.kind != "item":
            self.kind = "paragraph"
        self._inside(element)
        self.end(empty=tag == "p" and self.empties)
        self.mark, self.kind = "", "block"

    def _item(self) -> None:
        depth = max(len(self.lists), 1)
        number = self.lists[-1] if self.lists else None
        if number is not None:
            self.lists[-1] = number + 1
        self.mark = "  " * (depth - 1) + ("- " if number is None else f"{number + 1}. ")
        self.kind = "item"

    def _table(self, element: _Element) -> None:
        self.end()
        for row in (one for one in element.iter() if local(one.tag) == "tr"):
            cells = [" ".join(write(cell, skip=self.skip).split()) for cell in row if local(cell.tag) in ("td", "th")]
            if any(cells):
                self.blocks.append(("row", " | ".join(cells)))
        self.blocks.append(("block", ""))

    def end(self, empty: bool = False) -> None:
        """End the block that is being written; `empty`: also where nothing is in it."""
        lines = [" ".join(line.split()) for line in "".join(self.inline).split("\n")]
        words = "\n".join(lines).strip("\n")
        self.inline = []
        if words:
            self.blocks.append((self.kind, self.mark + words))
            self.mark = ""
        elif empty:
            self.blocks.append(("paragraph", ""))

    def text(self) -> str:
        return joined(self.blocks)


def joined(blocks: list[tuple[Kind, str]]) -> str:
    """Blocks apart by blank lines; items of a list, rows of a table, and lines of verse on lines of their own.

    Lines of verse are short paragraphs where a document has empty ones between its stanzas.
    """
    full = sum(kind == "paragraph" and bool(text) for kind, text in blocks)
    empty = sum(kind == "paragraph" and not text for kind, text in blocks)
    stanzas = empty > max(1, _EMPTY * full)
    pieces: list[str] = []
    last: tuple[Kind, str] = ("block", "")
    for kind, text in blocks:
        if pieces and text:
            verse = stanzas and kind == "paragraph" and max(len(text), len(last[1])) <= _VERSE
            close = kind == last[0] and last[1] and (kind in ("item", "row") or verse)
            pieces.append("\n" if close else "\n\n")
        if text:
            pieces.append(text)
        last = (kind, text)
    return clean("".join(pieces))


def clean(text: str) -> str:
    """Without soft hyphens, marks of no width and white space at line ends; no-break spaces as spaces."""
    for mark in ("\u00ad", "\u200b", "\ufeff", "\u2060"):
        text = text.replace(mark, "")
    text = text.replace("\u00a0", " ").replace("\u202f", " ").replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", text)).strip("\n")


def _is_data(table: _Element) -> bool:
    """Whether a table has rows of cells, rather than being what a page is laid out by."""
    return not any(
        local(inner.tag) in ("table", "h1", "h2", "h3", "form") for inner in table.iterdescendants()
    ) and any(
        sum(local(cell.tag) in ("td", "th") for cell in row) > 1 for row in table.iter() if local(row.tag) == "tr"
    )


def _first_number(element: _Element) -> int:
    start = str(element.get("start") or "1")
    return int(start) if start.lstrip("-").isdecimal() and len(start) < 9 else 1


def _collapsed(text: str | None) -> str:
    return re.sub(r"[ \t\r\n\f]+", " ", text) if text else ""
