"""Four families on equal terms: one set of pictures, equal minutes, some seeds. Writes docs/families.md and its picture.

    python benchmarks/families.py [--seeds 0,1,2] [--recipes draw,draw-gan,...] [--set train.budget=2m] [--work runs/families]

Each recipe is run whole once a seed, one after the other: train alone on the machine, or its minutes are not those of the others. Stopped half
way, the same command goes on: what is finished stands in --work. With the defaults three hours on two cores. The claims that are tested are
those that surveys make: that a GAN is sharp but unstable, a VAE stable and diverse but softer, a Transformer strong but costly.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from PIL import Image

import genwright as gw
from genwright.hardware import device
from genwright.media.image import grid
from genwright.recipe import load
from genwright.run import Run, versions
from genwright.scores import ScoreSheet

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
RECIPES = ("draw", "draw-gan", "draw-vae", "draw-transformer")
SHOWN = {
    "kid": "KID ↓",
    "kid_second": "KID, second extractor ↓",
    "precision": "precision ↑",
    "recall": "recall ↑",
    "coverage": "coverage ↑",
    "variety": "variety within a word",
    "agreement": "words found again ↑",
    "sharpness": "sharpness",
    "copy_rate": "copy rate ↓",
    "judge": "a fresh judge is right ↓",
    "own_on_real": "own discriminator, on real",
    "own_on_generated": "own discriminator, on generated",
}
WORDS = ("a red heart", "a yellow face", "a flag", "a blue car")
EACH = 4
_TIMED = 8


class Trained:
    """A finished run, and what of it the score sheet does not say."""

    def __init__(self, recipe: str, seed: int, folder: Path):
        self.recipe, self.seed, self.run = recipe, seed, Run(folder)
        self.sheet = ScoreSheet.read(folder / "evaluate" / "scores.json")
        record = self.run.record("train")
        assert record is not None
        self.seconds, self.summary = record.seconds, record.summary
        self.family: str = load(self.run.recipe).family

    def score(self, metric: str, kind: str = "model") -> float | None:
        found = self.sheet.row(kind).scores.get(metric)
        return None if found is None else found.value

    def seconds_a_picture(self) -> float:
        """At the family's defaults, one request after another; the first is not counted. Kept in the run, for it takes a while."""
        kept = self.run.folder / "seconds_a_picture.json"
        if not kept.exists():
            model, times = gw.load(self.run.folder, "cpu"), list[float]()
            for seed in range(_TIMED + 1):
                start = time.perf_counter()
                model.generate(WORDS[0], seed=seed)
                times.append(time.perf_counter() - start)
            kept.write_text(json.dumps(statistics.median(times[1:])), encoding="utf-8")
        return json.loads(kept.read_text(encoding="utf-8"))


def main() -> int:
    options = arguments()
    found: dict[str, list[Trained]] = {recipe: [] for recipe in options.recipes}
    for seed in options.seeds:
        for recipe in options.recipes:
            found[recipe].append(trained(recipe, seed, options))
            print(f"{recipe}, seed {seed}: {found[recipe][-1].sheet.headline}", file=sys.stderr, flush=True)
    rows = table(found)
    about = circumstances(options)
    print("\n".join(["\t".join(row) for row in rows] + about))
    write(found, rows, about, options)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--recipes", type=lambda text: text.split(","), default=list(RECIPES))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--work", type=Path, default=Path("runs/families"))
    parser.add_argument("--name", default="families", help="of the page in docs/ and of the files in results/")
    return parser.parse_args()


def trained(recipe: str, seed: int, options: argparse.Namespace) -> Trained:
    """One run; stages that stand are skipped by the program itself."""
    folder = options.work / f"{recipe}-{seed}"
    changes = [f"--set={change}" for change in (f"train.seed={seed}", *options.overrides)]
    file = HERE.parent / "recipes" / f"{recipe}.yaml"
    command = [sys.executable, "-m", "genwright", "run", str(file), "--run-dir", str(folder), *changes]
    options.work.mkdir(parents=True, exist_ok=True)
    if not (folder / "evaluate" / "scores.json").exists():
        with (options.work / f"{recipe}-{seed}.log").open("w", encoding="utf-8") as log:
            if subprocess.run(command, stdout=log, stderr=log).returncode:
                raise SystemExit(f"{' '.join(command)} failed; see {log.name}")
    return Trained(recipe, seed, folder)


def table(found: dict[str, list[Trained]]) -> list[list[str]]:
    """A row a metric, a column a family, and real pictures; over several seeds the mean and the least and the most."""
    families = [runs[0].family for runs in found.values()]
    first = next(iter(found.values()))[0]
    rows = [["", *families, "real held-out pictures"]]
    for metric, title in SHOWN.items():
        cells = [[one.score(metric) for one in runs] for runs in found.values()]
        if any(value is not None for cell in cells for value in cell):
            rows.append([title, *map(_cell, cells), _cell([first.score(metric, "real")])])
    facts = {
        "parameters": lambda one: one.summary["parameters"],
        "training steps": lambda one: one.summary["steps"],
        "seconds of training": lambda one: one.seconds,
        "seconds a picture": Trained.seconds_a_picture,
    }
    for title, fact in facts.items():
        rows.append([title, *(_cell([fact(one) for one in runs]) for runs in found.values()), ""])
    return rows


