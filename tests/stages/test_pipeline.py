"""Nothing is written into a run before it is known to fit, and what only looks writes nothing at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from genwright.cli.app import main
from genwright.run import Run
from helpers import ASSETS
from helpers.collect_task import write_texts

RECIPE = (
    "task: write\ndata: {sources: [{folder: data}]}\nmodel: {layers: 1, width: 32, context: 32}\nprepare: {vocabulary: 300}\n"
    "train: {budget: 4 steps, batch: 4, previews: 1, validate_times: 1}\nevaluate: {samples: 2}\n"
)


def genwright(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def state(folder: Path) -> dict[str, str]:
    """A hash of every file, by its path; a folder without one has its name."""
    return {
        place.relative_to(folder).as_posix(): hashlib.sha256(place.read_bytes()).hexdigest() if place.is_file() else ""
        for place in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe in a/, its data beside it, and its finished run."""
    place = tmp_path_factory.mktemp("made")
    write_texts_of(place / "a", 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert genwright("run", "a/poems.yaml", "--device", "cpu", "--anyway") == 0
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, where the user stands."""
    here = tmp_path / "here"
    shutil.copytree(made, here)
    for file in (here / "runs/poems/recipe.yaml", here / "runs/poems/stages/recipe.json"):
        file.write_text(file.read_text(encoding="utf-8").replace(str(made), str(here)), encoding="utf-8")
    monkeypatch.chdir(here)
    return here


def write_texts_of(folder: Path, start: int, count: int = 30) -> None:
    folder.mkdir(exist_ok=True)
    write_texts(folder / "data", count, start)
    (folder / "poems.yaml").write_text(RECIPE, encoding="utf-8")


LOOKS = [
    "plan a/poems.yaml",
    "plan a/poems.yaml --set model.width=64",
    "plan a/poems.yaml --set prepare.vocabulary=258",
    "plan runs/poems --set train.seed=5",
    "plan b/poems.yaml",
    "plan chat.yaml --run-dir runs/poems",
    "ledger runs/poems --dropped",
    "runs",
    "runs show poems",
    "generate runs/poems rose --max-tokens 3",
    "explain --help",
]
REFUSED = [
    "run a/poems.yaml --set model.width=64",
    "run a/poems.yaml --set data.drop_near_duplicates=7",
    "run a/poems.yaml --more soon",
    "run chat.yaml --run-dir runs/poems",
    "run b/poems.yaml",
    "evaluate chat.yaml --run-dir runs/poems --fresh",
    "collect b/poems.yaml",
    "prepare b/poems.yaml --fresh",
    "train a/poems.yaml --set train.seed=5",
    "train a/poems.yaml --set train.budget=2_steps",
    "evaluate a/poems.yaml --set model.width=64",
    "export b/poems.yaml",
    "export runs/poems --as onnx --type f99",
    "report a/poems.yaml --set model.width=64",
    "report b/poems.yaml",
    "compare runs/poems runs/other",
    "runs rm runs/poems runs/other --yes",
    "generate runs/poems rose --temperature -1",
    "generate runs/poems rose --out runs/poems/recipe.yaml",
    "new nowhere",
]


@pytest.fixture
def others(place: Path) -> Path:
    """Recipes beside it that are not the run's."""
    write_texts_of(place / "b", 500)
    turns = (
        {"messages": [{"role": role, "content": f"{role} {n}"} for role in ("user", "assistant")]} for n in range(40)
    )
    (place / "talks").mkdir()
    (place / "talks/talks.jsonl").write_text("".join(json.dumps(turn) + "\n" for turn in turns))
    (place / "chat.yaml").write_text(RECIPE.replace("write", "chat").replace("data}", "talks}"))
    (place / "gone.yaml").write_text(RECIPE.replace("folder: data", "folder: unplugged"))
    (place / "empty.yaml").write_text(RECIPE.replace("folder: data", "folder: nothing"))
    (place / "nothing").mkdir()
    return place


@pytest.mark.parametrize("command", LOOKS)
def test_what_looks_leaves_the_run_bit_for_bit_as_it_was(others: Path, command: str, capsys) -> None:
    before = state(others)
    assert genwright(*command.split()) == 0, capsys.readouterr().err
    assert state(others) == before


@pytest.mark.parametrize("command", REFUSED)
def test_what_is_refused_leaves_the_run_bit_for_bit_as_it_was(others: Path, command: str, capsys) -> None:
    before = state(others)
    assert genwright(*command.replace("2_", "2 ").split(" ")[: len(command.split())]) == 2
    assert state(others) == before
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("genwright: ") and "unexpected" not in told


@pytest.mark.parametrize("recipe", ["gone.yaml --fresh", "empty.yaml --fresh", "a/poems.yaml"])
def test_a_run_whose_data_is_not_there_keeps_all_that_was_made(others: Path, recipe: str) -> None:
    shutil.move("a/data", "unplugged-disk")
    (Path("runs/poems/log.txt")).unlink()  # which tells of it
    before = state(others)
    assert genwright("run", *recipe.split(), "--run-dir", "runs/poems") == 2
    Path("runs/poems/log.txt").unlink()
    assert state(others) == before


def test_other_facts_are_refused_before_they_take_the_place_of_those_that_were_learned_with(
    place: Path, capsys
) -> None:
    assert genwright("collect", "a/poems.yaml") == 0  # the copy's paths are others than those of the run that it is of
    before = state(place)
    assert genwright("run", "a/poems.yaml", "--set", "prepare.vocabulary=258") == 2
    assert "--refit or --fresh" in capsys.readouterr().err.splitlines()[-1]
    looked_at = {"runs/poems/log.txt", "runs/poems/collect/seen.jsonl", "runs/poems/collect/stage.json"}
    assert {name for name, content in state(place).items() if before.get(name) != content} <= looked_at
    assert genwright("run", "runs/poems") == 0


@pytest.mark.parametrize(
    "command", ["prepare", "train", "evaluate", "export", "report", "run --more soon", "run --set data.sources=[]"]
)
def test_what_is_refused_leaves_no_half_born_run(others: Path, command: str) -> None:
    name, *more = command.split()
    assert genwright(name, "b/poems.yaml", "--run-dir", "runs/born", *more) == 2
    assert not (others / "runs/born").exists()


def test_of_what_is_refused_for_its_data_the_account_stays_to_be_looked_at(others: Path, capsys) -> None:
    (others / "nothing" / "a.bin").write_bytes(bytes(100))
    assert genwright("run", "empty.yaml") == 2
    assert genwright("ledger", "empty", "--dropped") == 0 and "a.bin" in capsys.readouterr().out
    assert genwright("collect", "a/poems.yaml", "--run-dir", "runs/empty") == 0


def test_a_recipe_of_the_same_name_and_other_data_is_told_of_both(others: Path, capsys) -> None:
    assert genwright("run", "b/poems.yaml") == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "runs/poems" in told and str(others / "a/poems.yaml") in told and str(others / "b/poems.yaml") in told
    assert genwright("collect", "b/poems.yaml", "--run-dir", "runs/b") == 0


def moved(place: Path) -> Path:
    (place / "a").rename(place / "moved")
    return place / "moved"


def grown(place: Path) -> Path:
    write_texts_of(moved(place), 0, 33)
    return place / "moved"


def copied(place: Path) -> Path:
    return shutil.copytree(place / "a", place / "copied")


def in_place(place: Path) -> Path:
    write_texts_of(place / "a", 0, 33)
    return place / "a"


def without_the_record(place: Path) -> Path:
    (place / "runs/poems/stages/recipe.json").unlink()
    return copied(place)


@pytest.mark.parametrize("change", [moved, grown, copied, in_place, without_the_record])
def test_a_recipe_that_moved_with_its_data_and_one_whose_data_grew_go_on(
    place: Path, change: Callable[[Path], Path]
) -> None:
    assert genwright("collect", change(place) / "poems.yaml") == 0
    known = json.loads((place / "runs/poems/stages/recipe.json").read_text(encoding="utf-8"))["file"]
    assert Path(known) == next(place.glob("[amc][!.]*/poems.yaml"), place / "a/poems.yaml") or change is in_place


def test_a_run_that_was_copied_with_its_recipe_goes_on_with_the_copy(made: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "copy"))
    write_texts_of(Path("a"), 0, 33)
    assert genwright("collect", "a/poems.yaml") == 0


