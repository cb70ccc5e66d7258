"""Samples for scores: held-out prompts, what really followed, and what a model makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genwright.console import progress
from genwright.engine.engine import Engine
from genwright.model import Model
from genwright.seeds import request_stream


@dataclass
class Passages:
    """`prompts` and what follows them, taken evenly from a stream; all of one length in tokens."""

    prompts: list[np.ndarray]
    real: list[np.ndarray]
    prompt_length: int
    length: int


def prompts_and_continuations(stream: np.ndarray, most: int, prompt_tokens: int, sample_tokens: int) -> Passages:
    """Passages that do not overlap, at most `most`; shorter ones where the stream is too short for a single one."""
    if len(stream) < prompt_tokens + sample_tokens:
        prompt_tokens = len(stream) * prompt_tokens // (prompt_tokens + sample_tokens)
        sample_tokens = len(stream) - prompt_tokens
    span = prompt_tokens + sample_tokens
    count = min(most, len(stream) // span)
    starts = [number * (len(stream) - span) // max(count - 1, 1) for number in range(count)]
    return Passages(
        [stream[start : start + prompt_tokens] for start in starts],
        [stream[start + prompt_tokens : start + span] for start in starts],
        prompt_tokens,
        sample_tokens,
    )


def continue_all(
    model: Model,
    engine: Engine,
    prompts: list[np.ndarray],
    controls: Any,
    seed: int,
    title: str,
    constraints: Sequence[Any] | None = None,
) -> list[list[int]]:
    """The tokens that the model goes on with after each prompt, held to its constraint; the i-th has the i-th random stream of the
    seed. `title` is of the progress line."""
    session = model.session()
    outputs: list[list[int]] = [[] for _ in prompts]
    running: dict[int, Iterator[int]] = {}
    waiting = iter(range(len(prompts)))
    done = 0
    with progress(title, len(prompts) * controls.max_tokens) as line:
        while True:
            while len(running) < session.capacity and (index := next(waiting, None)) is not None:
                prompt, rng = prompts[index].tolist(), request_stream(seed, index)
                held = constraints[index] if constraints else None
                running[index] = engine.submit(session, lambda s, p=prompt, r=rng, h=held: s.start(p, r, controls, h))
            if not running:
                return outputs
            for index, tokens in list(running.items()):
                token = next(tokens, None)
                if token is None:
                    del running[index]
                    done += controls.max_tokens - len(outputs[index])
                else:
                    outputs[index].append(token)
                    done += 1
            line.update(done)
