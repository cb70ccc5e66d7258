"""What `restyle` knows of its data: whose hands there are, and whether each picture's other drawing is there to learn from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from genwright.errors import RequestError

_FILE = "restyle.json"


@dataclass(frozen=True)
class RestyleFacts:
    """Frozen facts of a set of pictures in several hands."""

    paired: bool
    """Whether each picture has its drawing in the other hand, a further file `target`; else there are two sets, `as: a` and `as: b`."""
    styles: list[str]
    """Hands that pictures are carried over to."""
    pictures: int
    """How many training items the facts were measured on."""

    @property
    def condition(self) -> str:
        """What networks are told: "label" where there is more than one hand to carry over to, else "none"."""
        return "label" if len(self.styles) > 1 else "none"

    def style(self, name: str) -> np.ndarray:
        """A style as the networks are told it, int32[1]: its place, -1 for one that is not known."""
        return np.array([self.styles.index(name) if name in self.styles else -1], np.int32)

    def asked(self, name: str, default: str) -> np.ndarray:
        """The style that a request names; without a name the default, or the first. Raises RequestError for one that is not known."""
        wanted = name.strip() or (default if default in self.styles else self.styles[0])
        if wanted in self.styles:
            return self.style(wanted)
        near = get_close_matches(wanted.lower(), {one.lower(): one for one in self.styles}, n=1)
        like = next((one for one in self.styles if near and one.lower() == near[0]), "")
        hint = f"did you mean {like!r}?" if like else f"choose from {', '.join(self.styles)}."
        raise RequestError(f"The style {wanted!r} is none that this model carries pictures over to; {hint}")

    def other(self, style: np.ndarray) -> np.ndarray:
        """Of two sets the hand that a picture is in which is carried over to this one."""
        return 1 - style

    def save(self, folder: Path) -> None:
        (folder / _FILE).write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> RestyleFacts:
        """Raises RequestError naming the file that can't be read."""
        try:
            return cls(**json.loads((folder / _FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise RequestError(f"{folder}: {_FILE} can't be read ({error}); prepare or export again.") from error