def test_a_copy_whose_data_is_other_is_another_recipe(place: Path) -> None:
    write_texts_of(copied(place), 0, 33)
    assert genwright("collect", "copied/poems.yaml") == 2


def test_begin_again_takes_another_recipe(others: Path) -> None:
    assert genwright("run", "b/poems.yaml", "--fresh", "--anyway") == 0
    assert Run(Path("runs/poems")).made_from() == others / "b/poems.yaml"
    assert genwright("run", "a/poems.yaml") == 2


@pytest.mark.parametrize("names", [["thesis.md"], ["recipe.yaml", "train"]])
def test_a_folder_of_somebody_else_becomes_no_run(place: Path, names: list[str], capsys) -> None:
    (place / "mine").mkdir()
    for name in names:
        (place / "mine" / name).write_text("mine")
    before = state(place)
    assert genwright("run", "a/poems.yaml", "--run-dir", "mine") == 2
    assert state(place) == before and "choose another --run-dir" in capsys.readouterr().err


def test_a_plan_says_what_a_run_of_other_settings_would_be(place: Path, capsys) -> None:
    assert genwright("plan", "a/poems.yaml", "--set", "model.width=64", "--set", "train.budget=7 steps", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["steps"] == 7 and "64 wide" in told["size"]


def test_a_run_of_an_older_genwright_is_planned_and_gone_on_with(tmp_path: Path) -> None:
    with tarfile.open(ASSETS / "runs" / "484daea" / "write.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    recipe = tmp_path / "write" / "recipe.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("/@DATA@", str(ASSETS)), encoding="utf-8")
    before = state(tmp_path)
    assert genwright("plan", tmp_path / "write") == 0
    assert state(tmp_path) == before
    assert genwright("collect", tmp_path / "write") == 0


@pytest.mark.parametrize(
    "command",
    [
        "evaluate a/poems.yaml --set data.sources.0.folder=b",
        "export a/poems.yaml --set data.limit=3",
        "train a/poems.yaml --set prepare.vocabulary=270",
        "run a/poems.yaml --fresh --set data.limit=2",
    ],
)
def test_what_a_command_does_not_read_or_does_refuse_changes_no_finished_run(
    place: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_texts_of(place / "b", 40)
    before = without_logs(state(place / "runs"))
    assert genwright(*command.split()) == 2
    assert without_logs(state(place / "runs")) == before
    assert "changed since" in capsys.readouterr().err or "--fresh" in command


def test_a_model_is_not_scored_with_a_tokenizer_that_is_not_its_own(place: Path, capsys) -> None:
    refitted = "prepare a/poems.yaml --refit --set prepare.tokenizer=bpe --set prepare.vocabulary=270"
    assert genwright(*refitted.split()) == 0
    for command in ("evaluate", "export"):
        assert genwright(command, "runs/poems", "--set", "evaluate.seed=3") == 2
        assert "the facts of prepare (tokenizer, statistics) changed" in capsys.readouterr().err


def without_logs(found: dict[str, str]) -> dict[str, str]:
    return {name: content for name, content in found.items() if not name.endswith(("log.txt", "lock"))}


def test_what_was_said_of_the_data_is_said_again_only_where_it_changed(place: Path, capsys) -> None:
    assert genwright("collect", "a/poems.yaml", "--fresh") == 0
    assert "LICENCE UNKNOWN" in capsys.readouterr().err
    assert genwright("collect", "a/poems.yaml") == 0
    assert "collect   up to date" in (said := capsys.readouterr().err)
    assert "LICENCE UNKNOWN" not in said and "offered" not in said
    write_texts_of(place / "a", 900, 3)
    assert genwright("collect", "a/poems.yaml") == 0
    assert "LICENCE UNKNOWN" in capsys.readouterr().err


def test_the_time_of_a_training_is_that_of_all_its_sittings(place: Path) -> None:
    run = Run(place / "runs/poems")
    first = run.record("train")
    assert genwright("train", "runs/poems", "--more", "2 steps") == 0
    second = run.record("train")
    assert first is not None and second is not None and second.seconds > first.seconds
