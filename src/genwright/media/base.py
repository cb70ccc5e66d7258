"""What a task hands out: a piece of text, a picture, later a tune or a recording."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Medium = Literal["text", "image", "audio", "midi"]


@dataclass
class Media:
    """One output of `Task.answer`, or one piece of it where the output streams.

    `data` is a str (text: the new piece) or a PIL image. `index` says which of the request's n outputs it belongs to,
    `final` that nothing more comes for that index. `metadata` goes into the file (PNG text chunks) and the JSON line.
    """

    kind: Medium
    data: Any
    index: int = 0
    final: bool = True
    metadata: dict[str, Any] = field(default_factory=dict)
