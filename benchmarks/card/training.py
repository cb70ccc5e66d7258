"""Training speed beside nanoGPT, both compiled, as a share of a product measured in the same round; and that a model of 1B trains.

The sides take turns, three rounds; medians are printed. A step is all that training does: the batch, forward, backward, clipping,
optimizer. Operations are the matrix products of the forward pass times three, causal attention counted half, for both sides alike.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nanogpt_ours import OneText
from nanogpt_peer import module_of
from torch import Tensor, nn

from card import common
from card.common import row
from genwright.families.transformer.family import OPTIMIZER, Transformer
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.tasks.packing import Packed
from genwright.training.base import Settings
from genwright.training.precision import Precision
from genwright.training.profiling.peaks import product_rate
from genwright.training.trainer import Trainer

ROUNDS = 3
BILLION_STEPS = 200
_BILLION_SECONDS = 60.0


@dataclass(frozen=True)
class Shape:
    name: str
    layers: int
    heads: int
    width: int
    context: int = 1024
    rows: int = 32
    vocabulary: int = 50304

    @property
    def tokens(self) -> int:
        return self.rows * self.context

    @property
    def flops(self) -> float:
        """Of a training step."""
        weights = self.layers * 12 * self.width**2 + self.vocabulary * self.width
        return 6.0 * (weights + self.layers * self.context * self.width) * self.tokens


SHAPES = (Shape("124M", 12, 12, 768), Shape("350M", 24, 16, 1024, rows=16))
BILLION = Shape("1B", 20, 16, 2048, rows=8)
SMALL = Shape("small", 2, 2, 64, 64, 4, 512)


@dataclass
class Side:
    name: str
    step: Callable[[], Any]
    settings: dict[str, Any]


def rows(options: Any) -> Iterator[dict[str, Any]]:
    if options.small:
        yield from compared(SMALL, options, muon=(True,))
        yield from trains(dataclasses.replace(SMALL, name="1B (small)"), options, 5)
        return
    yield from compared(SHAPES[0], options, muon=(False, True))
    yield from trains(BILLION, options, BILLION_STEPS)
    yield from compared(SHAPES[1], options, muon=(True,))


def computed_in() -> Precision:
    return "bf16" if common.device().type == "cuda" else "fp32"


def compared(shape: Shape, options: Any, muon: tuple[bool, ...]) -> Iterator[dict[str, Any]]:
    data = np.random.default_rng(0).integers(0, shape.vocabulary, 60 * shape.tokens)
    sides = [genwright(shape, data, by_muon, options.small) for by_muon in muon]
    if options.nanogpt is not None:
        sides.insert(0, nanogpt(options.nanogpt, shape, data, options.small))
    first = {side.name: common.first_step(side.step) for side in sides}
    peaks, times = [], {side.name: list[float]() for side in sides}
    for _ in range(ROUNDS):
        peaks.append(product_rate(common.device(), computed_in()))
        for side in sides:
            times[side.name].append(common.seconds_of_steps(side.step, 2 if options.small else 10))
    yield row(f"{shape.name}: the product", statistics.median(peaks) / 1e12, "TFLOP/s")
    rate = {name: shape.tokens / statistics.median(found) for name, found in times.items()}
    of_peak = {name: rate[name] / shape.tokens * shape.flops / statistics.median(peaks) for name in rate}
    peer = "nanoGPT" if "nanoGPT" in rate else None
    for side in sides:
        ours = side.name != "nanoGPT"
        beside = (rate[peer], of_peak[peer]) if ours and peer else (None, None)
        goals = goals_of(shape, side, beside[0]) if not options.small else (None, None)
        detail = {"ms": 1e3 * shape.tokens / rate[side.name], "first_step_s": first[side.name], **side.settings}
        yield row(f"{shape.name}, {side.name}", rate[side.name], "tokens/s", beside[0], goals[0], **detail)
        yield row(f"{shape.name}, {side.name}: share of the product", of_peak[side.name], "share", beside[1], goals[1])
    for side in sides:
        yield common.share(f"{shape.name}, {side.name}", side.step, shape.flops, computed_in())
    sides.clear()
    common.free()


def goals_of(shape: Shape, side: Side, peer: float | None) -> tuple[float | None, float | None]:
    """Of tokens a second and of the share."""
    if side.name != "Genwright, Muon":
        return None, None
    if shape.name == "124M":
        return (1.15 * peer if peer else None), 0.58
    return None, 0.55


def genwright(shape: Shape, data: np.ndarray, by_muon: bool, small: bool) -> Side:
    config = DecoderConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=round(shape.width * 8 / 3 / 128) * 128 or 128,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        head_dim=shape.width // shape.heads,
        max_position_embeddings=shape.context,
    )
    torch.manual_seed(0)
    spec = OPTIMIZER if by_muon else dataclasses.replace(OPTIMIZER, matrix_learning_rate=None, learning_rate=6e-4)
    settings = Settings(steps=10**6, batch=shape.rows, compile=not small, precision=computed_in())
    batches = Packed(OneText(data), shape.context, 0, 0, "model", training=True)
    trainer = Trainer(Transformer(Decoder(config), None, spec), batches, settings, common.device())
    said = {name: value for name, value in settings.model_dump().items() if name in ("precision", "compile", "deterministic")}  # fmt: skip
    return Side(f"Genwright, {'Muon' if by_muon else 'AdamW'}", trainer.take_step, said)


def nanogpt(checkout: Path, shape: Shape, data: np.ndarray, small: bool) -> Side:
    """Its own model.py and optimizer, stepped as its train.py does on a card: TF32 allowed, autocast to bf16, compiled."""
    module, device = module_of(checkout), common.device()
    sizes = {"n_layer": shape.layers, "n_head": shape.heads, "n_embd": shape.width, "block_size": shape.context}
    torch.manual_seed(1337)
    raw = module.GPT(module.GPTConfig(**sizes, vocab_size=shape.vocabulary, bias=False, dropout=0.0)).to(device)
    optimizer = raw.configure_optimizers(0.1, 6e-4, (0.9, 0.95), device.type)
    model = raw if small else torch.compile(raw)

    def batch() -> tuple[Tensor, Tensor]:
        starts = torch.randint(len(data) - shape.context, (shape.rows,))
        x, y = (torch.stack([torch.from_numpy(data[i + k : i + k + shape.context]) for i in starts]) for k in (0, 1))
        if device.type == "cuda":
            return x.pin_memory().to(device, non_blocking=True), y.pin_memory().to(device, non_blocking=True)
        return x, y

    def step() -> None:
        torch.backends.cuda.matmul.allow_tf32 = True
        x, y = batch()
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = model(x, y)[1]
        loss.backward()
        nn.utils.clip_grad_norm_(raw.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        torch.backends.cuda.matmul.allow_tf32 = False

    return Side("nanoGPT", step, {"compile": not small})


def trains(shape: Shape, options: Any, steps: int) -> Iterator[dict[str, Any]]:
    """So many steps of our default training, or as many as a minute has: is the loss a finite number to the end?"""
    data = np.random.default_rng(0).integers(0, shape.vocabulary, 60 * shape.tokens)
    side = genwright(shape, data, True, options.small)
    trainer: Trainer = side.step.__self__  # type: ignore[attr-defined]
    first = common.first_step(side.step)
    until = time.time() + min(_BILLION_SECONDS, common.left(options) * 0.5)
    while trainer.step < steps and time.time() < until:
        trainer.take_step()
    losses = trainer.window.means()
    seconds = common.seconds_of_steps(side.step, 3)
    fine = all(map(math.isfinite, losses.values()))
    parameters = sum(p.numel() for p in trainer.family.modules.parameters())
    yield row(f"{shape.name}: steps with a finite loss", trainer.step - 3 if fine else 0, "steps", goal=steps, parameters=parameters, loss=losses["model/loss"], first_step_s=first, **side.settings)  # fmt: skip
    yield row(f"{shape.name}", shape.tokens / seconds, "tokens/s", ms=seconds * 1e3)
    peak = product_rate(common.device(), computed_in())
    yield row(f"{shape.name}: share of the product", shape.flops / seconds / peak, "share")
    if torch.cuda.is_available():
        yield row(f"{shape.name}: memory", torch.cuda.max_memory_reserved() / 2**30, "GiB")
    del side, trainer
    common.free()
