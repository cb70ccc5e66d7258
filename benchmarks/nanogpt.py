"""Time to nanoGPT's final validation loss: nanoGPT's CPU recipe beside ours, on one machine, in one run, round by round.

    python benchmarks/nanogpt.py --nanogpt PATH_OF_A_CHECKOUT [--rounds 3]

Each round trains nanoGPT by its own train.py as its README says for a CPU, then our recipe for a number of steps fixed in
advance, each in a fresh process; ours must end at or below nanoGPT's loss of the same round. Both are measured on the whole
validation split with a context of 64, outside both clocks. Ours compiles with an empty cache every time; that time stands in a
column of its own. About two and a half minutes a round on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
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
from nanogpt_text import load_text, split, tokens_of

from genwright.hardware import device
from genwright.run import versions

HERE = Path(__file__).parent


def main() -> None:
    options = arguments()
    checkout = peer.check(options.nanogpt)
    tokens, alphabet = tokens_of(load_text())
    train, validation = split(tokens)
    rounds: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data.npz"
        np.savez(data, train=train, validation=validation, vocabulary=len(alphabet))
        for number in range(options.rounds):
            rounds.append(
                {
                    "nanogpt": run_peer(checkout, Path(scratch), train, validation, alphabet),
                    "genwright": run_ours(data, number),
                }
            )
            print(line(f"{number + 1}", rounds[-1]), flush=True)
    report = "\n".join(lines(rounds))
    print("\n" + report)
    write(report, rounds, options.results)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nanogpt", type=Path, help=peer.HOW_TO_GET_IT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    return parser.parse_args()


def run_peer(
    checkout: Path, scratch: Path, train: np.ndarray, validation: np.ndarray, alphabet: list[str]
) -> dict[str, Any]:
    work = scratch / "nanogpt"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(checkout, work, ignore=shutil.ignore_patterns(".git", "out*", "data"))
    peer.write_data(work / "data" / "shakespeare_char", train, validation, alphabet)
    result = peer.train(checkout, work)
    model = peer.load_model(checkout, work / "out" / "ckpt.pt")
    return {**result, "loss": peer.loss_of(model, validation), "parameters": peer.parameters_of(model)}


def run_ours(data: Path, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as cold:
        done = subprocess.run(
            [sys.executable, str(HERE / "nanogpt_ours.py"), str(data), str(seed)],
            capture_output=True,
            text=True,
            env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": cold},
        )
    if done.returncode:
        raise SystemExit(f"our side failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def line(name: str, one: dict[str, Any]) -> str:
    theirs, ours = one["nanogpt"], one["genwright"]
    ratio, with_compile = ratios(one)
    reached = "yes" if ours["loss"] <= theirs["loss"] else "NO"
    return (
        f"{name:>7} {theirs['loss']:>9.4f} {theirs['seconds']:>9.1f} {theirs['step_ms']:>8.1f} {ours['loss']:>9.4f} "
        f"{ours['seconds']:>9.1f} {ours['compile_s']:>9.1f} {ours['step_ms']:>8.1f} {reached:>8} {ratio:>7.2f}x {with_compile:>9.2f}x"
    )


def ratios(one: dict[str, Any]) -> tuple[float, float]:
    """How many times sooner, without and with the time to compile."""
    ours = one["genwright"]
    theirs_s = one["nanogpt"]["seconds"]
    return theirs_s / ours["seconds"], theirs_s / (ours["seconds"] + ours["compile_s"])


def lines(rounds: list[dict[str, Any]]) -> list[str]:
    first = rounds[0]
    median = {
        side: {key: statistics.median(one[side][key] for one in rounds) for key in keys}
        for side, keys in {
            "nanogpt": ("loss", "seconds", "step_ms"),
            "genwright": ("loss", "seconds", "compile_s", "step_ms"),
        }.items()
    }
    head = (
        f"{'round':>7} {'loss':>9} {'train s':>9} {'step ms':>8} {'loss':>9} {'train s':>9} {'compile s':>9} {'step ms':>8} "
        f"{'reached':>8} {'sooner':>8} {'+compile':>10}"
    )
    each = [ratios(one) for one in rounds]
    return [
        f"nanoGPT: {first['nanogpt']['parameters']:,} parameters (without its position embedding), {first['nanogpt']['steps']} steps; "
        f"Genwright: {first['genwright']['parameters']:,} parameters, {first['genwright']['steps']} steps of {first['genwright']['recipe']['batch']} windows",
        f"{'':>7} {'nanoGPT':>28} {'Genwright':>38}",
        head,
        *(line(str(number + 1), one) for number, one in enumerate(rounds)),
        line("median", median),
        f"median of the rounds' ratios: {statistics.median(r for r, _ in each):.2f}x sooner, "
        f"{statistics.median(c for _, c in each):.2f}x with the time to compile",
        f"date {time.strftime('%Y-%m-%d %H:%M %Z')}; {device.title(torch.device('cpu'))}; {platform.platform()}",
        "versions " + ", ".join(f"{name} {version}" for name, version in versions().items()),
        "command " + peer.command("nanogpt.py"),
    ]


def write(report: str, rounds: list[dict[str, Any]], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "nanogpt.txt").write_text(report + "\n", encoding="utf-8")
    (folder / "nanogpt.json").write_text(json.dumps(rounds, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
