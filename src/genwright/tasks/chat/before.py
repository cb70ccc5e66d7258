"""The weights that a model started from, scored beside what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np

from genwright.engine.engine import Engine
from genwright.families.base import Family
from genwright.families.transformer.family import Transformer
from genwright.model import Model
from genwright.tasks.chat import general as chat_general
from genwright.tasks.chat.samples import Turn, answer_all
from genwright.tokens.chat_template import ChatTemplate


@dataclass
class Before:
    family: Transformer
    title: str
    most_general: int = len(chat_general.PAIRS)
    """How many of the general instructions are asked about."""
    _model: Model | None = None

    @property
    def general_title(self) -> str:
        whole = self.most_general >= len(chat_general.PAIRS)
        return chat_general.TITLE if whole else f"the first {self.most_general} of {chat_general.TITLE}"

    def answers(self, model: Model, turns: Sequence[Turn], max_tokens: int, seed: int) -> list[str]:
        """What they answer to the same turns, by the same random streams."""
        if self._model is None:  # one, so that its session is opened once
            self._model = replace(model, parts={**model.parts, model.main: self.family})
        was = self._model
        return [
            answer.strip()
            for answer in answer_all(
                was, Engine(), turns, "evaluate: the weights started from answer", max_tokens=max_tokens, seed=seed
            )
        ]

    def general_examples(self, model: Model) -> list[tuple[np.ndarray, np.ndarray]]:
        """(tokens, weight) of general instructions and answers."""
        template = ChatTemplate.of(model.facts)
        return [
            template.encode_marked(messages, model.facts) for messages in chat_general.conversations(self.most_general)
        ]


_read: WeakKeyDictionary[Family, Before | None] = WeakKeyDictionary()
"""By the family that was trained: an evaluation may be tried several times before it counts, and large weights take long to read."""


def before_of(model: Model) -> Before | None:
    """The weights that the recipe's `model.from` names, in a family like the model's; None where it was trained from nothing."""
    if model.family not in _read:
        _read[model.family] = _before(model)
    return _read[model.family]


def _before(model: Model) -> Before | None:
    part = next(part for part in model.task.parts(model.config, model.facts) if part.name == model.main)
    if part.initial is None:
        return None
    family = part.build({})
    part.initial(family)
    if "reference" in family.modules:
        del family.modules["reference"]
    family.modules.to(model.device).eval()
    if not isinstance(family, Transformer):
        return None
    source = getattr(model.task.model, "from_", None)
    title = (
        f"{next(iter(source.items()))[0]}:{next(iter(source.values()))}" if isinstance(source, dict) else str(source)
    )
    return Before(family, title)
