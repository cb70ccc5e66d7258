"""Repair beside Telea's inpainting, the Navier-Stokes equations and non-local means, on held-out emoji and photographs; and a 12-megapixel photograph.

    python benchmarks/repair.py [--only emoji,photo] [--set train.budget=10m] [--work runs/benchmark-repair]

Trains recipes/repair.yaml and recipes/repair-photo.yaml, unless their runs stand in --work. The claim, by data: with half of a picture missing
the answer `mean` is 1 dB or more nearer to the true pictures than Telea's, and with noise nearer than non-local means (their strength chosen on
training pictures), the paired 95 % interval excluding 0. Then a photograph is denoised whole at 3 and 12 megapixels, and a hole of it filled: seconds and peak
memory of a process of its own, everything from its start on. Stopped half way, the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from genwright import ledger
from genwright.hardware import device
from genwright.run import Run, versions
from genwright.scores import ScoreSheet
from genwright.tasks.repair.damage import TRIALS, noisy

HERE = Path(__file__).parent
RECIPES = {"emoji": "repair", "photo": "repair-photo"}
MEASURES = ("gain", "psnr", "ssim", "perceptual", "kid")
AHEAD_DB = 1.0
PHOTOGRAPHS = {"3 megapixels": (2000, 1500), "12 megapixels": (4000, 3000)}
MOST_SECONDS = 60


def main() -> int:
    options = arguments()
    found: dict[str, Any] = {}
    lines = []
    for name in options.only:
        run = trained(name, options)
        sheet = ScoreSheet.read(run.stage("evaluate") / "scores.json")
        large = photographs(run, options.work)
        found[name] = {"claims": claims(sheet), "photographs": large, "sheet": sheet.model_dump(mode="json")}
        lines += [*table(name, sheet), "", *map(sentence, found[name]["claims"]), "", *photograph_lines(large), ""]
    lines += [
        f"date {time.strftime('%Y-%m-%d %H:%M %Z')}; {device.title(torch.device('cpu'))}; {platform.platform()}",
        "versions " + ", ".join(f"{name} {version}" for name, version in versions().items()),
        "command python " + " ".join(["benchmarks/repair.py", *sys.argv[1:]]),
    ]
    report = "\n".join(lines)
    print(report)
    options.results.mkdir(exist_ok=True)
    (options.results / "repair.txt").write_text(report + "\n", encoding="utf-8")
    (options.results / "repair.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if all(claim["holds"] for one in found.values() for claim in one["claims"]) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(RECIPES))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-repair"))
    parser.add_argument("--results", type=Path, default=HERE / "results")
    return parser.parse_args()


def genwright(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "genwright", *map(str, arguments)]


def trained(name: str, options: argparse.Namespace) -> Run:
    """The run of a recipe; its stages are skipped where they stand."""
    recipe, folder = HERE.parent / "recipes" / f"{RECIPES[name]}.yaml", options.work / name
    changes = [f"--set={change}" for change in options.overrides]
    if subprocess.run(genwright("run", recipe, "--run-dir", folder, *changes), stdout=subprocess.DEVNULL).returncode:
        raise SystemExit(f"{recipe} could not be run; see {folder / 'log.txt'}")
    return Run(folder)


def claims(sheet: ScoreSheet) -> list[dict[str, Any]]:
    """What is claimed of `mean` at half masks and at noise."""
    found = []
    for trial, least in (("half", AHEAD_DB), ("noise", 0.0)):
        title = next(metric.title for metric in sheet.metrics if metric.name == f"gain_{trial}")
        gain = sheet.score("model", f"gain_{trial}")
        holds = gain is not None and gain.low is not None and gain.value >= least and gain.low > 0
        found.append({"what": title, "least": least, "gain": gain.model_dump() if gain else None, "holds": holds})
    return found


def sentence(claim: dict[str, Any]) -> str:
    gain = claim["gain"]
    measured = f"{gain['value']:+.2f} ({gain['low']:+.2f} to {gain['high']:+.2f})" if gain else "not measured"
    return f"{claim['what']}: {measured}, claimed {claim['least']:.0f} or more: {'holds' if claim['holds'] else 'DOES NOT HOLD'}"


def table(name: str, sheet: ScoreSheet) -> list[str]:
    """A line for each damage and measure, the ways side by side."""
    rows = [row for row in sheet.rows if row.kind != "real"]
    lines = [
        f"{name}: {sheet.protocol['samples']} held-out pictures or pieces of {sheet.protocol['held_out_n']} pictures"
    ]
    lines.append(f"{'':<34}" + "".join(f"{row.name:>15}" for row in rows))
    for trial in TRIALS:
        for measure in MEASURES:
            scores = [row.scores.get(f"{measure}_{trial.name}") for row in rows]
            cells = "".join(f"{'' if score is None else f'{score.value:.3f}':>15}" for score in scores)
            lines.append(f"{f'{trial.title}, {measure}':<34}{cells}")
    return lines


def photographs(run: Run, work: Path) -> dict[str, Any]:
    """Seconds and peak memory of photographs of several sizes, denoised whole, and of a hole in the largest."""
    source, measured = photograph(run), {}
    folder = work / "photographs"
    folder.mkdir(parents=True, exist_ok=True)
    for title, size in PHOTOGRAPHS.items():
        file = folder / f"{title.replace(' ', '-')}.png"
        if not file.exists():
            image = np.asarray(source.resize(size, Image.Resampling.LANCZOS))
            Image.fromarray(noisy(image, 15, np.random.default_rng(0))).save(file, compress_level=1)
        measured[f"{title}, noise, mean"] = timed(run, file, "--fix", "noise")
        measured[f"{title}, a hole of 300 x 200, mean"] = timed(
            run, file, "--box", "900,700,300,200", "--answer", "mean"
        )
    return measured


def photograph(run: Run) -> Image.Image:
    """The largest held-out picture of the run's data."""
    held_out = [item for item in ledger.read_run(run) if item.kept and item.split == "test" and item.file]
    largest = max(held_out, key=lambda item: (item.width or 0) * (item.height or 0))
    return Image.open(str(largest.file)).convert("RGB")


def timed(run: Run, file: Path, *asked: str) -> dict[str, Any]:
    """A `genwright generate` of its own: wall-clock seconds, its start included, and its peak memory."""
    out = file.with_name(f"made-{file.stem}.png")
    started = time.monotonic()
    process = subprocess.Popen(
        genwright("generate", run.folder, file, *asked, "--out", out, "--device", "cpu"), stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{file} could not be mended")
    bytes_each = 1 if sys.platform == "darwin" else 1024
    return {"seconds": round(time.monotonic() - started, 1), "peak_bytes": used.ru_maxrss * bytes_each}


def photograph_lines(measured: dict[str, Any]) -> list[str]:
    lines = [
        f"{title:<46}{one['seconds']:>8.1f} s {one['peak_bytes'] / 1e6:>8,.0f} MB at peak"
        for title, one in measured.items()
    ]
    whole = measured["12 megapixels, noise, mean"]["seconds"]
    return [
        *lines,
        f"a 12-megapixel photograph whole under {MOST_SECONDS} s: {'holds' if whole < MOST_SECONDS else 'DOES NOT HOLD'}",
    ]


if __name__ == "__main__":
    raise SystemExit(main())
