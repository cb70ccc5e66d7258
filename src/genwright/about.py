"""What a task says of itself and of a folder, before any of its code is loaded. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from genwright.ledger import printable


@dataclass(frozen=True)
class Found:
    """A table and what its columns are for, as templates of a join."""

    table: str
    rows: int
    path: str | None
    text: str | None
    label: str | None
    characters: int = 0
    """In the text column, where the rows are the content."""
    conversations: int = 0
    """Rows that are conversations, as the task `chat` reads them."""

    def sentence(self) -> str:
        if self.conversations:
            return f"a table, {printable(self.table)}, with {self.conversations:,} conversations"
        what = [
            f"{name} by {template}"
            for name, template in (("file", self.path), ("text", self.text), ("label", self.label))
            if template
        ]
        return f"a table, {printable(self.table)}, with {self.rows:,} rows: {', '.join(what)}"

    def join(self) -> dict[str, str]:
        return {
            k: v
            for k, v in (("table", self.table), ("path", self.path), ("text", self.text), ("label", self.label))
            if v
        }


@dataclass
class Survey:
    """What lies in a folder. `measured_whole` files were read; of larger folders the rest is judged by first bytes and size."""

    folder: str
    kind: str
    """The source that a recipe would take it by: folder or archive."""
    offered: int = 0
    media: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    characters: int = 0
    """Of all texts; estimated from their bytes where not all were read."""
    median_characters: int = 0
    code: int = 0
    """Texts that are program text by their names."""
    code_characters: int = 0
    median_width: int = 0
    median_height: int = 0
    captions: int = 0
    """Pictures with a text file of the same name beside them."""
    labels: dict[str, int] = field(default_factory=dict)
    """Pictures by the name of their folder, where those look like classes."""
    table: Found | None = None
    remarks: dict[str, int] = field(default_factory=dict)
    """How files were read, where that is to be known, and how many."""
    dropped: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    licences: dict[str, int] = field(default_factory=dict)
    measured_whole: int = 0

    @property
    def pictures(self) -> int:
        return self.media.get("image", 0)

    @property
    def texts(self) -> int:
        return self.media.get("text", 0)


@dataclass(frozen=True)
class Verdict:
    """What a task could make of the folder."""

    task: str
    items: int
    """How many items the task could use."""
    enough: bool
    text: str
    made_for: bool = False
    """Whether most of what the medium has here is what this task is made for, so that it goes before a more general one."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Keys of the recipe's `model` section that follow from what there is."""
