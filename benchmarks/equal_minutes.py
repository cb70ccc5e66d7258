"""Bits per byte of held-out text after equal minutes: nanoGPT's CPU recipe, ours as the program chooses it, and a 5-gram.

    python benchmarks/equal_minutes.py --nanogpt PATH_OF_A_CHECKOUT [--rounds 3]

Each round trains nanoGPT by its own train.py as its README says for a CPU, then gives `genwright run` a recipe of five lines with the
same text, the same last tenth held out, and the seconds that nanoGPT took as its budget, compiling and choosing its size included.
Each model is scored on the whole held-out text in windows of its own context that overlap by half. About five minutes a round.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nanogpt_peer as peer
import numpy as np
import torch
import torch.nn.functional as F
import yaml
from nanogpt_text import CONTEXT, load_text, split, tokens_of

from genwright.hardware import device
from genwright.run import versions

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nanogpt", type=Path, help=peer.HOW_TO_GET_IT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args()
    checkout, text = peer.check(options.nanogpt), load_text()
    rounds = []
    for seed in range(options.rounds):
        with tempfile.TemporaryDirectory() as scratch:
            theirs = run_peer(checkout, Path(scratch), text)
            rounds.append({"nanogpt": theirs, **run_ours(Path(scratch), text, theirs["seconds"], seed)})
        print(line(str(seed + 1), rounds[-1]), flush=True)
    report = "\n".join(lines(rounds))
    print("\n" + report)
    (options.results / "equal_minutes.txt").write_text(report + "\n", encoding="utf-8")


def run_peer(checkout: Path, scratch: Path, text: str) -> dict[str, Any]:
    tokens, alphabet = tokens_of(text)
    train, validation = split(tokens)
    work = scratch / "nanogpt"
    shutil.copytree(checkout, work, ignore=shutil.ignore_patterns(".git", "out*", "data"))
    peer.write_data(work / "data" / "shakespeare_char", train, validation, alphabet)
    result = peer.train(checkout, work)
    model = peer.load_model(checkout, work / "out" / "ckpt.pt")
    size = len("".join(alphabet[token] for token in validation).encode())
    return {"seconds": result["seconds"], "bits": nats_of(model, validation) / size / math.log(2)}


@torch.no_grad()
def nats_of(model: torch.nn.Module, validation: np.ndarray) -> float:
    """All characters but the first, windows that overlap by half, each character from the window that gives it more context."""
    stream, half = torch.from_numpy(validation.astype(np.int64)), CONTEXT // 2
    total = _nats(model, stream[None, : CONTEXT + 1], 0)
    rows = [stream[start : start + CONTEXT + 1] for start in range(half, len(stream) - 1 - half, half)]
    whole = torch.stack([row for row in rows if len(row) == CONTEXT + 1])
    for some in whole.split(256):
        total += _nats(model, some, half)
    return total + sum(_nats(model, row[None], half) for row in rows if len(row) <= CONTEXT)


def _nats(model: torch.nn.Module, rows: torch.Tensor, new: int) -> float:
    given, target = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()
    logits = model(given, target)[0]
    return F.cross_entropy(logits[:, new:].flatten(0, 1), target[:, new:].flatten(), reduction="sum").item()


def run_ours(scratch: Path, text: str, seconds: float, seed: int) -> dict[str, Any]:
    (scratch / "text").mkdir()
    (scratch / "text" / "shakespeare.txt").write_text(text, encoding="utf-8")
    recipe = {
        "task": "write",
        "data": {"sources": [{"folder": "text"}], "split": "tail 10%"},
        "train": {"budget": f"{seconds:.0f}s", "seed": seed},
        "evaluate": {"samples": 2},
    }
    (scratch / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    command = [sys.executable, "-m", "genwright", "run", "recipe.yaml", "--run-dir", "run"]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"our side failed:\n{done.stderr[-2000:]}")
    sheet = json.loads((scratch / "run" / "evaluate" / "scores.json").read_text(encoding="utf-8"))
    trained = json.loads((scratch / "run" / "train" / "stage.json").read_text(encoding="utf-8"))
    bits = {row["kind"]: row["scores"]["bits_per_byte"]["value"] for row in sheet["rows"] if row["kind"] != "real"}
    return {
        "genwright": {"seconds": trained["seconds"], "bits": bits["model"], "size": trained["summary"]["title"]},
        "5-gram": {"bits": bits["baseline"]},
    }


def line(name: str, one: dict[str, Any]) -> str:
    theirs, ours = one["nanogpt"], one["genwright"]
    return (
        f"{name:>7} {theirs['seconds']:>10.1f} {theirs['bits']:>8.3f} {ours['seconds']:>10.1f} {ours['bits']:>8.3f} "
        f"{one['5-gram']['bits']:>8.3f}  {ours['size']}"
    )


def lines(rounds: list[dict[str, Any]]) -> list[str]:
    def median(side: str, key: str) -> float:
        return statistics.median(one[side][key] for one in rounds)

    middle = {
        side: {"seconds": median(side, "seconds"), "bits": median(side, "bits")} for side in ("nanogpt", "genwright")
    }
    middle["genwright"]["size"] = ""  # type: ignore[assignment]
    return [
        f"{'':>7} {'nanoGPT':>19} {'Genwright':>19} {'5-gram':>8}",
        f"{'round':>7} {'train s':>10} {'bits':>8} {'train s':>10} {'bits':>8} {'bits':>8}  size chosen",
        *(line(str(number + 1), one) for number, one in enumerate(rounds)),
        line("median", {**middle, "5-gram": {"bits": median("5-gram", "bits")}}),
        "bits: bits per byte of the last tenth of the text; the 5-gram is Kneser-Ney over the same tokens as Genwright's model.",
        f"date {time.strftime('%Y-%m-%d %H:%M %Z')}; {device.title(torch.device('cpu'))}",
        "versions " + ", ".join(f"{name} {version}" for name, version in versions().items()),
        "command " + peer.command("equal_minutes.py"),
    ]


if __name__ == "__main__":
    main()
