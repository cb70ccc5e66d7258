"""Genwright's side: the shipped decoder, family, batches and trainer, in a process of its own so that compiling starts cold.

Run by nanogpt.py as `python nanogpt_ours.py DATA.npz SEED`; prints one JSON object.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import time
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from nanogpt_text import CONTEXT, validation_loss

from genwright.families.base import Batch
from genwright.families.transformer.family import OPTIMIZER, Transformer
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.tasks.packing import Packed
from genwright.training.base import Settings
from genwright.training.trainer import Trainer

STEPS = 220
BATCH = 12
OPTIMIZER_CHANGES: dict[str, Any] = {
    "learning_rate": 0.01,
    "matrix_learning_rate": 0.01,
    "momentum": 0.85,
    "polar_steps": 3,
    "decay": 0.5,
}
"""What the planned number of steps is best spent with; found by loss-against-step runs, see benchmarks/results/nanogpt_search.md."""


def network(vocabulary: int) -> DecoderConfig:
    """nanoGPT's width and heads, one layer less: over so few steps a fourth costs more than it brings."""
    return DecoderConfig(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=340,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        # The slowest pair then turns once in about 600 characters, not 60,000: positions tell apart within a window of 64.
        rope_theta=100.0,
    )


class OneText:
    """A single document to be packed."""

    def __init__(self, tokens: np.ndarray):
        self.tokens = tokens

    def lengths(self, name: str) -> np.ndarray:
        return np.array([len(self.tokens)])

    def last(self, name: str) -> np.ndarray:
        return self.tokens[-1:]

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return {"tokens": self.tokens}


class Clocked:
    """Batches that note when each was asked for: a step begins by asking for its batch."""

    def __init__(self, batches: Packed):
        self.batches, self.asked_at = batches, []

    @property
    def pass_examples(self) -> int:
        return self.batches.pass_examples

    def batch(self, position: int, size: int) -> Batch:
        self.asked_at.append(time.perf_counter())
        return self.batches.batch(position, size)


def main() -> None:
    data = np.load(sys.argv[1])
    seed = int(sys.argv[2])
    torch.manual_seed(seed)
    decoder = Decoder(network(int(data["vocabulary"])))
    family = Transformer(decoder, end_token=None, optimizer=dataclasses.replace(OPTIMIZER, **OPTIMIZER_CHANGES))
    # The text never ends within a row, so its end-of-text token only leads in the first one.
    batches = Clocked(Packed(OneText(data["train"]), CONTEXT, 0, seed, "model", training=True))
    settings = Settings(seed=seed, steps=STEPS, batch=BATCH, compile=True, log_every=50)
    trainer = Trainer(family, batches, settings, torch.device("cpu"))
    start = time.perf_counter()
    trainer.run()
    total_s = time.perf_counter() - start
    starts = [*batches.asked_at, start + total_s]
    times = [after - before for before, after in pairwise(starts)]
    median_s = statistics.median(times)
    # Compiling happens inside the first steps: what they took beyond the median step is its time.
    compile_s = sum(max(0.0, seconds - median_s) for seconds in times[:3])
    decoder.eval()
    result = {
        "seconds": total_s - compile_s,
        "compile_s": compile_s,
        "step_ms": median_s * 1000,
        "steps": STEPS,
        "loss": validation_loss(decoder, data["validation"]),
        "parameters": sum(parameter.numel() for parameter in decoder.parameters()),
        "recipe": {
            "batch": BATCH,
            "network": decoder.config.model_dump(),
            "optimizer": dataclasses.asdict(family.phases[0].optimizer),
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
