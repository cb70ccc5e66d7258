"""The task complete from end to end, on a slice of the standard library: recipe to report, requests, scores."""

import ast
import json

import numpy as np
import pytest

from genwright import api, ledger
from genwright.cli.app import main
from genwright.errors import RequestError
from genwright.ledger import Item
from genwright.metrics.ngrams import KneserNey
from genwright.recipe import load
from genwright.request import request_class
from genwright.run import open_run
from genwright.scores import ScoreSheet
from genwright.tasks.complete.behaviour import kept_shares, probes
from genwright.tasks.complete.holes import File, Hole, body_holes, fill_by_ngram, line_holes
from genwright.tasks.complete.nearest import Nearest
from helpers import ROOT

RECIPE = """
task: complete
data:
  sources:
    - python: stdlib
      include: ["json/**", "html/*.py", "colorsys.py", "textwrap.py", "shlex.py", "fnmatch.py", "bisect.py", "heapq.py",
                "string.py", "stat.py", "keyword.py", "token.py", "tabnanny.py", "quopri.py", "base64.py", "posixpath.py",
                "genericpath.py", "opcode.py", "reprlib.py", "contextlib.py", "sched.py", "numbers.py", "linecache.py", "copy.py"]
prepare: {vocabulary: 400, workers: 1}
model: {layers: 1, width: 32, context: 128}
train: {budget: 12 steps, batch: 4, previews: 1, validate_times: 2, compile: "off", precision: fp32}
evaluate: {samples: 6}
"""
BEFORE = "def double(x):\n\tif x:\n        return "
AFTER = "\n\n\nprint(double(2))\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("complete")
    (folder / "complete.yaml").write_text(RECIPE, encoding="utf-8")
    return api.run(folder / "complete.yaml", run_dir=folder / "run", offline=True, anyway=True), folder


def test_the_recipe_in_the_repository_is_one():
    recipe = load(ROOT / "recipes" / "complete.yaml")
    assert recipe.task == "complete" and recipe.prepare.fim_rate == 0.5


def test_every_row_of_the_sheet_is_scored_by_one_protocol(run):
    sheet = run[0].scores
    assert [row.kind for row in sheet.rows] == ["floor", "baseline", "copy", "model", "real"]
    real, floor = sheet.row("real").scores, sheet.row("floor").scores
    assert all(real[name].value == 1 for name in real)
    assert {"line_exact", "body_similarity", "parses", "behaviour_line", "behaviour_body"} <= set(real)
    assert floor["line_exact"].value == floor["body_similarity"].value == floor["behaviour_body"].value == 0
    assert sheet.row("model").scores["bits_per_byte"].value < 8
    about = sheet.protocol
    assert about["functions_looked_at"] == about["functions_qualified"] + sum(about["functions_left_out"].values())
    assert about["holes_in_functions"]["body"] + about["holes_in_functions"]["line"] > 0
    assert about["lines"] == 6 and about["bodies"] == 3
    assert any("audit hook" in wall for wall in about["sandbox"])
    assert ScoreSheet.read(run[1] / "run" / "evaluate" / "scores.json") == sheet


def test_exhibits_and_previews_show_holes(run):
    folder = run[1] / "run"
    assert (folder / "evaluate" / "lines.txt").read_text().count(">>>") >= 4
    previews = list((folder / "train").rglob("*.txt"))
    assert previews and ">>>" in previews[0].read_text(encoding="utf-8")


def test_files_are_split_whole_and_their_paths_are_relative(run):
    items = list(ledger.leaves(ledger.read(run[1] / "run" / "collect" / "ledger.parquet")))
    splits = {item.split for item in items}
    assert splits == {"train", "validation", "test"}
    assert all(item.parent is None and item.licence == "PSF-2.0" for item in items)
    assert "json/decoder.py" in {item.path for item in items}
    assert open_run(run[1] / "run").record("evaluate") is not None


# --- requests


def fill(generator, **options):
    media = list(generator.generate(**{"temperature": 0, "max_tokens": 12, **options}))
    assert media[-1].final
    return "".join(piece.data for piece in media)


def test_the_middle_alone_is_the_answer(run):
    middle = fill(run[0], prefix=BEFORE, suffix=AFTER)
    assert not middle.startswith("def double") and "print(double" not in middle and "<|" not in middle
    assert middle == fill(run[0], prefix=BEFORE, suffix=AFTER, seed=5)
    assert fill(run[0], prompt="import ") == fill(run[0], prompt="import ")


