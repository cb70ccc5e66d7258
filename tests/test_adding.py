"""docs/adding.md, proved: a source, a metric, a family and a task from outside the package, each run end to end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from genwright import api, recipe
from genwright.registry import FAMILIES, METRICS, SOURCES, TASKS, Entry, Registry
from genwright.run import Run
from genwright.stages.pipeline import Options, run_stages

HERE = Path(__file__).parent
PICTURES = f"""
data:
  sources:
    - folder: {HERE / "assets" / "pictures"}
      join: {{table: emoji.jsonl, path: "{{image}}", text: "{{text}}"}}
"""
NAMES = [
    "anna",
    "berta",
    "clara",
    "dora",
    "emma",
    "frieda",
    "greta",
    "hanna",
    "ida",
    "jutta",
    "karla",
    "lena",
    "mina",
    "nora",
]


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(HERE / "outside"))
    added: list[tuple[Registry, str, Entry]] = [
        (SOURCES, "lines", Entry("lines:LinesSource")),
        (METRICS, "ink", Entry("ink:Ink")),
        (FAMILIES, "gaussian", Entry("gaussian:Gaussian", "gaussian_options")),
        (TASKS, "names", Entry("names:Names", "names_options")),
    ]
    for registry, name, entry in added:
        registry.register(name, entry)
    yield
    for registry, name, _ in added:
        registry.unregister(name)


def test_a_name_is_registered_once(registered: None) -> None:
    with pytest.raises(ValueError, match="already"):
        SOURCES.register("lines", Entry("lines:LinesSource"))


def test_a_source_and_a_task_from_outside(registered: None, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\n".join(f"{a}-{b}" for a in NAMES for b in NAMES), encoding="utf-8")
    text = "task: names\ndata: {sources: [{lines: names.txt}]}\nmodel: {layers: 1, width: 32, context: 16}\ntrain: {budget: 60 steps}\n"
    chosen = recipe.parse(text, folder=tmp_path)
    run = Run(tmp_path / "run")
    run_stages(chosen, run, Options(device="cpu"))
    made = "".join(media.data for media in api.load(run.folder).generate(n=3, seed=1, max_tokens=20))
    assert made
    assert (run.folder / "report.html").exists()
    summary = run.record("collect")
    assert summary is not None


def test_a_family_and_a_metric_from_outside(registered: None, tmp_path: Path) -> None:
    text = f"task: draw\n{PICTURES}\nmodel: {{family: gaussian, size: 16}}\ntrain: {{budget: 80 steps, batch: 16}}\nevaluate: {{samples: 16}}\n"
    chosen = recipe.parse(text, folder=tmp_path)
    run = Run(tmp_path / "run")
    run_stages(chosen, run, Options(device="cpu"))
    generator = api.load(run.folder)
    sheet = generator.scores
    assert "ink" in {metric.name for metric in sheet.metrics}
    model, real = sheet.row("model").scores["ink"].value, sheet.row("real").scores["ink"].value
    assert abs(model - real) < 0.2
    pictures = list(generator.generate("a red heart", n=2, spread=0.0))
    assert pictures[0].data.size == (16, 16)
    assert pictures[0].data.tobytes() == pictures[1].data.tobytes(), "without spread every picture is the mean picture"


def test_a_family_is_refused_for_a_task_it_cannot_do(registered: None, tmp_path: Path) -> None:
    from genwright.errors import RequestError

    with pytest.raises(RequestError, match="can't do write"):
        recipe.parse("task: write\ndata: {sources: [{folder: x}]}\nmodel: {family: gaussian}\n", folder=tmp_path)