def _cell(values: list[float | None]) -> str:
    there = [value for value in values if value is not None]
    if not there:
        return ""
    mean = _number(statistics.mean(there))
    return mean if len(there) == 1 else f"{mean} ({_number(min(there))} to {_number(max(there))})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 0.1 else f"{value:.3f}"


def claims(found: dict[str, list[Trained]]) -> list[str]:
    """What surveys say of three families, each beside the figures that bear on it."""
    by = {runs[0].family: runs for runs in found.values()}

    def mean(family: str, metric: str) -> float:
        return statistics.mean(one.score(metric) or 0.0 for one in by[family])

    def spread(family: str, metric: str) -> float:
        values = [one.score(metric) or 0.0 for one in by[family]]
        return max(values) - min(values)

    said = []
    real = next(iter(by.values()))[0].score("sharpness", "real") or 1.0
    if {"gan", "vae"} <= by.keys():
        sharp = {name: mean(name, "sharpness") / real for name in by}
        order = ", ".join(f"{name} {share:.0%}" for name, share in sorted(sharp.items(), key=lambda pair: -pair[1]))
        said.append(
            f"**A GAN is sharp, a VAE softer**: {'holds' if sharp['gan'] > sharp['vae'] else 'does not hold'}. Sharpness as a share of real pictures': {order}."
        )
        more = mean("vae", "recall") > mean("gan", "recall")
        said.append(
            f"**A VAE is diverse**: {'holds' if more else 'does not hold'} beside the GAN. Recall: "
            + ", ".join(f"{name} {mean(name, 'recall'):.2f}" for name in by)
            + "."
        )
    if "gan" in by and len(by["gan"]) > 1:
        widest = max(by, key=lambda name: spread(name, "kid"))
        said.append(
            f"**A GAN is unstable**: {'holds' if widest == 'gan' else 'does not hold'} over these seeds. Most less least KID: "
            + ", ".join(f"{name} {spread(name, 'kid'):.3f}" for name in by)
            + "."
        )
    if "transformer" in by:
        best = min(by, key=lambda name: mean(name, "kid"))
        slow = {name: statistics.mean(one.seconds_a_picture() for one in runs) for name, runs in by.items()}
        said.append(
            f"**A Transformer is strong but costly**: strong {'holds' if best == 'transformer' else 'does not hold'}, costly "
            f"{'holds' if slow['transformer'] == max(slow.values()) else 'does not hold'}. The lowest KID has the {best}; seconds a picture: "
            + ", ".join(f"{name} {seconds:.3f}" for name, seconds in slow.items())
            + "."
        )
    return said


def circumstances(options: argparse.Namespace) -> list[str]:
    return [
        f"date {time.strftime('%Y-%m-%d %H:%M %Z')}; {device.title(torch.device('cpu'))}; {platform.platform()}",
        "versions " + ", ".join(f"{name} {version}" for name, version in versions().items()),
        "command python " + " ".join(["benchmarks/families.py", *sys.argv[1:]]),
    ]


def sheet_of_pictures(found: dict[str, list[Trained]]) -> Image.Image:
    """A row a family: of each of some words the first pictures, unpicked, by the first seed's model."""
    made = [
        one.array
        for runs in found.values()
        for words in WORDS
        for one in gw.load(runs[0].run.folder, "cpu").generate(words, n=EACH, seed=0)
    ]
    return grid(made, columns=len(WORDS) * EACH, scale=2)


def write(
    found: dict[str, list[Trained]], rows: list[list[str]], about: list[str], options: argparse.Namespace
) -> None:
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    (results / f"{options.name}.txt").write_text("\n".join([*lines, "", *about]) + "\n", encoding="utf-8")
    sheets = {recipe: [one.sheet.model_dump(mode="json") for one in runs] for recipe, runs in found.items()}
    kept = {"seeds": options.seeds, "sheets": sheets}
    (results / f"{options.name}.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    if options.name != "families":
        return
    sheet_of_pictures(found).save(DOCS / "images" / "families.png", optimize=True)
    (DOCS / "families.md").write_text(page(found, rows, about, options), encoding="utf-8")


def page(found: dict[str, list[Trained]], rows: list[list[str]], about: list[str], options: argparse.Namespace) -> str:
    first = next(iter(found.values()))[0]
    budget = load(first.run.recipe).train.budget
    seeds = f"{len(options.seeds)} seeds" if len(options.seeds) > 1 else "one seed"
    names = list(rows[0][1:-1])
    marked = "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]])
    return f"""# Four families on equal terms

What a family is good for shows where all have the same: the same pictures, the same words, the same machine, {budget} each, {seeds}. This
page is written by [benchmarks/families.py](../benchmarks/families.py); the score sheets stand [beside it](../benchmarks/results/families.json).

![{len(WORDS) * EACH} pictures a row](images/families.png)

*From above: {", ".join(names)}. Four pictures each of {", ".join(f'"{words}"' for words in WORDS)}; seed 0, unpicked.*

{marked}

{"Mean, and in brackets the least and the most of the seeds. " if len(options.seeds) > 1 else ""}Lower is better where ↓ stands.
A judge that is right half of the time can't tell the pictures from real ones. How each number is measured stands in every run's report.

## What is said of them

{chr(10).join(f"- {sentence}" for sentence in claims(found))}

{chr(10).join(f"    {line}" for line in about)}
"""


if __name__ == "__main__":
    raise SystemExit(main())
