"""What a reader of documents gives, and what it says where it can't."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from genwright.ledger import Drop

EXTRA = "pip install 'genwright[documents]'"
"""How the libraries come that read documents."""

LARGEST_TEXT = 100_000_000
"""Characters of a document; what says more is called a bomb."""


@dataclass(frozen=True)
class Document:
    """The text of a document: paragraphs apart by blank lines, headings behind `#`, items of lists behind `-` or their number, the
    cells of a table's row apart by ` | `."""

    text: str
    about: dict[str, str] = field(default_factory=dict)
    """Its title and author, where it says them."""


class UnreadableError(Exception):
    """A document can't be read as text; `drop` says why."""

    def __init__(self, reason: str, detail: str):
        super().__init__(detail)
        self.drop = Drop(reason, detail)


def about(title: str | None, author: str | None) -> dict[str, str]:
    """What a document says of itself, without what programs write there when nobody did."""
    named = {"title": " ".join((title or "").split()), "author": " ".join((author or "").split())}
    return {name: said[:300] for name, said in named.items() if said and not _NOBODY.fullmatch(said)}


_NOBODY = re.compile(
    r"\(?(anonymous|unspecified|unknown|untitled|author|title|none|python-docx|word document|user|admin)\)?|"
    r"microsoft word - .*|.*\.(docx?|odt|rtf|pdf|tex|indd|dvi|html?)",
    re.IGNORECASE,
)
