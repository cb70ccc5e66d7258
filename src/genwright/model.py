"""A trained model in memory: task, facts and families, and the sessions that are open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from pydantic import BaseModel

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
    batch: int
    """Examples of one optimizer step."""
    title: str
    """For people: "4 layers, 128 wide"."""
    least_steps: int = 600
    """Stepped less often than this within the budget, a smaller size does better."""


class ModelTask(Protocol):
    """What a model knows of its task; tasks/base.py has all of it."""

    name: ClassVar[str]
    medium: ClassVar[str]
    family: str
    prepare: Any
    model: Any

    def exported_settings(self) -> dict[str, Any]: ...

    def parts(self, config: ModelConfig, facts: Any) -> list[Any]: ...

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
    opening: dict[str, Any] = field(default_factory=dict)
    """More that the generating family's `open` is told: {"precision": "int8"}."""
    _sessions: dict[tuple[str, int], Session] = field(default_factory=dict, repr=False)

    @property
    def family(self) -> Family:
        """The last part, the one that generates."""
        return list(self.parts.values())[-1]

    def session(self, capacity: int, part: str | None = None) -> Session:
        """An open session of a part, made once a capacity."""
        key = (part or list(self.parts)[-1], capacity)
        if key not in self._sessions:
            more = self.opening if key[0] == list(self.parts)[-1] else {}
            self._sessions[key] = self.parts[key[0]].open(capacity, **more)
        return self._sessions[key]
