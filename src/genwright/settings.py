"""The base of every settings class, and a budget as settings say it: sections of a recipe, settings and controls of a family, a request.

Torch-free.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from genwright.console import duration

UNSAID = "unsaid"
"""Marks a field that was added later, and means nothing at its default: `Field(..., json_schema_extra={UNSAID: True})`."""


class Section(BaseModel):
    """Base of every part of a recipe: unknown keys are refused."""

    model_config = ConfigDict(
        extra="forbid", validate_default=True, validate_by_alias=True, validate_by_name=True, serialize_by_alias=True
    )

    @model_serializer(mode="wrap")
    def _said(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the fields marked `UNSAID` that stand at their defaults: so it was before they could be asked for, and what was made
        then is up to date."""
        found = dump(self)
        for name, about in type(self).model_fields.items():
            extra = about.json_schema_extra
            if isinstance(extra, dict) and extra.get(UNSAID) and getattr(self, name) == about.default:
                found.pop(name, None)
                found.pop(about.alias or name, None)
        return found

    def relative_to(self, folder: Path) -> Self:
        """The same section with its paths made absolute from the recipe's folder."""
        sections = {name: value.relative_to(folder) for name, value in self if isinstance(value, Section)}
        return self.model_copy(update=sections) if sections else self


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
