"""The demos' pictures over three seeds: are the GAN and the VAE surely better than the floor row, and do they copy?

    python benchmarks/pictures.py [--seeds 0,1,2] [--set train.budget=2m] [--work runs/benchmark-pictures]

Trains each demo recipe once a seed. The claim, by family: the mean of the KIDs plus two standard deviations lies below the
lowest KID of the floor row (mean picture of the class plus noise), and the mean copy rate lies below that of held-out pictures.
About 20 minutes on two idle cores. Stopped half way, the same command goes on: what is trained stands in --work. Collect and
prepare are done once and copied, since neither depends on family or seed.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from genwright.hardware import device
from genwright.run import versions
from genwright.scores import ScoreSheet

HERE = Path(__file__).parent
FAMILIES = ("gan", "vae")
STAGES = ("collect", "prepare", "train", "evaluate")
SHOWN = ("kid", "precision", "coverage", "copy_rate", "sharpness", "judge", "own_pairs")


def main() -> int:
    options = arguments()
    sheets: dict[str, list[ScoreSheet]] = {family: [] for family in FAMILIES}
    for seed in options.seeds:
        for family in FAMILIES:
            sheets[family].append(trained(family, seed, options))
            print(f"{family} seed {seed}: {sheets[family][-1].headline}", file=sys.stderr, flush=True)
    verdicts = {family: verdict(found) for family, found in sheets.items()}
    report = "\n".join(lines(sheets, verdicts, options))
    print(report)
    write(report, sheets, verdicts, options)
    return 0 if all(one["holds"] for one in verdicts.values()) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-pictures"))
    parser.add_argument("--results", type=Path, default=HERE / "results")
    return parser.parse_args()


def trained(family: str, seed: int, options: argparse.Namespace) -> ScoreSheet:
    """The score sheet of one run; its stages are skipped where they stand."""
    folder: Path = options.work / f"{family}-{seed}"
    share_data(folder, options.work)
    recipe = HERE.parent / "recipes" / f"demo-draw-{family}.yaml"
    changes = [f"--set={change}" for change in (f"train.seed={seed}", *options.overrides)]
    for stage in STAGES:
        command = [
            str(Path(sys.executable).with_name("genwright")),
            stage,
            str(recipe),
            "--run-dir",
            str(folder),
            *changes,
        ]
        if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
            raise SystemExit(f"{' '.join(command)} failed; see {folder / 'log.txt'}")
    return ScoreSheet.read(folder / "evaluate" / "scores.json")


def share_data(folder: Path, work: Path) -> None:
    """Take collect and prepare from a run that has them; whether they fit is checked by the stages themselves."""
    done = next((run for run in sorted(work.glob("*")) if (run / "prepare" / "stage.json").exists()), None)
    if done is None or (folder / "prepare").exists():
        return
    for stage in ("collect", "prepare"):
        shutil.copytree(done / stage, folder / stage, dirs_exist_ok=True)


def verdict(sheets: list[ScoreSheet]) -> dict[str, Any]:
    """Mean and deviation over seeds against the floor, and the copy rate against the natural one."""

    def over_seeds(kind: str, metric: str) -> list[float]:
        return [sheet.row(kind).scores[metric].value for sheet in sheets]

    kid, floor = over_seeds("model", "kid"), over_seeds("floor", "kid")
    copied, natural = (
        statistics.mean(over_seeds("model", "copy_rate")),
        statistics.mean(over_seeds("real", "copy_rate")),
    )
    mean = statistics.mean(kid)
    deviation = statistics.stdev(kid) if len(kid) > 1 else None
    upper = mean + 2 * deviation if deviation is not None else None
    return {
        "kid": kid,
        "kid_mean": mean,
        "kid_deviation": deviation,
        "kid_upper": upper,
        "floor_kid": min(floor),
        "copy_rate": copied,
        "natural_rate": natural,
        "holds": upper is not None and upper < min(floor) and copied < natural,
    }


def lines(sheets: dict[str, list[ScoreSheet]], verdicts: dict[str, Any], options: argparse.Namespace) -> list[str]:
    titles = {metric.name: metric.title for sheet in sheets["gan"] for metric in sheet.metrics}
    shown = [name for name in SHOWN if name in titles]
    head = f"{'row':<22}" + "".join(f"{name:>12}" for name in shown)
    first = sheets["gan"][0]
    table = [head]
    for kind in ("floor", "copy", "real"):
        table.append(_line(kind, [[first.row(kind).scores.get(name)] for name in shown]))
    for family, found in sheets.items():
        for seed, sheet in zip(options.seeds, found, strict=True):
            table.append(_line(f"{family}, seed {seed}", [[sheet.row("model").scores.get(name)] for name in shown]))
        table.append(
            _line(f"{family}, mean", [[sheet.row("model").scores.get(name) for sheet in found] for name in shown])
        )
    return [
        *table,
        "",
        *(_sentence(family, one) for family, one in verdicts.items()),
        "",
        *(f"{name}: {titles[name]}" for name in shown),
        "protocol " + json.dumps(first.protocol, ensure_ascii=False),
        f"date {time.strftime('%Y-%m-%d %H:%M %Z')}; {device.title(torch.device('cpu'))}; {platform.platform()}",
        "versions " + ", ".join(f"{name} {version}" for name, version in versions().items()),
        "command python " + " ".join(["benchmarks/pictures.py", *sys.argv[1:]]),
    ]


def _line(name: str, cells: list[list[Any]]) -> str:
    shown = []
    for scores in cells:
        values = [score.value for score in scores if score is not None]
        shown.append(f"{statistics.mean(values):>12.3f}" if values else f"{'':>12}")
    return f"{name:<22}" + "".join(shown)


def _sentence(family: str, one: dict[str, Any]) -> str:
    if one["kid_upper"] is None:
        return f"{family}: one seed shows no spread; the claim needs three."
    return (
        f"{family}: KID {one['kid_mean']:.3f} + 2 x {one['kid_deviation']:.3f} = {one['kid_upper']:.3f} against the floor's "
        f"{one['floor_kid']:.3f}; copy rate {one['copy_rate']:.2%} against {one['natural_rate']:.2%} of held-out pictures: "
        f"{'holds' if one['holds'] else 'DOES NOT HOLD'}"
    )


def write(
    report: str, sheets: dict[str, list[ScoreSheet]], verdicts: dict[str, Any], options: argparse.Namespace
) -> None:
    options.results.mkdir(exist_ok=True)
    (options.results / "pictures.txt").write_text(report + "\n", encoding="utf-8")
    kept = {
        "verdicts": verdicts,
        "seeds": options.seeds,
        "sheets": {family: [sheet.model_dump(mode="json") for sheet in found] for family, found in sheets.items()},
    }
    (options.results / "pictures.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
