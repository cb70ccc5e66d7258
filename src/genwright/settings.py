"""The base of every settings class, and a budget as settings say it: sections of a recipe, settings and controls of a family, a request;
and what a user wrote for them (`Written`), with what is wrong with it (`Wrong`).

Torch-free.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PrivateAttr, ValidationError

from genwright.console import duration
from genwright.errors import RequestError


class Section(BaseModel):
    """Base of every part of a recipe: unknown keys are refused."""

    model_config = ConfigDict(
        extra="forbid", validate_default=True, validate_by_alias=True, validate_by_name=True, serialize_by_alias=True
    )

    def relative_to(self, folder: Path) -> Self:
        """The same section with its paths made absolute from the recipe's folder."""
        sections = {name: value.relative_to(folder) for name, value in self if isinstance(value, Section)}
        return self.model_copy(update=sections) if sections else self


class Wrong(NamedTuple):
    """What is wrong with what was given for a schema."""

    path: tuple[str | int, ...]
    """The keys that lead to it."""
    text: str
    unknown: bool
    """Whether there is no such key."""

    def below(self, *keys: str | int) -> Wrong:
        return self._replace(path=(*keys, *self.path))


def first_wrong(error: ValidationError, given: Any) -> Wrong:
    """The first thing that is wrong; an unknown key before others, because a misspelled one is missing too, and the unknown one is what
    the user can see. What a key may be of several kinds is said of all of them."""
    found = error.errors()
    first = min(found, key=lambda one: one["type"] != "extra_forbidden")
    path = _real(first, given)
    said = dict.fromkeys(_plain(one) for one in found if len(one["loc"]) > len(path) and _real(one, given) == path)
    value = first.get("input")
    shown = f" (given: {value!r})" if isinstance(value, str | int | float | bool) else ""
    return Wrong(path, (" or ".join(said) or _plain(first)) + shown, first["type"] == "extra_forbidden")


def _real(error: Any, given: Any) -> tuple[str | int, ...]:
    """The keys of an error's place, without the names of kinds that pydantic puts among them where there may be several."""
    path = []
    for key in error["loc"]:
        if (isinstance(given, dict) and key in given) or (
            isinstance(given, list) and isinstance(key, int) and key < len(given)
        ):
            given = given[key]
        elif key != error["loc"][-1] or error["type"] != "missing":
            continue
        path.append(key)
    return tuple(path)


def _plain(error: Any) -> str:
    if error["type"] in ("model_type", "dict_type", "mapping_type"):
        return "must be a section with keys of its own"
    return error["msg"].removeprefix("Value error, ").rstrip(".")


class PartSection(Section):
    """The section of one part of a model (a field of the task's `Model`, by the part's name), beside the settings of its family."""

    from_: str | None = Field(
        None,
        alias="from",
        description="A run or model folder whose trained part of this name is taken, instead of training one here.",
    )

    def relative_to(self, folder: Path) -> Self:
        if self.from_ is None:
            return self
        return self.model_copy(update={"from_": str(folder.absolute() / Path(self.from_).expanduser())})


class MainSection(PartSection):
    """The section of the part that requests go to: it gets the settings of the family that `model.family` names. In a task
    without one `model` itself gets them."""


def part_sections(model: type[BaseModel]) -> dict[str, type[PartSection]]:
    """The sections of parts in a `model` section, by the parts' names."""
    kinds = {name: field.annotation for name, field in model.model_fields.items()}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, PartSection)}


@dataclass(frozen=True)
class Budget:
    """How long a training goes on, in one of four measures."""

    amount: float
    unit: Literal["seconds", "steps", "examples", "tokens"]
    text: str = field(default="", compare=False)
    """As the recipe says it; "" where it was computed."""

    def __str__(self) -> str:
        return self.text or (duration(self.amount) if self.unit == "seconds" else f"{self.amount:,.0f} {self.unit}")

    def times(self, share: float) -> Budget:
        return Budget(self.amount * share, self.unit)

    @classmethod
    def parse(cls, text: str | int | float) -> Budget:
        """Read "90s", "2m", "1h30m", "2000 steps", "5M tokens", "200k images". Raises ValueError."""
        words = str(text).strip().lower().replace(",", "").replace("_", "")
        clock = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?\s*(?:(\d+(?:\.\d+)?)m(?:in)?)?\s*(?:(\d+(?:\.\d+)?)s)?", words)
        if words and clock and any(clock.groups()):
            hours, minutes, seconds = (float(g or 0) for g in clock.groups())
            amount, unit = hours * 3600 + minutes * 60 + seconds, "seconds"
        else:
            count = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([km]?)\s*(steps?|tokens?|images?|examples?|pictures?)", words)
            if not count:
                raise ValueError(f"{text!r} is no budget; write 90s, 2m, 1h30m, 2000 steps, 5M tokens or 200k images")
            amount = float(count[1]) * {"": 1, "k": 1e3, "m": 1e6}[count[2]]
            unit = {"s": "steps", "t": "tokens"}.get(count[3][0], "examples")
        if amount <= 0:
            raise ValueError("a budget must be more than nothing")
        return cls(amount, unit, str(text))  # type: ignore[arg-type]


def _budget(value: Any) -> Budget:
    return value if isinstance(value, Budget) else Budget.parse(value)


BudgetText = Annotated[Budget, BeforeValidator(_budget), PlainSerializer(str, return_type=str)]
"""A budget that stands as text in recipes and in what is written down of them."""


_SHARE = 0.5


_LEAST_SAMPLES = 20
"""An evaluation of fewer says little."""
_LEAST_EFFORT = 0.02
_LEAST_LENGTH = 0.25
"""Samples are cut to no less than this share of their length."""


