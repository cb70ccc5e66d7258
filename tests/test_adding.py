"""docs/adding.md, proved: a source, a metric, a family and a task from outside the package, each run end to end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genwright import api, recipe
from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.registry import FAMILIES, METRICS, SOURCES, TASKS, Entry, Registry
from genwright.run import Run
from genwright.stages.pipeline import Options, run_stages
from genwright.tasks.image.networks import Drawn, networks_of

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
        (FAMILIES, "straight", Entry("straight:Straight", "straight_options")),
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
    run_stages(chosen, run, Options(device="cpu", anyway=True))
    made = "".join(media.data for media in api.load(run.folder).generate(n=3, seed=1, max_tokens=20))
    assert made
    assert (run.folder / "report.html").exists()
    summary = run.record("collect")
    assert summary is not None


def test_a_family_and_a_metric_from_outside(registered: None, tmp_path: Path) -> None:
    text = f"task: draw\n{PICTURES}\nmodel: {{family: gaussian, size: 16}}\ntrain: {{budget: 80 steps, batch: 16}}\nevaluate: {{samples: 16}}\n"
    chosen = recipe.parse(text, folder=tmp_path)
    run = Run(tmp_path / "run")
    run_stages(chosen, run, Options(device="cpu", anyway=True))
    generator = api.load(run.folder)
    sheet = generator.scores
    assert "ink" in {metric.name for metric in sheet.metrics}
    model, real = sheet.row("model").scores["ink"].value, sheet.row("real").scores["ink"].value
    assert abs(model - real) < 0.2
    pictures = list(generator.generate("a red heart", n=2, spread=0.0))
    assert pictures[0].data.size == (16, 16)
    assert pictures[0].data.tobytes() == pictures[1].data.tobytes(), "without spread every picture is the mean picture"


def test_a_family_is_refused_for_a_task_it_cannot_do(registered: None, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="can't do write"):
        recipe.parse("task: write\ndata: {sources: [{folder: x}]}\nmodel: {family: gaussian}\n", folder=tmp_path)


def test_a_family_that_draws_in_several_steps(
    registered: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Previews, scores, exhibits and answers go by the engine, so a sampler of many steps is one like any other."""
    text = f"task: draw\n{PICTURES}\nmodel: {{family: straight, size: 16}}\ntrain: {{budget: 150 steps, batch: 16, previews: 5}}\nevaluate: {{samples: 20}}\n"
    run = Run(tmp_path / "run")
    monkeypatch.setattr("genwright.tasks.image.judges.STEPS", 20)  # the judge is not what is tested here
    run_stages(recipe.parse(text, folder=tmp_path), run, Options(device="cpu", anyway=True))
    assert (run.stage("train") / "model" / "previews" / "step-00000030.png").exists()
    generator = api.load(run.folder)
    model, real = (generator.scores.row(kind).scores for kind in ("model", "real"))
    assert {"kid", "own_pairs"} & set(model) == {"kid"}
    assert abs(model["ink"].value - real["ink"].value) < 0.2
    shown = {exhibit.name: exhibit.file for exhibit in generator.scores.exhibits}
    assert {"samples", "beside_real", "nearest", "interpolation"} <= set(shown) and "reconstruction" not in shown
    strips = np.asarray(Image.open(run.stage("evaluate") / shown["interpolation"]).convert("RGB"), int)
    assert strips.std() > 10

    together = [np.asarray(media.data, int) for media in generator.generate("a red heart", n=20, seed=3)]
    (alone,) = (np.asarray(media.data, int) for media in generator.generate("a red heart", seed=3))
    assert np.abs(together[0] - alone).max() <= 1 and together[0].shape == (16, 16, 3)
    assert len({picture.tobytes() for picture in together}) == 20
    (one,) = (np.asarray(media.data, int) for media in generator.generate("a red heart", seed=3, steps=1))
    assert np.abs(one - alone).max() > 1, "one step is not where eight lead"
    with pytest.raises(RequestError, match=r"`weights`: .*this model has no such option, leave it out"):
        api.load(run.folder, weights="int8")


def test_requests_of_many_steps_and_of_few_share_a_batch(registered: None) -> None:
    torch.manual_seed(0)
    options = FAMILIES["straight"].load_options()
    built = networks_of("straight").build(Drawn(16, "none", 1), {"hidden": 16, "condition_width": 8})
    session = FAMILIES["straight"].load()(**built, settings=options.Settings()).open(4, options.Opening())
    passes = []
    built["goal"].register_forward_pre_hook(lambda _, given: passes.append(len(given[0])))

    def start(index: int, steps: int):
        given, rng = {"condition": torch.zeros(1, dtype=torch.int64)}, torch.Generator().manual_seed(index)
        return lambda s: s.start(given, rng, options.Controls(steps=steps))

    engine = Engine()
    outputs = [engine.submit(session, start(index, steps)) for index, steps in enumerate((2, 5, 3))]
    together = [list(output) for output in outputs]
    assert [len(made) for made in together] == [1, 1, 1] and passes == [3, 3, 2, 1, 1]
    for index, steps in enumerate((2, 5, 3)):
        (alone,) = Engine().submit(session, start(index, steps))
        torch.testing.assert_close(together[index][0], alone)
