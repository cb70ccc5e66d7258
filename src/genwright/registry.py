"""The names a recipe may use, and where the code behind each one lives.

Every entry names modules instead of importing them, so that listing what exists, checking a recipe and printing help
import neither torch nor numpy. Other packages add entries with `TASKS.register(...)` and friends, or with an entry point
in the group `genwright.tasks`, `genwright.families`, `genwright.media`, `genwright.sources` or `genwright.metrics` whose value is an `Entry`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from genwright.about import About
from genwright.errors import RequestError


@dataclass(frozen=True)
class Entry:
    """Where a registered thing lives: `implementation` is "module:attribute"; `options` is its torch-free module, if any."""

    implementation: str
    options: str | None = None

    def load(self) -> Any:
        module, _, attribute = self.implementation.partition(":")
        return getattr(import_module(module), attribute)

    def load_options(self) -> ModuleType:
        if self.options is None:
            raise TypeError(f"{self.implementation} has no options module")
        return import_module(self.options)


class Registry:
    """Names of one kind (`task`, `family`, `medium`, `source`, `metric`)."""

    def __init__(self, kind: str, group: str, builtin: dict[str, Entry]):
        self.kind = kind
        self.group = group
        self._entries = dict(builtin)
        self._looked_outside = False

    def register(self, name: str, entry: Entry) -> None:
        """Add a name at run time. Raises ValueError when it is taken."""
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered already")
        self._entries[name] = entry

    def unregister(self, name: str) -> None:
        del self._entries[name]

    def __iter__(self) -> Iterator[str]:
        self._look_outside()
        return iter(sorted(self._entries))

    def __contains__(self, name: object) -> bool:
        self._look_outside()
        return name in self._entries

    def __getitem__(self, name: str) -> Entry:
        self._look_outside()
        if name not in self._entries:
            near = get_close_matches(name, self._entries, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(sorted(self._entries))}."
            raise RequestError(f"There is no {self.kind} {name!r}; {hint}")
        return self._entries[name]

    def _look_outside(self) -> None:
        if self._looked_outside:
            return
        self._looked_outside = True
        for point in entry_points(group=self.group):
            self._entries.setdefault(point.name, point.load())


_DOORS = {"tasks": "task", "families": "family"}
"""The module of a room that holds the class."""


def _room(folder: str, name: str, attribute: str) -> Entry:
    return Entry(f"genwright.{folder}.{name}.{_DOORS[folder]}:{attribute}", f"genwright.{folder}.{name}.options")


TASKS = Registry(
    "task",
    "genwright.tasks",
    {
        "write": _room("tasks", "write", "Write"),
        "chat": _room("tasks", "chat", "Chat"),
        "complete": _room("tasks", "complete", "Complete"),
        "draw": _room("tasks", "draw", "Draw"),
        "repair": _room("tasks", "repair", "Repair"),
        "restyle": _room("tasks", "restyle", "Restyle"),
    },
)
FAMILIES = Registry(
    "family",
    "genwright.families",
    {
        "transformer": _room("families", "transformer", "Transformer"),
        "flow": _room("families", "flow", "Flow"),
        "gan": _room("families", "gan", "Gan"),
        "vae": _room("families", "vae", "Vae"),
        "codes": _room("families", "codes", "Codes"),
        "cycle": Entry("genwright.families.gan.cycle.family:CycleGan", "genwright.families.gan.cycle.options"),
    },
)
MEDIA = Registry(
    "medium",
    "genwright.media",
    {"text": Entry("genwright.media.text:TEXT"), "image": Entry("genwright.media.image:IMAGE")},
)
SOURCES = Registry(
    "source",
    "genwright.sources",
    {
        "folder": Entry("genwright.sources.folder:FolderSource"),
        "archive": Entry("genwright.sources.archive:ArchiveSource"),
        "table": Entry("genwright.sources.table:TableSource"),
        "pypi": Entry("genwright.sources.packages.pypi:PyPISource"),
        "npm": Entry("genwright.sources.packages.npm:NpmSource"),
        "deb": Entry("genwright.sources.packages.deb:DebSource"),
        "python": Entry("genwright.sources.python_stdlib:PythonSource"),
    },
)
METRICS = Registry("metric", "genwright.metrics", {})


def about(task: str) -> About:
    """What a task says of itself."""
    return TASKS[task].load_options().ABOUT


def family_of(task: str, name: str) -> Entry:
    """The family that the users of a task call so."""
    return FAMILIES[about(task).called.get(name, name)]


def model_section(task: str, family: str) -> type[Any]:
    """The task's own keys of the recipe's section `model`, for a family as its users call it."""
    of_family = about(task).model
    return TASKS[task].load_options().Model if of_family is None else of_family(family)


def source_kind(given: Mapping[str, Any]) -> str:
    """The key of a source that says its kind. Raises ValueError, as the end of a sentence, where there is not exactly one."""
    kinds = [key for key in given if key in SOURCES]
    if len(kinds) == 1:
        return kinds[0]
    near = next((m for key in given for m in get_close_matches(str(key), list(SOURCES), n=1)), None)
    hint = f"did you mean `{near}`?" if near else f"name one of {', '.join(SOURCES)}."
    raise ValueError(f"has {len(kinds)} known kinds of source; {hint}")


def families_of(task: str) -> tuple[str, ...]:
    """The families that can do a task, default first: those that it names, and those that name it in the `TASKS` of their options."""
    own = about(task).families
    return own + tuple(name for name in FAMILIES if name not in own and task in FAMILIES[name].load_options().TASKS)