class EvaluateSettings(Section):
    samples: int = Field(500, gt=1, description="How many samples are generated and compared.")
    seed: int = Field(0, ge=0, lt=2**63, description="Fixes what is generated for the scores.")
    share: float = Field(
        _SHARE,
        gt=0,
        description="The most time that evaluating may take, as a share of a training budget in minutes; where that is too short, fewer "
        "samples are compared, and how many is written down before they are made (evaluate/plan.json). Any other budget: all.",
    )
    _effort: float = PrivateAttr(1.0)
    _floor: float = PrivateAttr(1.0)
    """The share of the least that says something, where even that takes too long."""
    _trained: int | None = PrivateAttr(None)

    def asked(self) -> dict[str, Any]:
        """What is asked for, without what follows from the default: runs of before `share` came stay as they are."""
        return self.model_dump(mode="json", exclude=set() if self.share != _SHARE else {"share"})

    @property
    def least_effort(self) -> float:
        """The effort below which a score is of too few to say much."""
        return min(max(_LEAST_SAMPLES / self.samples, _LEAST_EFFORT), 1.0)

    def at(self, effort: float) -> EvaluateSettings:
        """The same with fewer samples, for an evaluation that may take only so much of what the whole one would (above 0, at most 1).

        Below `least_effort` first texts are cut shorter, then there are fewer samples, so that it still shrinks in step.
        """
        floor = min(effort / self.least_effort, 1.0)
        samples = self.samples * (effort if floor == 1 else self.least_effort * min(floor / _LEAST_LENGTH, 1.0))
        reduced = self.model_copy(update={"samples": max(2, round(samples))})
        reduced._effort, reduced._floor = effort, floor
        return reduced

    def of(self, most: int, least: int = 1) -> int:
        """As much of `most` as the evaluation has the time for: tokens to score, steps of a judge, items to search. Not below `least`,
        unless even that takes too long."""
        return max(round(min(most, least) * self._floor), round(most * self._effort), 1)

    def judged(self, most: int) -> int:
        """Steps of a judge: as many as there is time for, and without minutes no more than the model itself was trained for."""
        steps = self.of(most)
        return steps if self._trained is None else max(min(steps, self._trained), 1)

    def trained_for(self, steps: int | None) -> EvaluateSettings:
        """The same for a model that was trained for so many steps, where the budget is not in minutes."""
        made = self.model_copy()
        made._trained = steps
        return made

    def length(self, most: int) -> int:
        """As many tokens of `most` as there is the time for in each sample; a quarter at least."""
        return max(round(most * max(self._floor, _LEAST_LENGTH)), 1)


class Written:
    """The content of a YAML text (`content`), in which values can be replaced, and where each of them was given.

    Raises RequestError naming the line where the text is no YAML or has a key twice.
    """

    def __init__(self, text: str, name: str):
        self.name = name
        self.overrides: list[tuple[str, list[str]]] = []
        try:
            self.node = yaml.compose(text, Loader=yaml.SafeLoader)
            _refuse_twice(name, self.node)
            self.content: Any = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            line = f" line {mark.line + 1}" if mark else ""
            raise RequestError(f"{name}{line}: not valid YAML ({getattr(error, 'problem', None) or error}).") from error

    def put(self, override: str, path: str) -> None:
        """Put the value of KEY=VALUE, as it was given, at a path of keys (`train.budget`). Raises RequestError."""
        keys, value = path.split("."), override.partition("=")[2]
        place: Any = self.content
        for key in keys[:-1]:
            place = (
                place[int(key)]
                if isinstance(place, list) and key.isdigit() and int(key) < len(place)
                else place.setdefault(key, {})
                if isinstance(place, dict)
                else None
            )
            if not isinstance(place, dict | list):
                raise RequestError(f"--set {override}: `{key}` is no section of the recipe.")
        try:
            _refuse_twice(f"--set {override}", yaml.compose(value, Loader=yaml.SafeLoader))
            parsed = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise RequestError(f"--set {override}: the value is not valid YAML.") from error
        if isinstance(place, list):
            if not keys[-1].isdigit() or int(keys[-1]) >= len(place):
                raise RequestError(f"--set {override}: `{keys[-1]}` is no index of that list.")
            place[int(keys[-1])] = parsed
        else:
            place[keys[-1]] = parsed
        self.overrides.append((override, keys))

    def where(self, *path: str | int) -> str:
        """The place of a key's value, for the beginning of a message: `--set KEY=VALUE`, or the file and the line."""
        keys = [str(key) for key in path]
        for override, put in reversed(self.overrides):
            if keys and (put[: len(keys)] == keys or keys[: len(put)] == put):
                return f"--set {override}"
        return self.name + self._line(path)

    def _line(self, path: tuple[str | int, ...]) -> str:
        """ " line N" of a key in the YAML tree, or "" where it stands nowhere, as a default."""
        line, node = None, self.node
        for key in path:
            if isinstance(node, yaml.MappingNode):
                match = next(((k, v) for k, v in node.value if k.value == str(key)), None)
                if match is None:
                    break
                line, node = match[0].start_mark.line + 1, match[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
                node = node.value[key]
                line = node.start_mark.line + 1
            else:
                break
        return f" line {line}" if line else ""


def _refuse_twice(name: str, node: Any) -> None:
    """Raises RequestError where a mapping, however deep, has a key twice: YAML's readers keep the last one and say nothing."""
    waiting, seen = [node], set()
    while waiting:
        node = waiting.pop()
        if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
            continue
        lines: dict[Any, int] = {}
        for key, value in node.value:
            line, known = key.start_mark.line + 1, (key.tag, str(key.value))
            if known in lines:
                raise RequestError(
                    f"{name} line {line}: the key `{key.value}` stands on line {lines[known]} already; put both into one."
                )
            lines[known] = line
            waiting += [key, value]
