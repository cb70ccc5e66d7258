"""Draws docs/images/architecture.svg: what each stage reads and writes, the layers, and the two protocols between them."""

from __future__ import annotations

from pathlib import Path

from genwright.pages.charts import standalone
from genwright.run import write_atomic

WIDTH, HEIGHT = 1000, 772
MONO = "ui-monospace,Menlo,Consolas,monospace"

STAGES = (
    ("collect", "counts every item", "collect/", ("ledger.parquet", "licences/")),
    ("prepare", "items become tensors", "prepare/", ("facts/", "parts/*.bin")),
    ("train", "part by part", "train/<part>/", ("plan, metrics.jsonl", "checkpoints, best")),
    ("evaluate", "against real data", "evaluate/", ("scores.json", "exhibits")),
    ("export", "loads it back", "model/", ("config, safetensors", "tokenizer, card")),
)
READS = {1: (0,), 2: (1,), 3: (1, 2), 4: (2,)}
"""Which folders a stage reads, by their places in STAGES."""


def words(x: float, y: float, text: str, *, size: float = 12.5, weight: int = 400, tone: str = "ink", anchor: str = "start", mono: bool = False) -> str:  # fmt: skip
    family = f' font-family="{MONO}"' if mono else ""
    text = text.replace("<", "&lt;").replace(">", "&gt;")
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" font-weight="{weight}" text-anchor="{anchor}" fill="var(--{tone})"{family}>{text}</text>'


def box(x: float, y: float, width: float, height: float, *, tone: str = "faint", fill: str = "card", dashed: bool = False) -> str:  # fmt: skip
    dash = ' stroke-dasharray="4 4"' if dashed else ""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="9" fill="var(--{fill})" stroke="var(--{tone})" stroke-width="1.4"{dash}/>'


def arrow(path: str, tone: str = "soft", dashed: bool = False) -> str:
    dash = ' stroke-dasharray="3 4"' if dashed else ""
    return f'<path d="{path}" fill="none" stroke="var(--{tone})" stroke-width="1.5" marker-end="url(#{tone})"{dash}/>'


def head(tone: str) -> str:
    return f'<marker id="{tone}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 .6 7.4 4 0 7.4z" fill="var(--{tone})"/></marker>'


def pipeline() -> list[str]:
    wide, gap, left, top, folders = 154, 14, 136, 62, 190
    places = [left + i * (wide + gap) for i in range(len(STAGES))]
    out = [
        words(24, 34, "Stages", size=17, weight=650),
        words(104, 34, "run(recipe, run): each reads what stood before it and writes its own folder", tone="soft"),
        words(24, top + 22, "recipe.yaml", weight=600, mono=True),
        words(24, top + 40, "sources", tone="soft"),
        arrow(f"M106 {top + 27} H{left - 5}"),
        box(left - 12, folders - 14, 5 * (wide + gap) + 7, 96, dashed=True, fill="paper"),
        words(24, folders + 10, "the run,", weight=600),
        words(24, folders + 27, "one folder", tone="soft"),
    ]
    for i, (name, does, folder, files) in enumerate(STAGES):
        x = places[i]
        out += [
            box(x, top, wide, 56, tone="tone-1"),
            words(x + 13, top + 23, name, size=14.5, weight=650),
            words(x + 13, top + 42, does, size=11.5, tone="soft"),
            arrow(f"M{x + 34} {top + 57} V{folders - 5}", "tone-1"),
            box(x, folders - 2, wide, 72),
            words(x + 13, folders + 19, folder, size=12.5, weight=600, mono=True),
            *(words(x + 13, folders + 38 + 17 * k, file, size=11.5, tone="soft") for k, file in enumerate(files)),
        ]
        for k, source in enumerate(READS.get(i, ())):
            start, end = places[source] + wide - 22, x + wide - 40 + 14 * k
            out.append(
                arrow(f"M{start} {folders - 3} C{start} {folders - 36} {end} {top + 98} {end} {top + 61}", "tone-2")
            )
    middle = folders + 110
    out += [
        arrow(f"M{places[0] + 34} {folders + 83} V{middle - 1}", "tone-2"),
        box(left - 12, middle, 3 * (wide + gap) - 5, 44, tone="tone-1"),
        words(left + 2, middle + 27, "report", size=14.5, weight=650),
        words(
            left + 66, middle + 27, "report.html, a view of all of it; measures nothing itself", size=11.5, tone="soft"
        ),
        arrow(f"M{places[4] + 34} {folders + 83} V{middle - 1}", "tone-2"),
        box(places[3] - 12, middle, 2 * (wide + gap) - 1 + 8, 44, tone="tone-1"),
        words(places[3] + 2, middle + 27, "generate", size=14.5, weight=650),
        words(places[3] + 92, middle + 27, "needs model/ and nothing else", size=11.5, tone="soft"),
        words(24, middle + 19, "writes", size=11.5, tone="tone-1"),
        words(24, middle + 36, "reads", size=11.5, tone="tone-2"),
    ]
    return out


