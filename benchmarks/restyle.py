"""Emoji in another artist's hand: nearer to the true drawing than the picture as it is and than its colours matched, from one run each?

    python benchmarks/restyle.py [--ways pairs,two-sets,cycle] [--set train.budget=10m] [--work runs/benchmark-restyle]

Trains `recipes/restyle.yaml` (pairs), `recipes/restyle-unpaired.yaml` (two sets, by the flow) and the same by the family `cycle`. The claim, by
way: the 95 % interval of the difference of perceptual distances, picture by picture, lies above 0 beside both rows that need no learning.
Content kept is printed beside. About 40 minutes on two idle cores. Stopped half way, the same command goes on: what is trained stands in --work.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path

import torch

from genwright.hardware import device
from genwright.run import versions
from genwright.scores import ScoreSheet, figure, span
from genwright.tasks.restyle.columns import LESSER, TRUTHS, gain

HERE = Path(__file__).parent
WAYS = {
    "pairs": ("restyle", ()),
    "two-sets": ("restyle-unpaired", ()),
    "cycle": ("restyle-unpaired", ("model.family=cycle",)),
}
STAGES = ("collect", "prepare", "train", "evaluate")
SHOWN = ("perceptual", "pixels", "content", "kid", "sharpness", "judge")


def main() -> int:
    options = arguments()
    sheets: dict[str, ScoreSheet] = {}
    for way in options.ways:
        sheets[way] = trained(way, options)
        print(f"{way}: {sheets[way].headline}", file=sys.stderr, flush=True)
    report = "\n".join(lines(sheets))
    print(report)
    options.results.mkdir(exist_ok=True)
    (options.results / "restyle.txt").write_text(report + "\n", encoding="utf-8")
    kept = {way: sheet.model_dump(mode="json") for way, sheet in sheets.items()}
    (options.results / "restyle.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0 if all(holds(sheet) for sheet in sheets.values()) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", type=lambda text: text.split(","), default=list(WAYS))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-restyle"))
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args()
    if unknown := set(options.ways) - set(WAYS):
        parser.error(f"there is no way {min(unknown)}; choose from {', '.join(WAYS)}")
    return options


def trained(way: str, options: argparse.Namespace) -> ScoreSheet:
    """The score sheet of one run; its stages are skipped where they stand."""
    name, own = WAYS[way]
    folder = options.work / way
    changes = [f"--set={change}" for change in (*own, *options.overrides)]
    for stage in STAGES:
        program = [sys.executable, "-m", "genwright", stage, str(HERE.parent / "recipes" / f"{name}.yaml")]
        if subprocess.run([*program, "--run-dir", str(folder), *changes], stdout=subprocess.DEVNULL).returncode:
            raise SystemExit(f"{way}: `{stage}` failed; see {folder / 'log.txt'}")
    return ScoreSheet.read(folder / "evaluate" / "scores.json")


def holds(sheet: ScoreSheet) -> bool:
    found = [sheet.score("model", gain("perceptual", row)) for row in LESSER]
    return all(one is not None and one.low is not None and one.low > 0 for one in found)


def lines(sheets: dict[str, ScoreSheet]) -> list[str]:
    table = []
    for way, sheet in sheets.items():
        table.append(f"{way:<12}" + "".join(f"{name:>12}" for name in SHOWN))
        for row in sheet.rows:
            cells = [sheet.score(row.name, name) for name in SHOWN]
            table.append(
                f"{row.name:<12}" + "".join(f"{'' if one is None else figure(one.value):>12}" for one in cells)
            )
        for name in TRUTHS:
            for row, title in LESSER.items():
                ahead = sheet.score("model", gain(name, row))
                if ahead is not None:
                    between = span(ahead.low, ahead.high)
                    table.append(
                        f"  nearer than {title} by {figure(ahead.value)} ({between}) of the {name} distance, n {ahead.n}"
                    )
        table += ["  holds" if holds(sheet) else "  DOES NOT HOLD", "  " + sheet.headline, ""]
    first = next(iter(sheets.values()))
    return [
        *table,
        *(f"{metric.name}: {metric.title}" for metric in first.metrics if metric.name in SHOWN),
        "protocol " + json.dumps(first.protocol, ensure_ascii=False),
        f"date {time.strftime('%Y-%m-%d %H:%M %Z')}; {device.title(torch.device('cpu'))}; {platform.platform()}",
        "versions " + ", ".join(f"{name} {version}" for name, version in versions().items()),
        "command python " + " ".join(["benchmarks/restyle.py", *sys.argv[1:]]),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
