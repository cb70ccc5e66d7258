"""Variety within one question in the sheet of `chat`: several answers of the model to each of a few held-out turns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genwright.engine.engine import Engine
from genwright.model import Model
from genwright.recipe import EvaluateSettings
from genwright.scores import ScoreSheet
from genwright.tasks.chat.before import Before
from genwright.tasks.chat.samples import Turn, answer_all
from genwright.tasks.text import variety


def extend(
    sheet: ScoreSheet,
    model: Model,
    turns: Sequence[Turn],
    real: Sequence[str],
    before: Before | None,
    max_tokens: int,
    settings: EvaluateSettings,
) -> None:
    """Add the column. Retrieval always says the same and is left out; `real` are the replies that were given to the turns."""

    def asked(prompts: list[np.ndarray]) -> list[Turn]:
        return [Turn(prompt, prompt[:0], 0) for prompt in prompts]

    def by_chance(prompts: list[np.ndarray], seed: int) -> list[str]:
        order = np.random.default_rng(seed).permutation(len(real))
        return [real[index] for index in np.resize(order, len(prompts)).tolist()]

    def by_model(prompts: list[np.ndarray], seed: int) -> list[str]:
        return answer_all(
            model,
            Engine(),
            asked(prompts),
            "evaluate: several answers of the model to each",
            max_tokens=max_tokens,
            seed=seed,
        )

    writers = {"shuffled": by_chance, "model": by_model}
    if before is not None:
        writers["before"] = lambda prompts, seed: before.answers(model, asked(prompts), max_tokens, seed)
    variety.extend(sheet, [turn.prompt for turn in turns], real, writers, settings.samples, settings.seed)
