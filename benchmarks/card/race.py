"""To the best validation loss of nanoGPT's own GPU recipe (config/train_shakespeare_char.py, 10.65 M parameters), how many times sooner?

nanoGPT's side is one whole run of its train.py as it ships, kept in results/race_nanogpt.json: made anew with --peer, which takes some
minutes. Its loss is that of the checkpoint it kept, its time that of the steps up to it. Both sides are measured by one function on the
whole validation split in windows of 256, outside both clocks. Ours trains afresh for each of a few numbers of steps; the one that gets
there soonest counts, and all are shown.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nanogpt_peer as peer
import numpy as np
import torch
import torch.nn.functional as F
from nanogpt_ours import OneText
from nanogpt_text import CHARACTERS, load_text, split, tokens_of
from torch import Tensor

from card import common
from card.common import row
from genwright.families.transformer.family import OPTIMIZER, Transformer
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.tasks.packing import Packed
from genwright.training.base import Settings
from genwright.training.precision import synchronise
from genwright.training.trainer import Trainer

KEPT = Path(__file__).resolve().parents[1] / "results" / "race_nanogpt.json"
CONTEXT, BATCH = 256, 64
STEPS = (300, 500, 800)
"""Not searched on a card so far."""
TIMES, TIMES_COLD = 3.0, 2.0
RECIPE = "config/train_shakespeare_char.py"
_ITERATION = re.compile(r"^iter (\d+): loss [\d.]+, time ([\d.]+)ms", re.MULTILINE)
_EVALUATED = re.compile(r"^step (\d+): train loss [\d.]+, val loss ([\d.]+)", re.MULTILINE)


def rows(options: Any) -> Iterator[dict[str, Any]]:
    tokens, alphabet = tokens_of(_text(options))
    train, validation = split(tokens)
    if options.peer:
        found = _peer(peer.check(options.nanogpt), train, validation, alphabet, options.small)
        if not options.small:
            KEPT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        yield row("nanoGPT: its best validation loss", found["loss"], "nats", **found)
        yield row("nanoGPT: seconds to it", found["seconds"], "s")
        return
    theirs = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else None
    if theirs is None:
        yield row(f"nanoGPT: no results/{KEPT.name}; make it with --peer", None, "")
    ours = [
        _ours(steps, train, validation, len(alphabet), options.small) for steps in ((4,) if options.small else STEPS)
    ]
    for one in ours:
        goal = theirs["loss"] if theirs and not options.small else None
        yield row(
            f"Genwright, {one['steps']} steps: validation loss", one["loss"], "nats", goal, goal, lower=True, **one
        )
        yield row(f"Genwright, {one['steps']} steps: seconds (compiling: {one['compile_s']:.1f})", one["seconds"], "s")
    there = [one for one in ours if theirs and one["loss"] <= theirs["loss"]]
    if theirs and there:
        best = min(there, key=lambda one: one["seconds"])
        yield row("sooner than nanoGPT", theirs["seconds"] / best["seconds"], "times", goal=TIMES)
        cold = best["seconds"] + best["compile_s"]
        yield row("sooner than nanoGPT, with a cold compile", theirs["seconds"] / cold, "times", goal=TIMES_COLD)


def _text(options: Any) -> str:
    """The text of nanogpt_text.py, from its package or from the files of it that --text names."""
    if options.text is None and not options.small:
        return load_text()
    files = sorted((options.text or common.ASSETS / "text").glob("*.txt"))
    text = "".join(file.read_bytes().decode("latin-1") for file in files).replace("\r", "")
    if len(text) < CHARACTERS and not options.small:
        raise ValueError(f"{options.text}: {len(text):,} characters; {CHARACTERS:,} are needed.")
    return text[: 20_000 if options.small else CHARACTERS]


def _ours(steps: int, train: np.ndarray, validation: np.ndarray, vocabulary: int, small: bool) -> dict[str, Any]:
    width, layers, heads = (32, 1, 2) if small else (384, 6, 6)
    config = DecoderConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=width * 8 // 3 // 16 * 16,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=width // heads,
        max_position_embeddings=CONTEXT,
        rope_theta=1000.0,
    )
    device = common.device()
    common.free()
    torch.manual_seed(0)
    family = Transformer(Decoder(config), None, dataclasses.replace(OPTIMIZER, weight_decay=0.1))
    batches = Packed(OneText(train), CONTEXT, 0, 0, "model", training=True)
    precision = "bf16" if device.type == "cuda" else "fp32"
    settings = Settings(steps=steps, batch=4 if small else BATCH, compile=not small, precision=precision, log_every=100)
    with tempfile.TemporaryDirectory() as cold:  # so that compiling takes what it takes
        torch._inductor.config.force_disable_caches = True
        trainer = Trainer(family, batches, settings, device)
        times = []
        del cold
        for _ in range(steps):
            start = time.perf_counter()
            trainer.take_step()
            if len(times) < 4 or trainer.step == steps:
                synchronise(device)
            times.append(time.perf_counter() - start)
    total, step_s = sum(times), statistics.median(times[4:] or times)
    # Compiling happens inside the first steps: what they took beyond the mean of the others is its time.
    mean = (total - sum(times[:4])) / max(steps - 4, 1) or step_s
    compile_s = max(0.0, sum(times[:4]) - 4 * mean)
    family.modules.eval()
    network = family.network
    loss = whole_loss(lambda x: network(x.to(device)).float(), validation)
    parameters = sum(p.numel() for p in network.parameters())
    return {
        "steps": steps,
        "loss": loss,
        "seconds": total - compile_s,
        "compile_s": compile_s,
        "parameters": parameters,
    }


@torch.no_grad()
def whole_loss(logits_of: Callable[[Tensor], Tensor], validation: np.ndarray) -> float:
    """Nats a character over the whole validation split but its first character and its last, incomplete window."""
    stream = torch.from_numpy(validation.astype(np.int64))
    whole = (len(stream) - 1) // CONTEXT * CONTEXT
    inputs, targets = stream[:whole].view(-1, CONTEXT), stream[1 : whole + 1].view(-1, CONTEXT)
    total = 0.0
    for given, target in zip(inputs.split(128), targets.split(128), strict=True):
        logits = logits_of(given)
        total += F.cross_entropy(logits.flatten(0, 1), target.to(logits.device).flatten(), reduction="sum").item()
    loss = total / whole
    assert math.isfinite(loss)
    return loss


def _peer(
    checkout: Path, train: np.ndarray, validation: np.ndarray, alphabet: list[str], small: bool
) -> dict[str, Any]:
    """Its recipe as it ships, each step's time printed; a step that evaluates first counts as the median one."""
    with common.work() as place:
        here = place / "nanogpt"
        shutil.copytree(checkout, here, ignore=shutil.ignore_patterns(".git", "out*", "data"))
        peer.write_data(here / "data" / "shakespeare_char", train, validation, alphabet)
        command = [sys.executable, "train.py", RECIPE, "--log_interval=1", f"--out_dir={place / 'out'}"]
        if small:
            command += ["--device=cpu", "--compile=False", "--max_iters=4", "--eval_interval=2", "--eval_iters=1", "--always_save_checkpoint=True", "--batch_size=2", "--n_layer=1", "--n_embd=48"]  # fmt: skip
        done = subprocess.run(command, cwd=here, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"nanoGPT's train.py failed: {done.stderr[-1000:]}")
        model = peer.load_model(here, place / "out" / "ckpt.pt").to(common.device())
        losses = {int(step): float(loss) for step, loss in _EVALUATED.findall(done.stdout) if int(step)}
        times = {int(step): float(ms) / 1e3 for step, ms in _ITERATION.findall(done.stdout)}
        best = min(losses, key=lambda step: losses[step])
        median = statistics.median(times.values())
        seconds = sum(median if step == 0 or step in losses else taken for step, taken in times.items() if step < best)
        device = common.device()
        loss = whole_loss(lambda x: model(x.to(device), x.to(device))[0].float(), validation)
        return {"loss": loss, "seconds": seconds, "steps": best, "step_ms": median * 1e3, "its_own_estimate": losses[best]}  # fmt: skip
