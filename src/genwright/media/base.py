"""What a medium is, and what a task hands out of it: a piece of text, a picture, later a tune or a recording.

Media are named in `registry.MEDIA`. Collect, the command line, the report and `genwright new` know them by the protocol here alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from mimetypes import guess_type
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from markupsafe import Markup

from genwright import files
from genwright.console import say
from genwright.errors import RequestError
from genwright.ledger import Drop
from genwright.media.kind import DOCUMENT_SUFFIXES, kind
from genwright.registry import MEDIA

if TYPE_CHECKING:
    import numpy
    import PIL.Image

_FAILED: set[str] = set()
"""Media whose `is_kind` failed, each of which is told once."""

Measures = dict[str, float]
"""What was measured of an item, by name. `characters`, `width` and `height` have columns in the ledger; others go to `Item.fields`."""


class Probed(NamedTuple):
    """What a file was found to hold."""

    measures: Measures
    remark: str = ""
    """What is to be known of how it was read; "" where there is nothing to say."""
    fields: Mapping[str, str] = MappingProxyType({})
    """What it says of itself (title, author) and what read it, where another reader may make other content of it."""


class Medium(Protocol):
    """One kind of content: what its files are called, how they are told and measured, written and shown. Torch-free at import."""

    name: str
    noun: str
    plural: str
    suffixes: tuple[str, ...]
    """What its files are called, in lower case; the first is what is written."""
    textual: bool
    """Whether its content is a str, which can be cut into pieces, goes through a pipe and is printed as it comes."""
    size: tuple[str, ...]
    """The measures of which the largest is an item's size."""
    size_title: str
    """That size in words: "characters a text"."""

    def is_kind(self, head: bytes) -> bool:
        """Whether a file that starts with `head` (`HEAD_BYTES` of it) is of this medium. `media/kind.py` is asked too: either will do."""
        ...

    def probe(self, data: bytes) -> Probed | Drop:
        """What a whole file measures, or why it can't be used. Never raises because of what is in the file."""
        ...

    def limit(self, measures: Measures, size_bytes: int, settings: Mapping[str, Any]) -> Drop | None:
        """Why an item of such measures is not wanted by the recipe's `prepare` section; None when it is."""
        ...

    def decoder(self) -> str:
        """Name and version of what reads the files: another may measure a file otherwise, so all are read again."""
        ...

    def words(self, total: Measures, middle: Measures) -> str:
        """What `genwright new` says of many items: the sums of their measures, and the medians."""
        ...

    def encode(self, data: Any, metadata: Mapping[str, Any]) -> bytes:
        """The bytes of a file that holds what a task made, `metadata` inside where the format has a place for it."""
        ...

    def show(self, file: Path, title: str, public: bool) -> str:
        """HTML that shows a file on a page without a network. `public`: without what may be training data."""
        ...


@runtime_checkable
class Sheets(Protocol):
    """A medium of which several things can be laid side by side in one file."""

    def sheet(self, made: Sequence[tuple[Any, str]]) -> Any:
        """What holds all of them, each with its words below it; `encode` writes it."""
        ...


@runtime_checkable
class Formats(Protocol):
    """A medium whose outputs may be written in other formats than that of `encode`."""

    writes: tuple[str, ...]
    """Their suffixes, that of `encode` first."""
    lossy: tuple[str, ...]
    """Those of formats that keep what was made nearly, not exactly."""

    def encode_as(self, data: Any, metadata: Mapping[str, Any], suffix: str) -> bytes:
        """As `encode`, in the format that a suffix of `writes` names."""
        ...


def written(made: Medium) -> tuple[str, ...]:
    """The suffixes of files that outputs can be written to, the usual one first."""
    return made.writes if isinstance(made, Formats) else made.suffixes[:1]


def encoded(made: Medium, data: Any, metadata: Mapping[str, Any], suffix: str) -> bytes:
    """The bytes of a file of such a suffix."""
    suffix = suffix.lower()
    if isinstance(made, Formats) and suffix in made.writes:
        return made.encode_as(data, metadata, suffix)
    return made.encode(data, metadata)


def medium(name: str) -> Medium:
    """A medium by its name. Raises RequestError when there is none."""
    return MEDIA[name].load()


def is_textual(name: str | None) -> bool:
    return name in MEDIA and medium(str(name)).textual


def is_of(head: bytes, name: str) -> bool:
    """Whether a file that starts with `head` is of a medium: a file may be of two, as a drawing in SVG is a text too."""
    return name in MEDIA and (kind(head) == name or _knows(name, head))


def medium_of(head: bytes) -> str:
    """The medium of a file that nobody has expectations of: one that knows it better than `kind`, or else what that says."""
    said = kind(head)
    return next((name for name in MEDIA if name != said and _knows(name, head)), said)


