"""Genwright from Python: every example of a public docstring, of docs/python.md and of the README is run, on a tiny run of real text."""

from __future__ import annotations

import doctest
import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import genwright as gw
from genwright import api, ledger
from genwright.errors import RequestError
from genwright.media.base import Media
from genwright.request import checked, request_class
from genwright.run import Run
from genwright.scores import ScoreSheet
from helpers import ASSETS, ROOT
from helpers.example_run import draw_run
from helpers.old_runs import old_run

RECIPE = """\
task: write
data: {sources: [{folder: notes}]}
prepare: {vocabulary: 300, workers: 1}
model: {layers: 1, width: 32, context: 32}
train: {budget: 6 steps, batch: 4, precision: fp32, compile: "off", validate_times: 1, previews: 1}
evaluate: {samples: 4}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, its run and a run of pictures: where the examples are run."""
    folder = tmp_path_factory.mktemp("python")
    (folder / "notes").mkdir()
    (folder / "notes" / "nothing.txt").touch()
    whole = "".join(file.read_text(encoding="utf-8") for file in sorted((ASSETS / "text").iterdir()))
    (folder / "notes" / "lovers_complaint.txt").write_text(whole, encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    api.run(folder / "recipe.yaml", run_dir=folder / "runs" / "recipe", device="cpu")
    old_run("draw-gan", folder / "old").folder.rename(folder / "runs" / "pictures")
    return folder


@pytest.fixture
def there(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = []
    for thing in (gw, api, ledger, Media, ScoreSheet):
        found += [test for test in finder.find(thing, thing.__name__) if test.examples]
    return found


@pytest.mark.parametrize("test", examples(), ids=lambda test: test.name)
def test_an_example_of_a_docstring(test: doctest.DocTest, there: Path) -> None:
    said: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not result.failed, "".join(said)


def test_there_is_an_example_for_each_thing_that_is_called() -> None:
    shown = {test.name for test in examples()}
    functions = [f"genwright.{name}" for name in gw.__all__ if inspect.isfunction(getattr(gw, name))]
    methods = [f"genwright.api.Generator.{name}" for name in ("generate", "scores", "ledger", "report", "export")]
    assert {"genwright", *functions, *methods} <= shown


def blocks(page: str) -> str:
    return "\n".join(re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S))


def test_the_page_runs_from_its_beginning_to_its_end(there: Path, capsys: pytest.CaptureFixture) -> None:
    exec(compile(blocks("docs/python.md"), "docs/python.md", "exec"), {})
    said = capsys.readouterr().out
    assert "`temperature`: Input should be greater than or equal to 0 (given: -1)" in said
    with Image.open("symbol-1.png") as drawn:
        assert drawn.info["seed"] == "1" and drawn.info["prompt"] == "Symbols"
    assert Path("for-transformers/config.json").exists() and Path("runs/recipe/report-public.html").exists()


def test_the_readme_runs(there: Path) -> None:
    code = blocks("README.md")
    assert code.count("recipes/demo-draw.yaml") == 1 and code.count("a red heart") == 1
    exec(code.replace("recipes/demo-draw.yaml", "runs/pictures").replace("a red heart", "Symbols"), {})
    with Image.open("heart-3.png") as drawn:
        assert drawn.size == (16, 16)


def test_texts_are_whole_and_their_pieces_make_them_up(there: Path) -> None:
    run = gw.load("runs/recipe", device="cpu")
    made = run.generate("To be", n=3, seed=5, max_tokens=25)
    assert [one.index for one in made] == [0, 1, 2] and all(one.final for one in made)
    pieces: dict[int, str] = {}
    for piece in run.generate("To be", n=3, seed=5, max_tokens=25, stream=True):
        pieces[piece.index] = pieces.get(piece.index, "") + piece.text
    assert pieces == {one.index: one.text for one in made}
    assert str(made[1]) == made[1].text and repr(made[1].text[:9])[:-1] in repr(made)
    made[1].save("second.txt")
    assert Path("second.txt").read_text(encoding="utf-8") == made[1].text
    with pytest.raises(AttributeError, match="a text has no picture"):
        _ = made[0].image


def test_pictures_are_images_and_arrays(there: Path) -> None:
    one, two = gw.load("runs/pictures", device="cpu").generate("Symbols", n=2, seed=1)
    assert one.image.size == (16, 16) and one.array.dtype == np.uint8 and one.array.shape == (16, 16, 3)
    assert (one.array != two.array).any() and np.array_equal(np.asarray(two.image), two.array)
    assert repr(one) == "<image 0: 16 x 16 pixels, prompt='Symbols', seed=1>"
    with pytest.raises(AttributeError, match="an image has no text"):
        _ = one.text


def test_a_notebook_shows_it(there: Path) -> None:
    run, pictures = gw.load("runs/recipe", device="cpu"), gw.load("runs/pictures", device="cpu")
    texts, drawn = run.generate("<b>", n=2, seed=1, max_tokens=9), pictures.generate("Symbols", n=2, seed=1)
    assert drawn._repr_html_().count('alt="Symbols"') == 2 and "pixelated" in drawn[0]._repr_html_()
    assert (drawn[0]._repr_png_() or b"").startswith(b"\x89PNG") and texts[0]._repr_png_() is None
    assert Media("text", "<script>")._repr_html_().count("&lt;script&gt;") == 1
    for shown in (run, run.scores):
        assert "bits per byte" in shown._repr_html_() and "5-gram" in shown._repr_html_()
    assert "lovers" not in run.ledger()._repr_html_() and "dropped, empty" in run.ledger()._repr_html_()
    assert "parameters" in gw.plan("recipe.yaml", run_dir="runs/recipe")._repr_html_()


def test_a_ledger_is_a_table(there: Path) -> None:
    rows = gw.load("runs/recipe").ledger()
    table = rows.table()
    assert isinstance(table, pa.Table) and table.column_names == ledger.columns() and table.num_rows == len(rows)
    assert table["status"].to_pylist() == [row.status for row in rows]


def test_scores_are_read_without_torch(there: Path) -> None:
    code = (
        "import sys, genwright as gw; run = gw.load('runs/recipe'); print(run.scores); "
        "assert not {'torch', 'numpy', 'pyarrow'} & sys.modules.keys(); "
        "run.ledger(); gw.new('notes', 'write'); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "bits per byte" in done.stdout


def test_a_run_is_looked_into_before_there_is_a_model(tmp_path: Path) -> None:
    half = gw.load(draw_run(tmp_path / "half", until="train").folder)
    assert half.ledger().account.offered == 1951 and "draw by gan" in repr(half)
    with pytest.raises(RequestError, match="no scores here"):
        _ = half.scores
    with pytest.raises(RequestError, match="there is nothing to try; go on with"):
        half.generate("x")


def test_what_is_wrong_is_said_at_once(there: Path) -> None:
    with pytest.raises(gw.RequestError, match="neither a run nor a model folder"):
        gw.load("nowhere")
    with pytest.raises(gw.RequestError, match=r"`weights`: .*\(given: 'int4'\)"):
        gw.load("runs/recipe", weights="int4")
    run = gw.load("runs/recipe")
    with pytest.raises(gw.RequestError, match=r"there is no `tempature`; did you mean `temperature`\?"):
        run.generate("To be", stream=True, tempature=1)
    assert "model" not in vars(run), "a wrong option costs no reading of weights"
    with pytest.raises(gw.RequestError, match="belong to a form"):
        run.export(type="f16")
    with pytest.raises(gw.RequestError, match="not a run folder"):
        gw.load("runs/recipe/model").ledger()


def test_values_of_keys_are_given_as_they_are(there: Path) -> None:
    """Not as YAML would read their text: a seed is a number, a word that looks like one stays a word."""
    plan = gw.plan("runs/recipe", run_dir=None, overrides={"train.budget": "7 steps", "train.new_data_share": 0.00001})
    assert plan.steps == 7
    with pytest.raises(RequestError, match=r"train.budget"):
        gw.plan("runs/recipe", overrides={"train.budget": "猫"})
    assert Run(there / "runs" / "recipe").record("train") is not None


def test_a_result_is_not_saved_under_a_name_of_another_kind(there: Path) -> None:
    text = Media("text", "words")
    for name in ("o.png", "o.wav", "o.docx"):
        with pytest.raises(RequestError, match=rf"{name}: what was made is a text, .* call it o.txt"):
            text.save(name)
    for name in ("o.json", "o.py", "o.md", "o"):
        text.save(name)
        assert Path(name).read_text(encoding="utf-8") == "words"
    with pytest.raises(RequestError, match=r"o.txt: what was made is a picture, .* call it o.png"):
        Media("image", Image.new("RGB", (4, 4))).save("o.txt")


def test_python_gives_what_it_has(there: Path) -> None:
    run = gw.load("runs/recipe", device="cpu")
    assert run.generate("x", json_schema={"const": "ab"})[0].text == '"ab"'
    assert run.generate("x", regex="ab", stop="b", logit_bias={"a": 1.0})[0].text == "a"
    for capacity in (0, -1, "2"):
        with pytest.raises(RequestError, match="`capacity`: must be a whole number, 1 or more"):
            gw.load("runs/recipe", capacity=capacity)


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (
            [{"role": "bot", "content": "x"}],
            "the role of message 1 is 'bot'; it must be system, user, assistant or tool",
        ),
        ('[{"role": "bot", "content": "x"}]', "the role of message 1 is 'bot'"),
        ([{"role": "user", "content": "x"}, {"role": "user"}], "message 2 must be a mapping of `role` and `content`"),
        ([{"role": "user", "content": None}], "the content of message 1 is no text"),
        ({"role": "user", "content": "x"}, "must be a list of messages"),
    ],
)
def test_a_message_that_is_wrong_is_named(messages: object, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        checked(request_class("chat", "transformer"), {"messages": messages})
    assert str(caught.value).startswith(f"`messages`: {said}")
