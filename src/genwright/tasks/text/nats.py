"""What held-out documents cost a model, token by token, each document by itself as the model learned them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

from genwright.console import progress
from genwright.families.transformer.family import Transformer

_TOKENS_AT_ONCE = {"cpu": 4096, "cuda": 32768}
"""Tokens of a batch by kind of device: a card's units would be idle on few."""


@torch.inference_mode()
def document_nats(
    family: Transformer, documents: Sequence[np.ndarray], lead: int, device: torch.device, title: str = "held-out text"
) -> list[np.ndarray]:
    """Nats of every token of each document, the first predicted from the token `lead`.

    What is longer than the context is read in windows that overlap by half, each token taken from the window that gives it more
    context, so that every token but the first ones has at least half a context before it.
    """
    context = family.network.config.max_position_embeddings
    stride = max(context // 2, 1)
    led_in = [np.concatenate([[lead], document]).astype(np.int64) for document in documents]
    windows = [
        (number, start)
        for number, tokens in enumerate(led_in)
        for start in range(0, max(len(tokens) - 1 - context + stride, 1), stride)
    ]
    windows.sort(key=lambda window: len(led_in[window[0]]) - window[1])
    out = [np.empty(len(document)) for document in documents]
    lengths = [min(len(led_in[number]) - start - 1, context) for number, start in windows]
    with progress(title, len(windows)) as line:
        for first, stop in pairwise(_batches(lengths, _TOKENS_AT_ONCE.get(device.type, 4096))):
            chosen = windows[first:stop]
            pieces = [led_in[number][start : start + context + 1] for number, start in chosen]
            rows = np.zeros((len(chosen), max(max(map(len, pieces)), 2)), dtype=np.int64)
            for row, piece in enumerate(pieces):
                rows[row, : len(piece)] = piece
            nats_BT = family.nats(torch.from_numpy(rows).to(device)).cpu().numpy()
            for row, (number, start) in enumerate(chosen):
                new, end = (0 if start == 0 else context - stride), len(pieces[row]) - 1
                out[number][start + new : start + end] = nats_BT[row, new:end]
            line.update(first)
    return out


def _batches(lengths: Sequence[int], tokens: int) -> list[int]:
    """Where to cut a sorted list of lengths into batches of about so many tokens."""
    edges = [0]
    for place, length in enumerate(lengths):
        if place > edges[-1] and (place - edges[-1] + 1) * length > tokens:
            edges.append(place)
    return [*edges, len(lengths)] if lengths else [0]