def _knows(name: str, head: bytes) -> bool:
    try:
        return medium(name).is_kind(head)
    except Exception as error:  # a medium from another package must not keep the others from being looked at
        if name not in _FAILED:
            _FAILED.add(name)
            say(
                f"{name}: could not tell whether a file is of its kind ({type(error).__name__}: {error}); taken for a no."
            )
        return False


def by_suffix(suffix: str) -> Medium | None:
    """The medium whose files are called so."""
    return next((one for one in map(medium, MEDIA) if suffix.lower() in one.suffixes), None)


def show(file: Path, title: str, public: bool = False) -> Markup:
    """A file of any medium for a page. One that can't be shown is named there, so that nothing is lost in silence."""
    shown, why = by_suffix(file.suffix), "no medium has files that are called so"
    if shown is not None:
        try:
            return Markup(shown.show(file, title, public))
        except Exception as error:  # a decoder may fail in any way; one file must not cost the report
            why = getattr(error, "strerror", None) or str(error)
    reason = "" if public else f" ({why})"  # the reason may name a place on this machine
    return Markup('<p class="missing"><code>{}</code> can\'t be shown{}.</p>').format(file.name, reason)


def write_whole(file: Path, content: bytes) -> None:
    """Whole or not at all: the file may be the one that is continued."""
    with files.whole(file) as temporary:
        temporary.write_bytes(content)


@dataclass(repr=False)
class Media:
    """One output of `Task.answer`, or one piece of it where the output streams.

    `data` is what the medium encodes: a str (text: the new piece), a PIL image. `index` says which of the request's n outputs it
    belongs to, `final` that nothing more comes for that index. `metadata` goes into the file (PNG text chunks) and the JSON line.
    """

    kind: str
    """A name of `registry.MEDIA`."""
    data: Any
    index: int = 0
    final: bool = True
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def finish(self) -> str:
        """Why it ended, of the last piece of a text: "end" (an end of its own), "stop" (a text to stop at), "length" (cut, because
        no more tokens were asked for or the context is full); "" where there is nothing to tell."""
        return str(self.metadata.get("finish", ""))

    @property
    def text(self) -> str:
        """Raises AttributeError where it is none."""
        if not is_textual(self.kind):
            raise AttributeError(f"{_a(self.kind)} has no text; `data` holds it, and `save(file)` writes it")
        return self.data

    @property
    def image(self) -> PIL.Image.Image:
        """The picture. Raises AttributeError where it is none."""
        if self.kind != "image":
            raise AttributeError(f"{_a(self.kind)} has no picture; `data` holds it, and `save(file)` writes it")
        from PIL import Image

        return self.data if isinstance(self.data, Image.Image) else Image.fromarray(self.data)

    @property
    def array(self) -> numpy.ndarray:
        """The picture as uint8[H, W, 3]. Raises AttributeError where it is none."""
        from numpy import asarray

        return asarray(self.image)

    def __str__(self) -> str:
        return self.data if is_textual(self.kind) else repr(self)

    def __repr__(self) -> str:
        words = repr(self.data if len(self.data) <= 60 else self.data[:59] + "…") if is_textual(self.kind) else ""
        words = words or ("{} x {} pixels".format(*self.image.size) if self.kind == "image" else "")
        said = ", ".join(filter(None, [words, *(f"{key}={self.metadata[key]!r}" for key in ("prompt", "seed") if key in self.metadata)]))  # fmt: skip
        return f"<{self.kind} {self.index}: {said}>"

    def _repr_html_(self) -> str:
        one = medium(self.kind)
        if one.textual:
            return Markup('<pre style="white-space:pre-wrap">{}</pre>').format(self.data)
        with TemporaryDirectory(prefix="genwright-") as folder:
            self.save(file := Path(folder) / f"made{one.suffixes[0]}")
            return show(file, str(self.metadata.get("prompt", one.noun)))

    def _repr_png_(self) -> bytes | None:
        return medium("image").encode(self.data, self.metadata) if self.kind == "image" else None

    def save(self, file: str | Path) -> None:
        """Write it to a file, whole or not at all. Raises OSError, and RequestError where the file is called what it would not be."""
        place, made = Path(file), medium(self.kind)
        if not _may_be_called(made, place.suffix.lower()):
            raise RequestError(
                f"{place}: what was made is {_a(made.noun)}, which no {place.suffix} file is; call it {place.with_suffix(made.suffixes[0])}."
            )
        write_whole(place, encoded(made, self.data, self.metadata, place.suffix))


def _may_be_called(made: Medium, suffix: str) -> bool:
    """Whether a file that holds what was made may have a suffix: a text may be of any kind that is written as text."""
    if not made.textual or suffix in DOCUMENT_SUFFIXES:
        return suffix in ("", *written(made))
    return suffix in made.suffixes or (guess_type(f"a{suffix}")[0] or "text").partition("/")[0] in (
        "text",
        "application",
    )


def _a(noun: str) -> str:
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"