def layers() -> list[str]:
    top, left, wide = 408, 24, 470
    out = [
        words(24, top, "Layers", size=17, weight=650),
        words(104, top, "each imports downwards only", tone="soft"),
        words(540, top, "Two machines", size=17, weight=650),
        words(692, top, "that know a protocol and nothing else", tone="soft"),
    ]
    rows = (
        ("cli, stages", "the pipeline; what a command does"),
        ("tasks", "write, draw: what an example is, sizes, scores, requests and answers"),
        ("families", "transformer, gan, vae: objective and sampler; networks are arguments"),
        ("networks", "decoder, residual networks, text encoder: tensors in, tensors out"),
    )
    contracts = {0: ("Task", "fit, encode, parts, score, answer"), 1: ("Family", "phases, loss, validate, open")}
    y = top + 18.0
    edges = []
    for i, (name, does) in enumerate(rows):
        out += [
            box(left, y, wide, 50),
            words(left + 14, y + 21, name, size=14.5, weight=650),
            words(left + 14, y + 39, does, size=11.5, tone="soft"),
        ]
        edges.append(y)
        if i in contracts:
            title, methods = contracts[i]
            out += [
                arrow(f"M{left + 34} {y + 51} V{y + 87}"),
                box(left + 64, y + 56, wide - 64, 28, tone="tone-4", dashed=True, fill="paper"),
                words(left + 78, y + 74.5, title, weight=650, tone="tone-4"),
                words(left + 138, y + 74.5, methods, size=11.5, mono=True),
            ]
            y += 90
        else:
            out.append(arrow(f"M{left + 34} {y + 51} V{y + 61}") if i < 3 else "")
            y += 63
    machines = (
        (edges[1] - 46, "trainer", ("steps any family by its phases: accumulation, clipping,", "averages, checkpoints, the clock"), "drives phases, loss", edges[1] + 68),
        (edges[2] + 20, "engine", ("steps any session: start, step, release;", "requests join and leave between steps"), "drives Session, which open() gives", edges[1] + 74),
    )  # fmt: skip
    for y, name, does, label, target in machines:
        out += [
            box(614, y, 362, 76, tone="tone-1"),
            words(630, y + 23, name, size=14.5, weight=650),
            *(words(630, y + 42 + 16 * k, line, size=11.5, tone="soft") for k, line in enumerate(does)),
            arrow(f"M613 {y + 38:g} C560 {y + 38:g} 560 {target:g} {left + wide + 6} {target:g}", "tone-4"),
            words(976, y - 8, label, size=11.5, tone="tone-4", anchor="end"),
        ]
    out += [
        words(24, HEIGHT - 20, "Beside them, importing nothing above them:", tone="soft"),
        words(344, HEIGHT - 20, "sources, media, metrics", weight=600),
        words(976, HEIGHT - 20, "held by import-linter in make check", tone="soft", anchor="end"),
    ]
    return out


def draw() -> str:
    defs = f"<defs>{''.join(head(tone) for tone in ('soft', 'tone-1', 'tone-2', 'tone-4'))}</defs>"
    body = "".join(pipeline() + layers())
    label = "The stages and the folders they read and write; the layers tasks, families and networks with the protocols Task and Family between them; the trainer and the engine, which drive families"
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{defs}{body}</svg>'
    return standalone(svg)


if __name__ == "__main__":
    write_atomic(Path(__file__).parent / "images" / "architecture.svg", draw())
