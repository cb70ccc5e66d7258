"""A trained model in memory: task, facts and families, and the sessions that are open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from pydantic import BaseModel, model_validator

from genwright.engine.engine import Engine
from genwright.families.base import Family, Session
from genwright.media.base import Media


class Facts(Protocol):
    """What was measured on the training split once and is frozen until --refit: a tokenizer, statistics."""

    def save(self, folder: Path) -> None: ...


class ModelConfig(BaseModel):
    """A size that the forecast may choose: everything `parts` needs to build networks, JSON-able."""

    family: str
    network: dict[str, Any]
    batches: dict[str, int] = {}
    """Examples of one optimizer step by part, where they go with the size."""
    title: str
    """For people: "4 layers, 128 wide"."""
    least_steps: int = 600
    """Stepped less often than this within the budget, a smaller size does better."""

    @model_validator(mode="before")
    @classmethod
    def _of_one_part(cls, content: Any) -> Any:
        """Models made before a part had its own `batch` have one part, `model`."""
        return {**content, "batches": {"model": content["batch"]}} if "batch" in content else content


class ModelTask(Protocol):
    """What a model knows of its task; tasks/base.py has all of it."""

    name: ClassVar[str]
    condition_ids: ClassVar[int]
    family: str
    prepare: Any
    model: Any

    @property
    def medium(self) -> str: ...

    def exported_settings(self) -> dict[str, Any]: ...

    def parts(self, config: ModelConfig, facts: Any) -> list[Any]: ...

    def known(self, facts: Any) -> dict[str, list[str]]: ...

    def preview(self, model: Model, engine: Engine, splits: Any, file_stem: Path) -> Path: ...

    def answer(self, model: Model, request: Any, engine: Engine) -> Iterator[Media]: ...


@dataclass
class Model:
    """A model in memory, in evaluation mode, on `device`."""

    task: ModelTask
    config: ModelConfig
    facts: Any
    parts: dict[str, Family]
    device: torch.device
    about: dict[str, Any] = field(default_factory=dict)
    """What is known of its making: recipe hash, ledger account, steps, scores. Goes to config.json and into files it makes."""
    opening: BaseModel | None = None
    """How the main part is opened, an `Opening` of its family; None: by its defaults."""
    capacity: int = 16
    """Requests that a session works on at once: whoever has the model knows how many come. A batch of 16 keeps a processor busy;
    each more takes memory of a text model's cache."""
    main: str = ""
    """The part that requests go to; by default the last."""
    _sessions: dict[str, Session] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.main = self.main or list(self.parts)[-1]

    @property
    def family(self) -> Family:
        """The main part's: a request has its controls."""
        return self.parts[self.main]

    def session(self, part: str | None = None) -> Session:
        """The session of a part, opened when it is first asked for; default: of the main part."""
        name = part or self.main
        if name not in self._sessions:
            family = self.parts[name]
            opening = self.opening if name == self.main and self.opening is not None else family.Opening()
            self._sessions[name] = family.open(self.capacity, opening)
        return self._sessions[name]
