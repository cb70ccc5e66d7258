"""nanoGPT's side of the benchmarks: its own train.py, run as its README says for a CPU, and read from what it prints."""

from __future__ import annotations

import importlib.util
import pickle
import re
import statistics
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from nanogpt_text import validation_loss

STEPS = 2000
README_COMMAND = (
    "config/train_shakespeare_char.py --device=cpu --compile=False --eval_iters=20 --log_interval=1 --block_size=64 "
    "--batch_size=12 --n_layer=4 --n_head=4 --n_embd=128 --max_iters=2000 --lr_decay_iters=2000 --dropout=0.0"
)
HOW_TO_GET_IT = "git clone https://github.com/karpathy/nanoGPT, and name the folder with --nanogpt."

_ITERATION = re.compile(r"^iter (\d+): loss [\d.]+, time ([\d.]+)ms", re.MULTILINE)


def check(checkout: Path | None) -> Path:
    if checkout is None or not (checkout / "train.py").exists() or not (checkout / "model.py").exists():
        raise SystemExit(f"{checkout or 'nanoGPT'}: no checkout of nanoGPT; {HOW_TO_GET_IT}")
    return checkout.resolve()


def command(script: str) -> str:
    """How the benchmark was called, for its record; of a path only the name, so that no machine's folders stand in it."""
    return " ".join(["python", f"benchmarks/{script}", *(Path(word).name for word in sys.argv[1:])])


def write_data(folder: Path, train: np.ndarray, validation: np.ndarray, alphabet: list[str]) -> None:
    """train.bin, val.bin and meta.pkl, as its data/shakespeare_char/prepare.py writes them (meta.pkl is its format, not ours)."""
    folder.mkdir(parents=True)
    train.tofile(folder / "train.bin")
    validation.tofile(folder / "val.bin")
    meta = {
        "vocab_size": len(alphabet),
        "itos": dict(enumerate(alphabet)),
        "stoi": {c: i for i, c in enumerate(alphabet)},
    }
    (folder / "meta.pkl").write_bytes(pickle.dumps(meta))


def train(checkout: Path, work: Path) -> dict[str, Any]:
    """Run its recipe in `work` (a copy that has the data); seconds of 2,000 steps without its evaluations.

    Evaluation is set to its first and last step only, so that two steps' times contain one: they count as the median step.
    """
    command = [sys.executable, "train.py", *README_COMMAND.split()]
    command += [f"--eval_interval={STEPS}", "--always_save_checkpoint=True", f"--out_dir={work / 'out'}"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"nanoGPT's train.py failed:\n{done.stderr[-2000:]}")
    times_ms = {int(step): float(ms) for step, ms in _ITERATION.findall(done.stdout)}
    clean = [ms for step, ms in times_ms.items() if 0 < step < STEPS]
    median = statistics.median(clean)
    return {"seconds": (sum(clean) + median) / 1000, "step_ms": median, "steps": STEPS}


def load_model(checkout: Path, checkpoint: Path) -> torch.nn.Module:
    """The network of its checkpoint, built by its own model.py."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    module = module_of(checkout)
    model = module.GPT(module.GPTConfig(**content["model_args"]))
    model.load_state_dict(content["model"])
    return model.eval()


def module_of(checkout: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("nanogpt_model", checkout / "model.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["nanogpt_model"] = module
    spec.loader.exec_module(module)
    return module


def loss_of(model: torch.nn.Module, validation: np.ndarray) -> float:
    # Its forward gives logits of every position only when it is handed targets.
    return validation_loss(lambda tokens: model(tokens, tokens)[0], validation)


def parameters_of(model: torch.nn.Module) -> int:
    """As it counts them itself: without the position embedding."""
    count: Any = model.get_num_params
    return count()
