"""The exported model: loads by itself, does what the trained one does, and its card tells the truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from genwright import ledger, recipe
from genwright import model_folder as model
from genwright.cli.runs import runs
from genwright.engine.engine import Engine
from genwright.errors import RequestError, WorkError
from genwright.exporters.formats import export_as
from genwright.request import request_class
from genwright.rights.duties import duties
from genwright.run import Run
from genwright.stages.collect.account import read_data
from genwright.stages.export import card
from genwright.stages.export import stage as export
from genwright.stages.pipeline import Options, run_stages
from genwright.stages.report import stage as report
from genwright.stages.report.training import read_training
from genwright.stages.train.stage import load_trained
from genwright.tasks.write import options
from helpers.example_run import ASSETS, SECRET, draw_run

PICTURES = {"folder": str(ASSETS / "pictures"), "join": {"table": "emoji.jsonl", "path": "{image}", "text": "{text}"}}
SHORT = {"budget": "3 steps", "batch": 4, "previews": 1, "validate_times": 1}
RECIPES: dict[str, dict[str, Any]] = {
    "transformer": {
        "task": "write",
        "data": {"sources": [{"folder": str(ASSETS / "text")}]},
        "model": {"layers": 1, "width": 32, "context": 32},
        "train": SHORT,
    },
    "gan": {"task": "draw", "data": {"sources": [PICTURES]}, "model": {"family": "gan", "size": 16, "width": 16}, "train": SHORT},
    "vae": {"task": "draw", "data": {"sources": [PICTURES]}, "model": {"family": "vae", "size": 16, "width": 16}, "train": SHORT},
}  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=list(RECIPES))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("export") / request.param)
    made = recipe.parse(json.dumps(RECIPES[request.param]))
    run_stages(made, run, Options(device="cpu", offline=True, anyway=True), ["collect", "prepare", "train", "export"])
    return run


def answers(loaded: model.Model) -> list[Any]:
    schema = request_class(loaded.task.name, loaded.task.family)
    short = {"max_tokens": 20} if loaded.task.name == "write" else {}
    request = schema.model_validate({"prompt": "a red heart", "n": 2, "seed": 3, **short})
    return [
        made.data if isinstance(made.data, str) else made.data.tobytes()
        for made in loaded.task.answer(loaded, request, Engine())
    ]


def test_the_folder_alone_answers_as_the_trained_model_does(exported: Run, tmp_path: Path):
    trained = load_trained(exported, CPU)
    elsewhere = tmp_path / "handed over"
    exported.stage("export").rename(elsewhere)
    try:
        assert answers(model.load(elsewhere, CPU)) == answers(trained)
    finally:
        elsewhere.rename(exported.stage("export"))


def test_what_was_written_is_recorded(exported: Run):
    record = exported.record("export")
    assert record is not None
    folder = exported.stage("export")
    assert record.summary["bytes"] == sum(f.stat().st_size for f in folder.iterdir())
    assert {"config.json", "model.safetensors"} <= set(record.summary["files"])
    assert "genwright" in record.summary["compared_in"]
    assert not [entry.name for entry in exported.folder.iterdir() if entry.name.startswith(".")]


def test_it_holds_no_place_of_the_machine_and_no_file_of_the_data(exported: Run):
    paths = [item.path for item in ledger.read(exported.stage("collect") / ledger.LEDGER) if item.path != "LICENSE"]
    for file in exported.stage("export").iterdir():
        content = file.read_bytes()
        for hidden in (str(ASSETS), str(exported.folder), *paths):
            assert hidden.encode() not in content, (file.name, hidden)


def test_a_weight_that_differs_is_found(exported: Run, monkeypatch: pytest.MonkeyPatch):
    right = model.load

    def wrong(folder: Path, device: torch.device) -> model.Model:
        loaded = right(folder, device)
        with torch.no_grad():
            for parameter in loaded.family.modules.parameters():
                parameter.add_(0.5)
        return loaded

    monkeypatch.setattr(model, "load", wrong)
    made = recipe.load(exported.folder / "recipe.yaml")
    before = (exported.stage("export") / "model.safetensors").read_bytes()
    with pytest.raises(WorkError, match="makes something else"):
        export.run(made, exported, task=model.build_task(made), device=CPU)
    assert (exported.stage("export") / "model.safetensors").read_bytes() == before
    assert exported.record("export") is None
    monkeypatch.undo()
    export.run(made, exported, task=model.build_task(made), device=CPU)


@pytest.mark.parametrize("exported", ["transformer"], indirect=True)
def test_a_text_model_is_a_transformers_folder(exported: Run):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = exported.stage("export")
    ours = model.load(folder, CPU)
    tokenizer, theirs = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    text = "Shall I compare thee to a summer's day?"
    tokens = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    assert tokens[0].tolist() == ours.facts.encode(text).tolist()
    assert tokenizer.decode(tokens[0]) == text
    with torch.inference_mode():
        difference = (theirs(tokens[:, :32]).logits - ours.family.modules["model"](tokens[:, :32])).abs().max()
    assert difference < 1e-4
    with torch.no_grad():
        ours.family.modules["model"].embed_tokens.weight.add_(0.01)
    with pytest.raises(WorkError, match="the logits of transformers differ"):
        export._compare_foreign(ours, folder)
    assert exported.record("export").summary["compared_in"] == ["genwright", "transformers"]  # type: ignore[union-attr]


@pytest.mark.parametrize("exported", ["gan"], indirect=True)
@pytest.mark.parametrize("form", ["hf", "gguf"])
def test_a_picture_model_has_no_such_format(exported: Run, form: str):
    with pytest.raises(RequestError, match=f"--as {form}: .* can't be written as {form}; it can be written as onnx"):
        export_as(exported.folder, form)
    assert not (exported.folder / "export").exists()


@pytest.mark.parametrize("exported", ["transformer"], indirect=True)
def test_a_transformer_of_a_task_without_texts_is_no_language_model(exported: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(options, "ABOUT", replace(options.ABOUT, medium="image", pipeline="text-to-audio"))
    with pytest.raises(RequestError, match=r"by transformer, which can't be written as gguf"):
        export_as(exported.folder, "gguf")
    loaded = model.load(exported.stage("export"), CPU)
    assert export._compare_foreign(loaded, exported.stage("export")) == []
    text = card.write(card.gather(recipe.load(exported.recipe), exported, loaded))
    assert header_of(text)["library_name"] == "genwright" and header_of(text)["pipeline_tag"] == "text-to-audio"
    assert "AutoModelForCausalLM" not in text


def test_nothing_trained_is_one_sentence(exported: Run, tmp_path: Path):
    made = recipe.load(exported.folder / "recipe.yaml")
    run = Run(tmp_path / "run")
    with pytest.raises(RequestError, match="not finished"):
        export.run(made, run, task=model.build_task(made), device=CPU)


def test_the_report_shows_what_real_stages_wrote(exported: Run):
    page = report.run(recipe.load(exported.folder / "recipe.yaml"), exported).read_text(encoding="utf-8")
    data, parts = read_data(exported), read_training(exported)
    account = ledger.account(ledger.read(exported.stage("collect") / ledger.LEDGER))
    assert data is not None and (data.offered, data.kept) == (account.offered, account.kept)
    assert [part.name for part in parts] == ["model"]
    assert (parts[0].last_step, [preview.step for preview in parts[0].previews]) == (3, [3])
    assert {"Losses", "gradient norm"} <= {curve.title for curve in parts[0].chief + parts[0].curves}
    shown = '<span class="soft">' if exported.name == "transformer" else '<img src="data:image/png'
    assert shown in parts[0].previews[0].html
    assert (
        "Nothing has been scored yet" in page and "step 3" in page and f"{account.offered:,} items were offered" in page
    )


def header_of(text: str) -> dict[str, Any]:
    return yaml.safe_load(text.split("---\n")[1])


def test_the_card_of_a_run(exported: Run):
    text = (exported.stage("export") / "README.md").read_text(encoding="utf-8")
    header = header_of(text)
    made = recipe.load(exported.folder / "recipe.yaml")
    is_text = exported.name == "transformer"
    assert header["pipeline_tag"] == ("text-generation" if is_text else "text-to-image")
    assert header["tags"] == ["genwright", made.task, exported.name]
    assert (header["library_name"] == "transformers") == is_text == ("AutoModelForCausalLM" in text)
    for shown in (made.hash(), exported.record("collect").outputs, "| steps | 3", "genwright generate ."):  # type: ignore[union-attr]
        assert shown in text
    assert "Not measured." in text
    if is_text:
        assert "Warning: the licence of 3 of 3 items is unknown" in text
    else:
        assert "| Apache-2.0 | 64 | name the authors and keep their notice |" in text


class _Scored:
    """As much of a model as the card asks for."""

    task = SimpleNamespace(medium="image")
    family = object()
    parts = ("model",)


def test_the_card_tells_scores_licences_and_protocol(tmp_path: Path):
    run = draw_run(tmp_path / "emoji")
    items = ledger.read(run.stage("collect") / ledger.LEDGER)
    for i, item in enumerate(items):
        item.licence = (None, "CC-BY-SA-4.0", "CC-BY-NC-4.0", "Apache-2.0", "My|own *licence*")[i % 5]
    ledger.write(items, run.stage("collect") / ledger.LEDGER)
    made = recipe.load(run.folder / "recipe.yaml")
    text = card.write(card.gather(made, run, _Scored()))  # type: ignore[arg-type]
    kept = {row.name: row.kept for row in read_data(run).licences}  # type: ignore[union-attr]
    for shown in (
        f"**Warning: the licence of {kept[None]:,} of 1,681 items is unknown.**",
        f"**CC-BY-SA-4.0** ({kept['CC-BY-SA-4.0']:,} items): name the authors and keep their notice, pass on under the same licence.",
        "no commercial use",
        "My\\|own \\*licence\\*",
        "| **this model** | 0.031 (0.0285 to 0.0335) | 118",
        "- extractor: EfficientNet-Lite0 (ImageNet)",
        "1,951 items were offered; 1,681 were kept and 270 dropped",
        "nine tenths of the way",
    ):
        assert shown in text, shown
    assert SECRET not in text
    metrics = header_of(text)["model-index"][0]["results"][0]["metrics"]
    assert {m["type"]: m["value"] for m in metrics}["kid"] == 0.031


def test_notices_of_packages_go_with_the_model_and_those_of_a_folder_stay(tmp_path: Path):
    run = draw_run(tmp_path / "emoji")
    folder = run.stage("collect")
    (folder / "licences").mkdir()
    listed = []
    for source, name, text in (
        ("npm:emoji@16", "a", "Copyright Google"),
        ("folder:/home/ada/diary", "b", "Copyright Ada"),
    ):
        (folder / "licences" / f"{name}.txt").write_text(text)
        listed.append({"source": source, "path": "LICENSE", "licence": "MIT", "file": f"licences/{name}.txt"})
    record = run.record("collect")
    assert record
    run.complete("collect", inputs="c", outputs="c", seconds=1, summary={**record.summary, "notices": listed})
    facts = card.gather(recipe.load(run.folder / "recipe.yaml"), run, _Scored())  # type: ignore[arg-type]
    text = card.notices_text(facts["notices"])
    assert "Copyright Google" in text and "npm:emoji@16: LICENSE" in text
    assert "Ada" not in text and "ada" not in text


@pytest.mark.parametrize(
    ("licence", "words"),
    [("CC0-1.0", ""), ("MIT", "name the authors and keep their notice"), ("CC-BY-NC-ND-4.0", "name the authors and keep their notice, no commercial use, no changed versions"),
     ("GPL-2.0-only", "name the authors and keep their notice, pass on under the same licence")],
)  # fmt: skip
def test_duties_by_licence(licence: str, words: str):
    found = duties(licence)
    assert found is not None and found.words() == words


@pytest.mark.parametrize("licence", [None, "Proprietary"])
def test_duties_of_an_unknown_licence_are_not_guessed(licence: str | None):
    assert duties(licence) is None


@pytest.mark.parametrize("exported", ["gan"], indirect=True)
def test_what_the_model_knows_is_listed_and_what_to_ask_is_written_down(
    exported: Run, capsys: pytest.CaptureFixture[str]
):
    about = json.loads((exported.stage("export") / "config.json").read_text(encoding="utf-8"))["genwright"]["about"]
    record = exported.record("export")
    assert record is not None
    captions = {
        row["text"] for row in map(json.loads, (ASSETS / "pictures" / "emoji.jsonl").read_text("utf-8").splitlines())
    }
    assert record.summary["example"]["prompt"] in captions and about["example"] == record.summary["public_example"]
    assert (exported.stage("export") / "README.md").read_text(encoding="utf-8").count("genwright generate . ") == 1
    runs("show", [exported.folder], where=exported.folder.parent, yes=False, as_json=True)
    knows = json.loads(capsys.readouterr().out)["knows"]["words"]
    assert knows == about["knows"]["words"] and knows["count"] >= len(knows["names"]) > 40 and "face" in knows["names"]
    runs("show", [exported.folder], where=exported.folder.parent, yes=False, as_json=False)
    assert f"it knows {knows['count']:,} words: face, " in capsys.readouterr().out
