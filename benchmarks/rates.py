"""Whether the text model's learning rates carry over: where the best rate lies at each width, and at each batch.

    python benchmarks/rates.py [--steps 60] [--widths 128 256 512] [--threads 1]

Each row is a whole training of two layers (the schedule of families/transformer, from warm-up to zero) for the same number of steps
from the same seed on characters of Shakespeare, and the held-out nats per character after it. A rate carries over where the lowest
number of each column stands in the same row, or its neighbour's. Some fifteen minutes on one core.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from nanogpt_ours import OneText
from nanogpt_text import CONTEXT, load_text, split, tokens_of, validation_loss

from genwright.families.transformer.family import OPTIMIZER, Transformer
from genwright.networks.decoder import Decoder
from genwright.run import versions
from genwright.tasks.packing import Packed
from genwright.tasks.text.sizes import network_for
from genwright.training.base import Settings
from genwright.training.trainer import Trainer

RESULTS = Path(__file__).parent / "results" / "rates.txt"
MATRICES = (0.0015, 0.003, 0.006, 0.012, 0.024)
OTHERS = (0.0025, 0.005, 0.01, 0.02, 0.04)
BATCHES = (4, 16, 64)
HELD_OUT = 20_000
"""Characters that the loss is measured on."""


class Case(NamedTuple):
    """A training: `swept` is the rate that `rate` is given to, the other is the family's own."""

    swept: str
    rate: float
    width: int
    batch: int


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokens, alphabet = tokens_of(load_text())
    training, validation = split(tokens)
    losses: dict[Case, float] = {}
    for case in cases(options.widths):
        start = time.monotonic()
        losses[case] = loss_of(case, options.steps, training, validation[:HELD_OUT], len(alphabet))
        print(json.dumps(case._asdict() | {"loss": losses[case], "seconds": time.monotonic() - start}), flush=True)
    text = f"{heading(options)}\n\n{chr(10).join(tables(losses, options.widths))}"
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


def cases(widths: list[int]) -> Iterator[Case]:
    for width in widths:
        yield from (Case("matrix_learning_rate", rate, width, 8) for rate in MATRICES)
        yield from (Case("learning_rate", rate, width, 8) for rate in OTHERS)
    for batch in BATCHES:
        yield from (Case("matrix_learning_rate", rate, widths[0], batch) for rate in MATRICES)
        yield from (Case("learning_rate", rate, widths[0], batch) for rate in OTHERS)


def loss_of(case: Case, steps: int, training, validation, vocabulary: int) -> float:
    torch.manual_seed(0)
    decoder = Decoder(network_for(2, case.width, CONTEXT, vocabulary))
    family = Transformer(decoder, None, dataclasses.replace(OPTIMIZER, **{case.swept: case.rate}))
    batches = Packed(OneText(training), CONTEXT, 0, 0, "model", training=True)
    trainer = Trainer(family, batches, Settings(steps=steps, batch=case.batch), torch.device("cpu"))
    for _ in range(steps):
        trainer.take_step()
    decoder.eval()
    return validation_loss(decoder, validation)


def tables(losses: dict[Case, float], widths: list[int]) -> Iterator[str]:
    for swept, rates in (("matrix_learning_rate", MATRICES), ("learning_rate", OTHERS)):
        yield from table(f"{swept} by width, batch 8", swept, rates, [(width, 8) for width in widths], losses)
        yield from table(
            f"{swept} by batch, width {widths[0]}", swept, rates, [(widths[0], batch) for batch in BATCHES], losses
        )


def table(
    title: str, swept: str, rates: tuple[float, ...], columns: list[tuple[int, int]], losses: dict[Case, float]
) -> Iterator[str]:
    best = {at: min(rates, key=lambda rate: losses[Case(swept, rate, *at)]) for at in columns}
    yield title
    yield f"{'rate':>8}" + "".join(f"{f'{width}, {batch}':>12}" for width, batch in columns)
    for rate in rates:
        cells = (f"{losses[Case(swept, rate, *at)]:.4f}{'*' if best[at] == rate else ' '}" for at in columns)
        yield f"{rate:>8}" + "".join(f"{cell:>12}" for cell in cells)
    yield ""


def heading(options: argparse.Namespace) -> str:
    versions_of = ", ".join(f"{name} {version}" for name, version in versions().items())
    return (
        f"{time.strftime('%Y-%m-%d')}  {platform.machine()}, {options.threads} thread(s), {versions_of}\n"
        f"python benchmarks/rates.py --steps {options.steps} --widths {' '.join(map(str, options.widths))}\n"
        f"Held-out nats per character ({HELD_OUT:,} characters) after {options.steps} steps; columns: width, windows of {CONTEXT} a step; "
        "* the lowest of a column."
    )


if __name__ == "__main__":
    main()
