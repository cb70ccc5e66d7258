"""`genwright generate`: which word is the run, and where what is made goes."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from genwright.api import Generator
from genwright.cli import generate as command
from genwright.cli.app import main
from genwright.cli.deliver import Delivery, deliver, read_prompt
from genwright.cli.places import STANDARD_OUTPUT
from genwright.errors import RequestError
from genwright.ledger import Item
from genwright.media.base import Media
from genwright.model import Model, ModelConfig
from genwright.model_folder import build_parts, save
from genwright.recipe import recipe_class
from genwright.settings import Section
from genwright.tasks.text.sizes import network_for
from genwright.tasks.write.task import Write

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model that writes letters, in a folder as a run has it."""
    schema = recipe_class("write", "transformer")
    prepare = schema.model_fields["prepare"].annotation(tokenizer="characters")  # type: ignore[misc]
    task = Write(prepare, schema.model_fields["model"].annotation(), "transformer")  # type: ignore[misc]
    facts = task.fit([Item(id="0", source="t", path="t.txt", fields={"text": "the quick brown fox"})])
    network = network_for(1, 32, 64, facts.size).model_dump()
    config = ModelConfig(family="transformer", network=network, batch=1, title="random")
    torch.manual_seed(0)
    made = tmp_path_factory.mktemp("runs") / "letters"
    save(Model(task, config, facts, build_parts(task, config, facts, CPU), CPU), made / "model")
    return made


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def generate(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["generate", *arguments])
    return stopped.value.code if isinstance(stopped.value.code, int) else 0


def test_a_folder_for_what_is_made_is_not_the_run(folder: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "texts").mkdir()
    for number, place in enumerate((["--out", "texts"], ["--out=texts"])):
        assert generate(*place, str(folder), "the fox", "--max-tokens", "4") == 0
        assert capsys.readouterr().out == f"texts/the-fox-000{number}.txt\n"


def test_a_folder_of_another_run_may_take_what_is_made(folder: Path, here: Path) -> None:
    (here / "old").mkdir()
    (here / "old" / "recipe.yaml").write_text("task: draw\n")
    assert generate("--out", "old", str(folder), "fox", "--max-tokens", "4") == 0
    assert (here / "old" / "fox-0000.txt").exists()


