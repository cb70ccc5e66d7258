"""`genwright new`: what it says of a folder is so, and its recipe loads."""

from __future__ import annotations

import json
import shutil
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genwright import ledger, recipe
from genwright.about import About, Survey, Verdict
from genwright.errors import RequestError
from genwright.registry import MEDIA, Entry
from genwright.run import Run
from genwright.stages.pipeline import Options, run_stages
from genwright.survey.choice import verdicts
from genwright.survey.command import new
from genwright.survey.survey import look
from helpers import ASSETS, TESTS
from helpers.outside_task import outside_task


@pytest.fixture
def wav(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A medium from outside the package."""
    monkeypatch.syspath_prepend(str(TESTS / "outside"))
    MEDIA.register("wav", Entry("wav:WAV"))
    yield "wav"
    MEDIA.unregister("wav")


def pictures(folder: Path, count: int, side: int = 8) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(abs(hash(folder.name)) % 1000)
    for number in range(count):
        Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(folder / f"{number:04}.png")
    return folder


def test_texts(capsys: pytest.CaptureFixture[str]) -> None:
    file = new(ASSETS / "text")
    assert file == Path("text.yaml")
    loaded = recipe.load(file)
    assert loaded.task == "write"
    assert loaded.data.sources == [
        {"folder": str(ASSETS / "text"), "include": [], "exclude": [], "captions": "none", "labels": "none"}
    ]
    said = capsys.readouterr().out
    assert "3 texts, 198,325 characters" in said
    assert "No licence was found" in said
    assert "genwright run text.yaml" in said


def test_pictures_with_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    loaded = recipe.load(new(ASSETS / "pictures"))
    assert loaded.task == "draw"
    assert loaded.data.sources[0]["join"] == {
        "table": "emoji.jsonl",
        "path": "{image}",
        "text": "{text}",
        "label": "{label}",
        "fields": {},
    }
    assert "64 pictures: enough for draw at 16 pixels; too few for 32 pixels" in capsys.readouterr().out


def test_many_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = recipe.load(new(pictures(tmp_path / "photos", 1200, side=70)))
    assert loaded.model.size == 64
    assert "1,200 pictures: enough for draw at 64 pixels; too few for 128 pixels" in capsys.readouterr().out


def test_small_pictures_are_not_blown_up(tmp_path: Path) -> None:
    assert recipe.load(new(pictures(tmp_path / "tiny", 300, side=20))).model.size == 16


def test_captions_beside_and_folders_as_labels(tmp_path: Path) -> None:
    for kind in ("cats", "dogs"):
        folder = pictures(tmp_path / "pets" / kind, 30)
        for picture in folder.glob("*.png"):
            picture.with_suffix(".txt").write_text(f"one of the {kind}")
    survey = look(tmp_path / "pets")
    assert (survey.pictures, survey.captions, survey.texts) == (60, 60, 0)
    assert survey.labels == {"cats": 30, "dogs": 30}
    loaded = recipe.load(new(tmp_path / "pets"))
    assert loaded.data.sources[0]["captions"] == "beside"
    assert loaded.data.sources[0]["labels"] == "folders"


def test_captions_in_languages_are_offered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pictures(tmp_path / "stamps", 30)
    for number, picture in enumerate(sorted(folder.glob("*.png"))):
        swiss = f"de.utf8=Ding {number}\n" if number else ""
        picture.with_suffix(".txt").write_text(f"Thing {number}.\n{swiss}fr.utf8=Chose {number}\n")
    survey = look(folder)
    assert survey.languages == {"en": 30, "fr": 30, "de": 29}
    file = new(folder)
    [source] = recipe.load(file).data.sources
    assert (source["captions"], source["language"]) == ("beside", "en")
    assert "language: en     # there are captions in en, fr, de" in file.read_text()
    said = capsys.readouterr().out
    assert "the captions are in 3 languages: en, fr, de" in said
    assert 'with the words "thing' in said  # as the model sees them: the other languages are not among them
    assert "chose" not in said.lower()


def test_titles_inside_drawings_are_offered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(12):
        box = f'<rect width="20" height="20" fill="#{number:03x}"/>'
        title = f"<title>Box of kind {number}</title>" if number % 4 else ""
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20">{title}{box}</svg>'
        (folder / f"box_{number}.svg").write_text(svg)
    assert look(folder).titles == 9
    loaded = recipe.load(new(folder))
    assert loaded.data.sources[0]["text"] == ["{title}", "{name}"]
    assert "9 of them say inside what they are" in capsys.readouterr().out


def test_a_table_that_is_the_text(tmp_path: Path) -> None:
    (tmp_path / "poems").mkdir()
    rows = [
        {"id": n, "title": f"Poem {n}", "body": f"The rose number {n} is red and will be red. " * 5} for n in range(50)
    ]
    (tmp_path / "poems" / "all.json").write_text(json.dumps(rows))
    loaded = recipe.load(new(tmp_path / "poems"))
    assert loaded.task == "write"
    assert loaded.data.sources[0]["join"]["text"] == "{body}"
    assert "path" not in loaded.data.sources[0]["join"]


def test_a_recipe_is_never_overwritten() -> None:
    names = [new(ASSETS / "text").name for _ in range(3)]
    assert names == ["text.yaml", "text-2.yaml", "text-3.yaml"]
    assert len({Path(name).read_text().splitlines()[6] for name in names}) == 1


def test_a_recipe_inside_its_own_data(here: Path) -> None:
    for file in (ASSETS / "text").iterdir():
        shutil.copy(file, here)
    loaded = recipe.load(new(Path()))
    assert loaded.data.sources[0]["exclude"] == ["here.yaml", "/runs/"]
    assert look(Path()).texts == 4  # the recipe itself is one of them; the recipe leaves it out


def test_names_with_spaces_and_other_letters(tmp_path: Path, here: Path) -> None:
    folder = here / "- my 'größe': #1 \"x\""
    shutil.copytree(ASSETS / "text", folder)
    loaded = recipe.load(new(folder))
    assert loaded.data.sources[0]["folder"] == str(folder)
    odd = tmp_path / "caf\udce9"
    odd.mkdir()
    (odd / "a.txt").write_text("x" * 3000)
    assert recipe.load(new(odd)).data.sources[0]["folder"] == str(odd)


def test_the_task_asked_for(tmp_path: Path) -> None:
    for name in ("text", "pictures"):
        shutil.copytree(ASSETS / name, tmp_path / "both" / name)
    assert [recipe.load(new(tmp_path / "both", task)).task for task in ("write", "draw", None)] == [
        "write",
        "draw",
        "draw",
    ]
    with pytest.raises(RequestError, match="nothing for `draw`"):
        new(ASSETS / "text", "draw")
    with pytest.raises(RequestError, match="did you mean 'draw'"):
        new(ASSETS / "text", "drawn")


@pytest.mark.parametrize("content", [{}, {"a.txt": b""}, {"a.bin": bytes(100), "b.txt": b""}])
def test_nothing_usable(tmp_path: Path, here: Path, content: dict[str, bytes]) -> None:
    folder = tmp_path / "poor"
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    with pytest.raises(RequestError, match=r"poor: nothing usable"):
        new(folder)
    assert list(here.iterdir()) == []


def test_no_such_folder() -> None:
    with pytest.raises(RequestError, match="no such folder"):
        new(Path("nowhere"))
    with pytest.raises(RequestError, match="name the folder"):
        new(ASSETS / "README.md")


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    new(ASSETS / "text", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["media"] == {"text": 3}
    assert told["characters"] == 198_325
    assert told["recipe"] == "text.yaml"


def test_program_text_is_told_from_prose(tmp_path: Path) -> None:
    folder = tmp_path / "tool"
    folder.mkdir()
    for number in range(6):
        (folder / f"part{number}.py").write_text(f"def part{number}(x):\n" + f"    x = x + {number}\n" * 300)
    (folder / "README.md").write_text("A tool, and what it is for.")
    survey = look(folder)
    assert (survey.texts, survey.code) == (7, 6)
    judged = verdicts(survey)
    assert judged["complete"].made_for and judged["complete"].enough
    (folder / "part0.py").unlink()
    for number in range(20):
        (folder / f"{number}.txt").write_text(f"Chapter {number}. " + "It was late. " * 50)
    assert not verdicts(look(folder))["complete"].made_for


def test_a_table_of_conversations_is_for_chat(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "support"
    folder.mkdir()
    rows = [
        {"messages": [{"role": "user", "content": f"Hello {n}"}, {"role": "assistant", "content": "Hi!"}]}
        for n in range(60)
    ]
    (folder / "chats.jsonl").write_text("\n".join(map(json.dumps, rows)))
    loaded = recipe.load(new(folder))
    assert loaded.task == "chat"
    assert loaded.data.sources[0]["join"]["table"] == "chats.jsonl"
    assert "60 conversations: enough to teach" in capsys.readouterr().out


def test_a_task_that_does_not_say_how_much_it_needs_is_only_taken_where_it_is_asked_for(
    tmp_path: Path, here: Path, capsys: pytest.CaptureFixture[str], wav: str
) -> None:
    few = pictures(tmp_path / "few", 10)
    tune = tmp_path / "tunes"
    tune.mkdir()
    with wave.open(str(tune / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 800, "NONE", ""))
        file.writeframes(bytes(1600))
    mend, hum = About(medium="image", families=("vae",)), About(medium=wav, families=("vae",))
    with outside_task("amend", mend), outside_task("hum", hum):
        assert recipe.load(new(few)).task == "draw"  # it says itself that ten are too few
        assert "amend: 10 of its kind (image); how many it needs is not known here" in capsys.readouterr().out
        assert recipe.load(new(few, "amend")).task == "amend"
        with pytest.raises(RequestError, match="by --task and one of hum"):
            new(tune)
        assert recipe.load(new(tune, "hum")).task == "hum"
        with pytest.raises(RequestError, match="nothing for `hum`, which works with wav"):
            new(few, "hum")


def test_a_task_from_outside_judges_for_itself(tmp_path: Path, here: Path) -> None:
    def verdict(survey: Survey) -> Verdict:
        return Verdict(survey.pictures, True, "enough to mend", made_for=True, settings={"condition": "none"})

    few = pictures(tmp_path / "few", 10)
    with outside_task("mend", About(medium="image", families=("vae",), verdict=verdict)):
        file = new(few)
        assert recipe.load(file).task == "mend"
    assert "condition: none             # What pictures are drawn from" in file.read_text(encoding="utf-8")


def test_rows_that_a_task_takes_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    rows = [{"verses": [{"text": f"La {n}"}] * 3} for n in range(20)]
    (tmp_path / "songs" / "all.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with outside_task("sing", About(medium="text", families=("transformer",), whole_rows=lambda row: "verses" in row)):
        assert verdicts(look(tmp_path / "songs"))["sing"].items == 20
        source = recipe.load(new(tmp_path / "songs", "sing")).data.sources[0]
        assert source["join"]["table"] == "all.jsonl" and "text" not in source["join"]
    with pytest.raises(RequestError, match=r"say what a row of all\.jsonl is"):
        recipe.parse("task: draw\ndata: {sources: [{folder: x, join: {table: all.jsonl}}]}")


def test_ends_of_texts_that_would_be_learnt_as_letters_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stories").mkdir()
    story = "Once there was a river who lived in a stone. It was very happy.\n<|endoftext|>\n"
    (tmp_path / "stories" / "all.txt").write_text(story * 300)
    new(tmp_path / "stories")
    assert "1 file: lines end in <|endoftext|>" in capsys.readouterr().out


def test_tables_as_windows_writes_them_are_seen(tmp_path: Path) -> None:
    pictures(tmp_path / "data" / "img", 60)
    rows = "".join(f"img\\{n:04}.png,picture {n}\n" for n in range(60))
    (tmp_path / "data" / "metadata.csv").write_text(f"file_name,text\n{rows}")
    table = look(tmp_path / "data").table
    assert table is not None
    assert (table.path, table.text, table.rows) == ("{file_name}", "{text}", 60)


def test_lines_called_json_are_conversations(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    rows = (
        json.dumps({"messages": [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "x"}]})
        for n in range(30)
    )
    (tmp_path / "data" / "train.json").write_text("\n".join(rows))
    assert recipe.load(new(tmp_path / "data", "chat")).data.sources[0]["join"]["table"] == "train.json"


@pytest.mark.parametrize("said", ["folders", "table"])
def test_what_is_taken_is_what_is_learned(tmp_path: Path, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pets"
    for kind in ("cats", "dogs"):
        pictures(folder / kind, 30, side=16)
    pictures(folder, 6, side=16)
    if said == "table":
        named = "".join(f"cats\\{number:04}.png,a cat {number}\n" for number in range(30))
        (folder / "metadata.csv").write_text(f"file_name,text\n{named}", encoding="utf-8")
    file, learned = new(folder), {"folders": 60, "table": 30}[said]
    shown = " ".join(capsys.readouterr().out.split())
    assert f".png 66 {learned} {66 - learned} {66 - learned} " in shown and f"draw: {learned} pictures: " in shown
    assert {"folders": "missing_text (no folder", "table": "unreferenced (no row"}[said] in shown
    run = Run(tmp_path / "run")
    run_stages(recipe.load(file), run, Options(), ["collect", "prepare"])
    assert len({item.path for item in ledger.read_run(run) if item.kept}) == learned