def test_files_on_both_sides_and_a_whole_file_out(run, tmp_path, capsys):
    (tmp_path / "a.py").write_bytes(BEFORE.encode())
    (tmp_path / "b.txt").write_bytes(AFTER.encode())
    given = ["--prefix-file", str(tmp_path / "a.py"), "--suffix-file", str(tmp_path / "b.txt"), "--temperature", "0"]
    arguments = ["generate", str(run[1] / "run"), *given, "--max-tokens", "12"]
    assert call(main, arguments) == 0
    middle = capsys.readouterr().out.removesuffix("\n")
    assert middle == fill(run[0], prefix=BEFORE, suffix=AFTER, path="a.py")
    assert call(main, [*arguments, "--out", str(tmp_path / "whole.py")]) == 0
    assert (tmp_path / "whole.py").read_bytes().decode() == BEFORE + middle + AFTER
    assert capsys.readouterr().out.strip() == str(tmp_path / "whole.py")
    assert call(main, [*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == middle
    (tmp_path / "many").mkdir()
    assert call(main, [*arguments, "-n", "2", "--out", str(tmp_path / "many")]) == 0
    assert [file.name for file in sorted((tmp_path / "many").iterdir())] == ["a-0000.py", "a-0001.py"]


def test_line_ends_are_those_of_the_file(run):
    before = BEFORE.replace("\n", "\r\n")
    middle = fill(run[0], prefix=before, suffix=AFTER.replace("\n", "\r\n"))
    assert middle.replace("\r\n", "\n") == fill(run[0], prefix=BEFORE, suffix=AFTER)
    assert "\n" not in middle.replace("\r\n", "")


def test_a_missing_file_and_two_prefixes_are_refused(run, tmp_path, capsys):
    folder = str(run[1] / "run")
    assert call(main, ["generate", folder, "--prefix-file", str(tmp_path / "no.py")]) == 2
    assert "--prefix-file" in capsys.readouterr().err
    assert call(main, ["generate", folder, "--prefix", "a", "--prefix-file", "b"]) == 2
    assert "either --prefix or --prefix-file" in capsys.readouterr().err


def test_files_that_are_imported_are_read_by_the_command_line(run, tmp_path, capsys):
    (tmp_path / "helper.py").write_text("def assist(value):\n    return value\n")
    given = [
        "generate",
        str(run[1] / "run"),
        "--prefix",
        BEFORE,
        "--suffix",
        AFTER,
        "--temperature",
        "0",
        "--max-tokens",
        "12",
    ]
    assert call(main, [*given, "--beside", str(tmp_path / "helper.py")]) == 0
    beside = [{"path": "helper.py", "text": (tmp_path / "helper.py").read_text()}]
    assert capsys.readouterr().out.removesuffix("\n") == fill(run[0], prefix=BEFORE, suffix=AFTER, beside=beside)
    assert call(main, [*given, "--beside", str(tmp_path / "missing.py")]) == 2
    assert "--beside" in capsys.readouterr().err


def test_a_request_that_comes_from_elsewhere_names_no_file_to_read(run):
    with pytest.raises(RequestError, match="prefix_file"):
        fill(run[0], prefix_file="/etc/hostname", suffix=AFTER)


def test_a_model_from_left_to_right_fills_no_hole(run):
    task = run[0].model.task
    plain = type(task)(task.prepare.model_copy(update={"fim_rate": 0.0}), task.model, task.family)
    request = request_class("complete", "transformer")(prefix="a", suffix="b")
    with pytest.raises(RequestError, match="left to right"):
        next(plain.answer(run[0].model, request, run[0].engine))


def call(command, arguments):
    try:
        return command(arguments) or 0
    except SystemExit as end:
        return end.code or 0


@pytest.mark.parametrize(
    ("order", "hole"),
    [
        ("psm", "<|fim_prefix|>a =<|fim_suffix|>\nb = a\n<|fim_middle|>"),
        ("spm", "<|fim_prefix|><|fim_suffix|>\nb = a\n<|fim_middle|>a ="),
        (None, "<|fim_prefix|><|fim_suffix|>\nb = a\n<|fim_middle|>a ="),
    ],
)
def test_other_programs_can_write_a_hole_by_its_marks(run, order, hole):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(run[1] / "run" / "model")
    task, model = run[0].model.task, run[0].model
    asked = {"prefix": "a = ", "suffix": "\nb = a\n", "path": "m.py", "max_tokens": 8, "order": order}
    laid = task.laid_out(model, request_class("complete", "transformer")(**asked))
    assert theirs(f"<|endoftext|><|file_sep|>m.py\n{hole}", add_special_tokens=False).input_ids == laid.tokens


# --- the split, holes and baselines


def test_a_near_duplicate_follows_the_one_that_has_a_split():
    task = new_task()
    text = "\n".join(f"def f{i}(x): return x + {i}" for i in range(60))
    items = [
        Item(id="a", source="s", path="a.py", sha256="A", fields={"text": text}),
        Item(id="b", source="s", path="b.py", sha256="B", fields={"text": text + "\ny = 1\n"}),
        Item(id="c", source="s", path="c.py", sha256="C", fields={"text": "unlike\n" * 50}),
    ]
    assert task.group_keys(items, known={}) == ["A", "A", "C"]
    assert task.group_keys(items, known={"B": "test"}) == ["B", "B", "C"]
    assert task.group_keys(items, known={"A": "train", "B": "test"}) == ["A", "B", "C"]


def new_task():
    from genwright.recipe import recipe_class
    from genwright.tasks.complete import options as complete_options
    from genwright.tasks.complete.task import Complete

    model = recipe_class("complete", "transformer").model_fields["model"].annotation()
    return Complete(complete_options.Prepare(), model, "transformer")


SOURCE = '''def double(value):
    """Twice."""
    result = value + value
    return result


def first_words(text, count=2):
    words = text.split()
    return " ".join(words[:count])
'''


def test_holes_are_lines_and_bodies():
    file = File("m.py", SOURCE)
    assert [hole.original for hole in line_holes([file], 100)][:2] == ["def double(value):", '"""Twice."""']
    bodies = {hole.original for hole in body_holes([file], 10)}
    assert bodies == {
        "    result = value + value\n    return result",
        '    words = text.split()\n    return " ".join(words[:count])',
    }
    assert len(line_holes([file], 3)) == 3


def test_behaviour_is_kept_by_what_does_the_same():
    found = probes([File("m.py", SOURCE)], 10, seed=0)
    assert found.functions == found.qualified == 2
    holes = {(hole.recording.function, hole.kind, hole.original): hole for hole in found.holes}
    body = next(hole for (name, kind, _), hole in holes.items() if (name, kind) == ("double", "body"))
    fills = ["    return 2 * value", "    return value", "    return (", "    while True:\n        pass"]
    kept = kept_shares([body] * 4, fills)
    assert kept[0] == 1 and kept[1] < 1 and kept[2] == kept[3] == 0
    assert kept_shares(found.holes, [hole.original for hole in found.holes]) == [1] * len(found.holes)


def test_the_nearest_function_is_copied_at_the_holes_indentation():
    nearest = Nearest(
        [File("t.py", "class A:\n    def triple(self, value):\n        return 3 * value\n"), File("u.py", SOURCE)]
    )
    text = "def tripled(value):\n    pass\n"
    hole = Hole("h.py", text, text.index("    pass"), len(text) - 1, "body")
    assert nearest.fill(hole) in ("    return 3 * value", "    result = value + value\n    return result")
    assert ast.parse(hole.filled(nearest.fill(hole)))
    text = "def double(value):\n    result = value + value\n    pass\n"
    line = Hole("h.py", text, text.index("pass"), len(text) - 1, "line")
    assert nearest.fill(line) == "return result"
    assert Nearest([]).fill(line) == ""


def test_an_ngram_fills_a_line_with_what_it_saw():
    from genwright.tokens.tokenizer import train_bpe

    facts = train_bpe([SOURCE] * 5, 300)
    baseline = KneserNey(np.tile(facts.encode(SOURCE), 3), facts.size, 5)
    start = SOURCE.index("value + value")
    hole = Hole("m.py", SOURCE, start, start + len("value + value"), "line")
    assert fill_by_ngram(baseline, facts, [hole]) == ["value + value"]
