"""Training speed as a share of this machine's matrix-multiply peak: our trainer beside nanoGPT's step, at equal shape.

    python benchmarks/training_speed.py --nanogpt PATH_OF_A_CHECKOUT [--rounds 3]

Both train on the same tokens with the same layers, width, context and batch, in fp32. A step is everything that training does:
fetching the batch, forward, backward, clipping, optimizer. Speed is the matrix products of the model's forward pass times three
(optimizers not counted, though their time is) over that time; the peak is the best product of square fp32 matrices, measured in
every round. The sides take turns round by round; medians are printed. Compiling happens before the clock starts.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nanogpt_peer as peer
import numpy as np
import torch
from nanogpt_text import load_text, split, tokens_of

from genwright import device
from genwright.families.transformer import OPTIMIZER, Transformer
from genwright.networks.decoder import Decoder, DecoderConfig, matmul_flops
from genwright.run import versions
from genwright.tasks.write_batches import Windows
from genwright.training.base import Settings
from genwright.training.trainer import Trainer

BLOCK_S = 4.0
"""How long one side trains before the other takes its turn."""


@dataclass(frozen=True)
class Shape:
    layers: int
    heads: int
    width: int
    context: int
    batch: int

    def __str__(self) -> str:
        return f"{self.layers} layers, {self.width} wide, context {self.context}, batch {self.batch}"


SHAPES = (Shape(4, 4, 128, 64, 12), Shape(6, 6, 384, 256, 4))


@dataclass
class Side:
    """A way to train: one step, and the forward pass's matrix-product operations."""

    name: str
    step: Callable[[], Any]
    flops: float


def main() -> None:
    options = arguments()
    checkout = peer.check(options.nanogpt)
    tokens, alphabet = tokens_of(load_text())
    train, _ = split(tokens)
    tables = []
    for shape in SHAPES:
        sides = [
            *(nanogpt(checkout, shape, train, len(alphabet), compiled) for compiled in (False, True)),
            *(genwright(shape, train, len(alphabet), muon) for muon in (False, True)),
        ]
        for side in sides:
            for _ in range(3):
                side.step()
        rounds = [one_round(sides) for _ in range(options.rounds)]
        tables.append({"shape": dataclasses.asdict(shape), "rounds": rounds})
        print("\n".join(table(shape, rounds)), flush=True)
    closing = [
        f"date {time.strftime('%Y-%m-%d %H:%M %Z')}; {device.title(torch.device('cpu'))}; {platform.platform()}",
        "versions " + ", ".join(f"{name} {version}" for name, version in versions().items()),
        "command " + peer.command("training_speed.py"),
    ]
    print("\n".join(closing))
    text = "\n".join([*(row for t in tables for row in table(Shape(**t["shape"]), t["rounds"])), *closing])
    options.results.mkdir(exist_ok=True)
    (options.results / "training_speed.txt").write_text(text + "\n", encoding="utf-8")
    (options.results / "training_speed.json").write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nanogpt", type=Path, help=peer.HOW_TO_GET_IT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args()


def nanogpt(checkout: Path, shape: Shape, train: np.ndarray, vocabulary: int, compiled: bool) -> Side:
    """Its model and optimizer, stepped as its train.py does (get_batch, forward, backward, clip, step)."""
    module = peer.module_of(checkout)
    sizes = {"n_layer": shape.layers, "n_head": shape.heads, "n_embd": shape.width, "block_size": shape.context}
    torch.manual_seed(1337)
    raw = module.GPT(module.GPTConfig(**sizes, vocab_size=vocabulary, bias=False, dropout=0.0))
    optimizer = raw.configure_optimizers(0.1, 1e-3, (0.9, 0.99), "cpu")
    model = torch.compile(raw) if compiled else raw

    def step() -> None:
        starts = torch.randint(len(train) - shape.context, (shape.batch,))
        x = torch.stack([torch.from_numpy(train[i : i + shape.context].astype(np.int64)) for i in starts])
        y = torch.stack([torch.from_numpy(train[i + 1 : i + 1 + shape.context].astype(np.int64)) for i in starts])
        _, loss = model(x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(raw.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    weights = shape.layers * 12 * shape.width**2 + vocabulary * shape.width
    attention = shape.layers * 2 * shape.width * shape.context
    flops = 2.0 * (weights + attention) * shape.batch * shape.context
    return Side(f"nanoGPT, {'compiled' if compiled else 'eager (its CPU recipe)'}", step, flops)


def genwright(shape: Shape, train: np.ndarray, vocabulary: int, muon: bool) -> Side:
    """The shipped decoder, family, batches and trainer, compiled; a feed-forward layer of 8/3 of the width has as many weights."""
    config = DecoderConfig(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        intermediate_size=round(shape.width * 8 / 3 / 4) * 4,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        head_dim=shape.width // shape.heads,
        max_position_embeddings=shape.context,
    )
    torch.manual_seed(0)
    spec = OPTIMIZER if muon else dataclasses.replace(OPTIMIZER, matrix_learning_rate=None)
    batches = Windows(train, shape.context, 0, 0, training=True)
    settings = Settings(steps=1_000_000, batch=shape.batch, compile=True)
    trainer = Trainer(Transformer(Decoder(config), None, spec), batches, settings, torch.device("cpu"))
    optimizer = "Muon and AdamW" if muon else "AdamW"
    return Side(f"Genwright, {optimizer}", trainer.take_step, matmul_flops(config, shape.batch, shape.context))


def one_round(sides: list[Side]) -> dict[str, Any]:
    peak = matmul_peak()
    found: dict[str, Any] = {}
    for side in sides:
        times = []
        until = time.perf_counter() + BLOCK_S
        while time.perf_counter() < until or len(times) < 3:
            start = time.perf_counter()
            side.step()
            times.append(time.perf_counter() - start)
        seconds = statistics.median(times)
        found[side.name] = {"step_ms": seconds * 1000, "gflops": 3 * side.flops / seconds / 1e9}
    return {"peak_gflops": max(peak, matmul_peak()), "sides": found}


def matmul_peak() -> float:
    """The best of several square products, in GFLOP/s."""
    best = 0.0
    for size in (512, 1024, 2048):
        a, b = torch.randn(size, size), torch.randn(size, size)
        out = a @ b
        for _ in range(max(2, 2048 // size)):
            start = time.perf_counter()
            torch.mm(a, b, out=out)
            best = max(best, 2 * size**3 / (time.perf_counter() - start) / 1e9)
    return best


def table(shape: Shape, rounds: list[dict[str, Any]]) -> list[str]:
    peak = statistics.median(one["peak_gflops"] for one in rounds)
    rows = [
        f"{shape}; matrix-multiply peak {peak:.0f} GFLOP/s",
        f"{'':>34} {'step ms':>9} {'tokens/s':>10} {'GFLOP/s':>9} {'of peak':>8}",
    ]
    for name in rounds[0]["sides"]:
        of_side = [one["sides"][name] for one in rounds]
        step_ms = statistics.median(side["step_ms"] for side in of_side)
        gflops = statistics.median(side["gflops"] for side in of_side)
        share = statistics.median(one["sides"][name]["gflops"] / one["peak_gflops"] for one in rounds)
        tokens = shape.batch * shape.context / step_ms * 1000
        rows.append(f"{name:>34} {step_ms:>9.1f} {tokens:>10,.0f} {gflops:>9.1f} {share:>8.1%}")
    return [*rows, ""]


if __name__ == "__main__":
    main()