def test_the_value_of_a_task_s_option_may_stand_before_the_run(folder: Path, here: Path) -> None:
    (here / "4").mkdir()
    assert generate("--max-tokens", "4", str(folder), "fox", "--out", "x.txt") == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plain", "fox"], "plain: neither a run nor a model folder"),
        (["nowhere", "fox"], "nowhere: neither a run nor a model folder"),
        (["a fox", "begun"], "begun: this run has no model yet"),
    ],
)
def test_what_is_no_run_is_named(here: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    (here / "plain").mkdir()
    (here / "begun").mkdir()
    (here / "begun" / "recipe.yaml").write_text("task: write\n")
    assert generate(*words) == 2
    assert said in capsys.readouterr().err


def test_text_goes_through_a_pipe_as_a_file_would_hold_it(folder: Path, here: Path) -> None:
    done = [sys.executable, "-m", "genwright", "generate", str(folder), "-", "--max-tokens", "6", "--out"]
    piped = subprocess.run([*done, "-"], input=b"the fox\n", capture_output=True, timeout=120)
    assert generate(str(folder), "the fox", "--max-tokens", "6", "--out", "x.txt") == 0
    assert piped.stdout == (here / "x.txt").read_bytes() and piped.stdout.startswith(b"the fox"), piped.stderr


def test_a_picture_goes_to_standard_output_with_what_is_known_of_it(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    picture = Image.new("RGB", (4, 4), "red")
    deliver([Media("image", picture, metadata={"prompt": "süß", "seed": 3})], Delivery(out=STANDARD_OUTPUT))
    written = Image.open(io.BytesIO(capfdbinary.readouterr().out))
    assert written.getpixel((0, 0)) == (255, 0, 0)
    assert written.text == {"prompt": "süß", "seed": "3"}  # type: ignore[attr-defined]


def test_standard_output_takes_one_thing() -> None:
    media = [Media("text", "a", 0), Media("text", "b", 1)]
    for n, as_json in ((2, False), (1, True)):
        with pytest.raises(RequestError, match="--out -: standard output takes one output"):
            deliver(media, Delivery(n=n, out=STANDARD_OUTPUT, as_json=as_json))


def test_a_medium_that_nobody_registered_is_named() -> None:
    with pytest.raises(RequestError, match="There is no medium 'imagery'; did you mean 'image'"):
        deliver([Media("imagery", None)], Delivery())


def test_a_schema_without_a_positional_field_takes_no_prompt(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Bare(Section):
        n: int = 1

    monkeypatch.setattr(command, "request_class", lambda task, family: Bare)
    assert generate(str(folder), "a fox") == 2
    assert (
        capsys.readouterr().err
        == f"genwright: {folder} takes no prompt; `genwright generate {folder} --help` lists what may be asked.\n"
    )
    monkeypatch.setattr("genwright.api.request_class", lambda task, family: Bare)
    with pytest.raises(RequestError, match="`write` takes no prompt; there are n"):
        Generator(folder, "cpu").generate("a fox")


def test_python_and_the_command_line_make_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(str(folder), "the fox", "--max-tokens", "6", "--seed", "3", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    made = "".join(media.data for media in Generator(folder, "cpu").generate("the fox", max_tokens=6, seed=3))
    known = {"seed": 3, "finish": "length", "tokens": 6}
    assert told == {"index": 0, "kind": "text", "prompt": "the fox", "text": made, **known}


def test_why_a_text_ended_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(str(folder), "the fox", "--max-tokens", "6") == 0
    assert (
        capsys.readouterr().err == "The text was cut after 6 tokens, where --max-tokens or the model's context ends.\n"
    )
    assert generate(str(folder), "the fox", "-n", "2", "--max-tokens", "6", "--json") == 0
    cut = capsys.readouterr()
    lines = [json.loads(line) for line in cut.out.splitlines()]
    assert [line["finish"] for line in lines] == ["length"] * 2
    assert cut.err.startswith("2 of 2 texts were cut after 6 tokens")
    for option, value, ended in (("--stop", lines[0]["text"][2], "stop"), ("--regex", "fox", "end")):
        assert generate(str(folder), "the fox", option, value, "--json") == 0
        whole = capsys.readouterr()
        assert (json.loads(whole.out)["finish"], whole.err) == (ended, "")
    *_, last = Generator(folder, "cpu").generate("the fox", max_tokens=6)
    assert (last.finish, last.metadata["tokens"]) == ("length", 6)


def test_an_answer_that_was_to_have_a_form_and_was_cut_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = '{"type": "object", "properties": {"name": {"type": "string", "minLength": 40}}, "required": ["name"]}'
    assert generate(str(folder), "", "--json-schema", schema, "--max-tokens", "20", "--json") == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["finish"] == "length"
    assert said.err.startswith("genwright: the text was cut after 20 tokens") and "larger --max-tokens" in said.err


def test_what_was_made_before_is_kept(folder: Path, here: Path) -> None:
    """Whatever it was asked by: another seed, or words that agree where the name of the file ends."""
    long = "the quick brown fox jumps over the lazy dog and "
    for seed, prompt in (("1", "fox"), ("2", "fox"), ("1", f"{long}sleeps"), ("1", f"{long}runs")):
        assert generate(str(folder), prompt, "--seed", seed, "-n", "2", "--max-tokens", "6", "--out", "made") == 0
    made = sorted(file.name for file in (here / "made").iterdir())
    assert made[:4] == [f"fox-{number:04}.txt" for number in range(4)] and len(made) == 8
    assert len({file.read_text() for file in (here / "made").glob("the-*.txt")}) == 4
    for _ in range(2):
        assert generate(str(folder), "fox", "-n", "2", "--max-tokens", "6", "--out", "made/x.txt") == 0
    assert [file.name for file in sorted((here / "made").glob("x*"))] == [f"x-{n:04}.txt" for n in range(4)]
    assert generate(str(folder), "fox", "--max-tokens", "6", "--out", "made/x.txt") == 0
    assert (here / "made" / "x.txt").exists()


@pytest.mark.parametrize(
    ("out", "said"), [("x.png", "what is made is a .txt file"), ("letter.txt/x.txt", "letter.txt is no folder")]
)
def test_a_place_that_takes_nothing_is_refused_before_the_work(
    folder: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], out: str, said: str
) -> None:
    (here / "letter.txt").write_text("Dear all")
    monkeypatch.setattr("genwright.api.Generator", lambda *given: pytest.fail("a model was opened"))
    assert generate(str(folder), "fox", "--out", out) == 2
    assert said in capsys.readouterr().err


def test_a_prompt_as_long_as_it_likes_is_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate("typo", "a" * 400) == 2
    assert "typo: neither a run nor a model folder" in capsys.readouterr().err
    assert generate("a" * 400) == 2
    assert "neither a run nor a model folder" in capsys.readouterr().err


def test_a_byte_order_mark_belongs_to_no_prompt(folder: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "plain.txt").write_bytes(b"the fox")
    (here / "marked.txt").write_bytes(b"\xef\xbb\xbfthe fox")
    (here / "schema.json").write_bytes(b'\xef\xbb\xbf{"enum": ["red"]}')
    for option in ("--prompt-file", "--continue"):
        said = []
        for name in ("plain", "marked"):
            assert generate(str(folder), option, f"{name}.txt", "--max-tokens", "9", "--temperature", "0") == 0
            said.append(capsys.readouterr().out)
        assert said[0] == said[1]
    assert generate(str(folder), "", "--json-schema", "@schema.json") == 0
    assert capsys.readouterr().out == '"red"\n'
    assert generate(str(folder), "--continue", "marked.txt", "--out", "marked.txt", "--max-tokens", "9") == 0
    assert (here / "marked.txt").read_bytes().startswith(b"\xef\xbb\xbfthe fox")
    done = [sys.executable, "-m", "genwright", "generate", str(folder), "-", "--max-tokens", "9", "--temperature", "0"]
    piped = subprocess.run(done, input=b"\xef\xbb\xbfthe fox", capture_output=True, timeout=120)
    assert piped.stdout.startswith(b"the fox"), piped.stderr


def test_an_option_is_named_as_it_is_typed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(str(folder), "fox", "-n", "0") == 2
    assert capsys.readouterr().err.startswith("genwright: -n: ")
    assert generate(str(folder), "fox", "--max-tokens", "0") == 2
    assert capsys.readouterr().err.startswith("genwright: --max-tokens: ")
    with pytest.raises(RequestError, match=r"^there is no `temprature`; did you mean `temperature`\?$"):
        Generator(folder, "cpu").generate("fox", temprature=1)


@pytest.mark.parametrize("content", ["", " \n\t\n"])
def test_a_prompt_with_nothing_in_it_is_one_sentence(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prompt.txt").write_text(content, encoding="utf-8")
    with pytest.raises(
        RequestError, match=r"^--prompt-file .*prompt.txt: (empty|only white space in it); give a prompt"
    ):
        read_prompt(None, tmp_path / "prompt.txt")
    monkeypatch.setattr("sys.stdin", io.StringIO(content))
    with pytest.raises(RequestError, match=r"^standard input: "):
        read_prompt("-", None)
