"""Training speed as a share of this machine's matrix-multiply peak: our trainer beside nanoGPT and transformers, at equal shape.

    python benchmarks/training_speed.py --nanogpt PATH_OF_A_CHECKOUT [--rounds 3]

All train on the same tokens with the same layers, width, context and batch, in fp32; transformers' Qwen3ForCausalLM is our network
weight by weight. A step is everything that training does: fetching the batch, forward, backward, clipping, optimizer. Speed is the
matrix products of the model's forward pass times three (optimizers not counted, though their time is) over that time; the peak is
the best product of square fp32 matrices, measured in every round. The sides take turns round by round; medians are printed. Compiling
happens before the clock starts; what the first step took beyond a later one stands in the last column. Six minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nanogpt_peer as peer
import numpy as np
import torch
import torch.nn.functional as F
from nanogpt_ours import OneText
from nanogpt_text import load_text, split, tokens_of
from torch import Tensor, nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from genwright.families.transformer.family import OPTIMIZER, Transformer
from genwright.hardware import device
from genwright.networks.decoder import Decoder, DecoderConfig, matmul_flops
from genwright.networks.hugging_face import to_hf_config
from genwright.run import versions
from genwright.tasks.packing import Packed
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
    first_s: float = 0.0
    """What the first step took: compiling, where it is compiled."""


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as cold:  # so that compiling takes what it takes
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cold
        measure(options)


def measure(options: argparse.Namespace) -> None:
    checkout = peer.check(options.nanogpt)
    tokens, alphabet = tokens_of(load_text())
    train, _ = split(tokens)
    tables = []
    for shape in SHAPES:
        sides = [
            *(nanogpt(checkout, shape, train, len(alphabet), compiled) for compiled in (False, True)),
            *(transformers(shape, train, len(alphabet), compiled) for compiled in (False, True)),
            *(genwright(shape, train, len(alphabet), muon=False, compiled=compiled) for compiled in (False, True)),
            genwright(shape, train, len(alphabet), muon=True, compiled=True),
        ]
        for side in sides:
            start = time.perf_counter()
            side.step()
            side.first_s = time.perf_counter() - start
            for _ in range(2):
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
    step = peer_step(raw, optimizer, lambda x, y: model(x, y)[1], shape, train)
    weights = shape.layers * 12 * shape.width**2 + vocabulary * shape.width
    attention = shape.layers * 2 * shape.width * shape.context
    flops = 2.0 * (weights + attention) * shape.batch * shape.context
    return Side(f"nanoGPT, {'compiled' if compiled else 'eager (its CPU recipe)'}", step, flops)


def transformers(shape: Shape, train: np.ndarray, vocabulary: int, compiled: bool) -> Side:
    """Its Qwen3 with torch's fused AdamW, stepped in the same way as nanoGPT."""
    config = config_of(shape, vocabulary)
    torch.manual_seed(1337)
    raw = Qwen3ForCausalLM(Qwen3Config(**to_hf_config(config))).train()
    optimizer = torch.optim.AdamW(raw.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    model = torch.compile(raw) if compiled else raw

    def loss(x: Tensor, y: Tensor) -> Tensor:
        logits = model(input_ids=x, use_cache=False).logits
        return F.cross_entropy(logits.flatten(0, 1), y.flatten())

    step = peer_step(raw, optimizer, loss, shape, train)
    name = f"transformers Qwen3, {'compiled' if compiled else 'eager'}"
    return Side(name, step, matmul_flops(config, shape.batch, shape.context))


def peer_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Tensor, Tensor], Tensor],
    shape: Shape,
    train: np.ndarray,
) -> Callable[[], None]:
    """A step as nanoGPT's train.py takes it."""

    def step() -> None:
        starts = torch.randint(len(train) - shape.context, (shape.batch,))
        x = torch.stack([torch.from_numpy(train[i : i + shape.context].astype(np.int64)) for i in starts])
        y = torch.stack([torch.from_numpy(train[i + 1 : i + 1 + shape.context].astype(np.int64)) for i in starts])
        loss(x, y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def config_of(shape: Shape, vocabulary: int) -> DecoderConfig:
    """A feed-forward layer of 8/3 of the width, rounded to 16, has as many weights as nanoGPT's."""
    return DecoderConfig(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        intermediate_size=round(shape.width * 8 / 3 / 16) * 16,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        head_dim=shape.width // shape.heads,
        max_position_embeddings=shape.context,
    )


def genwright(shape: Shape, train: np.ndarray, vocabulary: int, *, muon: bool, compiled: bool) -> Side:
    """The shipped decoder, family, batches and trainer."""
    config = config_of(shape, vocabulary)
    torch.manual_seed(0)
    spec = OPTIMIZER if muon else dataclasses.replace(OPTIMIZER, matrix_learning_rate=None)
    batches = Packed(OneText(train), shape.context, 0, 0, "model", training=True)
    settings = Settings(steps=1_000_000, batch=shape.batch, compile=compiled)
    trainer = Trainer(Transformer(Decoder(config), None, spec), batches, settings, torch.device("cpu"))
    name = f"Genwright, {'Muon and AdamW' if muon else 'AdamW'}, {'compiled' if compiled else 'eager'}"
    return Side(name, trainer.take_step, matmul_flops(config, shape.batch, shape.context))


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
        found[side.name] = {
            "step_ms": seconds * 1000,
            "gflops": 3 * side.flops / seconds / 1e9,
            "compile_s": max(side.first_s - seconds, 0.0),
        }
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
        f"{'':>35} {'step ms':>9} {'tokens/s':>10} {'GFLOP/s':>9} {'of peak':>8} {'first step s':>13}",
    ]
    for name in rounds[0]["sides"]:
        of_side = [one["sides"][name] for one in rounds]
        step_ms = statistics.median(side["step_ms"] for side in of_side)
        gflops = statistics.median(side["gflops"] for side in of_side)
        share = statistics.median(one["sides"][name]["gflops"] / one["peak_gflops"] for one in rounds)
        tokens = shape.batch * shape.context / step_ms * 1000
        first_s = of_side[0]["compile_s"]
        rows.append(f"{name:>35} {step_ms:>9.1f} {tokens:>10,.0f} {gflops:>9.1f} {share:>8.1%} {first_s:>13.1f}")
    return [*rows, ""]


if __name__ == "__main__":
    main()
