"""Turns of held-out conversations, and what a model answers to them: for previews and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genwright.engine.engine import Engine
from genwright.model import Model
from genwright.shards import ExampleStore
from genwright.tasks.chat.formats import ROLES
from genwright.tasks.chat.turns import replies
from genwright.tasks.text.samples import continue_all
from genwright.tokens.tokenizer import Tokenizer

_SHOWN_CHARACTERS = 600


@dataclass
class Turn:
    """A reply, and all that was said before it, as the template writes it."""

    prompt: np.ndarray
    reply: np.ndarray
    """With the token that ends it."""
    example: int
    """Which example of its split it is from."""


def turns_of(store: ExampleStore, index: int) -> list[Turn]:
    """The replies of one example."""
    example = store[index]
    tokens, weight = example["tokens"], example["weight"]
    return [Turn(tokens[:start], tokens[start:stop], index) for start, stop in replies(tokens, weight)]


def room_for(model: Model, max_tokens: int) -> int:
    """Tokens that a prompt may have, so that the context holds an answer too."""
    context = model.config.network["max_position_embeddings"]
    return context - min(max_tokens, context // 2)


def evenly_turns(store: ExampleStore, most: int, room: int) -> list[Turn]:
    """Replies from examples spread over a split: the second one of each, so that there is something to answer, else its only one;
    further ones where there are too few examples. Only those whose prompt has at most `room` tokens."""
    found: list[Turn] = []
    for rank in range(1, 64):
        count = min(most - len(found), len(store))
        for number in range(count):
            turns = [turn for turn in turns_of(store, number * len(store) // count) if len(turn.prompt) <= room]
            if rank < len(turns) or (rank == 1 and turns):
                found.append(turns[min(rank, len(turns) - 1)])
        if len(found) >= most or not len(store):
            break
    return found[:most]


def answer_all(
    model: Model,
    engine: Engine,
    turns: Sequence[Turn],
    title: str,
    *,
    max_tokens: int,
    seed: int,
    temperature: float | None = None,
) -> list[str]:
    """What the model says in place of each reply; the i-th has the i-th random stream of the seed. `title` is of the progress line."""
    settings = {"max_tokens": max_tokens} | ({} if temperature is None else {"temperature": temperature})
    controls = model.family.Controls.model_validate(settings)
    prompts = [turn.prompt for turn in turns]
    return [model.facts.decode(tokens) for tokens in continue_all(model, engine, prompts, controls, seed, title)]


def words_of(reply: np.ndarray, facts: Tokenizer) -> str:
    """What a reply says, without the end of its turn."""
    return facts.decode(reply).strip()


def asked(turn: Turn, facts: Tokenizer) -> str:
    """What was said last before a reply, without the marks and the names of roles that the template puts around it."""
    runs = [run.strip() for run in _runs(turn.prompt, facts)]
    while runs and (not runs[-1] or runs[-1].lower() in ROLES):
        runs.pop()
    if not runs:
        return ""
    role, _, rest = runs[-1].partition("\n")
    return rest.strip() if role.strip().lower() in ROLES else runs[-1]


def shown(turn: Turn, facts: Tokenizer, answer: str) -> str:
    """The end of a conversation as people read it, and behind the mark >>> what a model answers."""
    runs = [run.strip("\n") for run in _runs(turn.prompt, facts) if run.strip()]
    if runs and runs[-1].strip().lower() in ROLES:
        runs.pop()
    text = "\n".join(runs)
    return f"{text[-_SHOWN_CHARACTERS:]}\n>>> {answer.strip()}"


def _runs(tokens: np.ndarray, facts: Tokenizer) -> list[str]:
    """The texts between special tokens."""
    special = np.isin(tokens, list(facts.special.values()))
    return [facts.decode(run) for run in np.split(tokens, np.flatnonzero(special))]
