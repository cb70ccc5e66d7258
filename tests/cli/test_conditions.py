"""`genwright generate` of a writing model with conditions: what is typed, what is seen, what is refused."""

import json
from pathlib import Path

import pytest
import torch

from genwright.cli.app import main
from genwright.ledger import Item
from genwright.model import Model, ModelConfig
from genwright.model_folder import build_parts, save
from genwright.recipe import recipe_class
from genwright.tasks.text.sizes import network_for
from genwright.tasks.write.task import Write

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """An untrained model that knows authors and titles."""
    schema = recipe_class("write", "transformer")
    prepare = schema.model_fields["prepare"].annotation(condition=["author", "title"], tokenizer="characters")
    task = Write(prepare, schema.model_fields["model"].annotation(), "transformer")
    rows = [
        Item(id=str(i), source="t", path="t.json", row=i, fields={"text": text, "author": "李白", "title": "月夜"})
        for i, text in enumerate(("床前明月光，疑是地上霜。", "舉頭望明月，低頭思故鄉。"))
    ]
    facts = task.fit(rows)
    config = ModelConfig(
        family="transformer", network=network_for(1, 32, 64, facts.size).model_dump(), batch=1, title="random"
    )
    torch.manual_seed(0)
    made = tmp_path_factory.mktemp("conditions") / "model"
    save(Model(task, config, facts, build_parts(task, config, facts, CPU), CPU), made)
    return made


def generate(folder: Path, *arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["generate", str(folder), *arguments])
    return stopped.value.code if isinstance(stopped.value.code, int) else 0


def test_conditions_are_asked_for_by_name(folder, capsys):
    assert generate(folder, "--condition", "author=李白", "--condition", "title=月夜", "--max-tokens", "20") == 0
    one = capsys.readouterr().out
    assert generate(folder, "--condition", "title=月夜", "--max-tokens", "20") == 0
    assert one != capsys.readouterr().out
    assert generate(folder, "床前", "--max-tokens", "8") == 0
    assert capsys.readouterr().out.startswith("床前")


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("autor=李白", "there is no condition `autor`; this model knows author, title."),
        ("author", "write it as NAME=VALUE; this model knows author, title."),
        ("title= ", "write it as NAME=VALUE"),
    ],
)
def test_conditions_that_are_not_known(folder, capsys, condition, said):
    assert generate(folder, "--condition", condition) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_file_is_continued_on_standard_output(folder, tmp_path, capsys):
    file = tmp_path / "story.md"
    file.write_bytes("舉頭\r\n望明月".encode())
    assert generate(folder, "--continue", str(file), "--max-tokens", "10") == 0
    new = capsys.readouterr().out
    assert new.strip() and "舉頭" not in new[:2]
    assert generate(folder, "舉頭\n望明月", "--max-tokens", "10", "--json") == 0
    assert json.loads(capsys.readouterr().out)["text"] == new.removesuffix("\n")


def test_a_file_is_continued_in_place_and_keeps_what_it_had(folder, tmp_path, capsys):
    file = tmp_path / "story.md"
    old = "舉頭\r\n望明月"
    file.write_bytes(old.encode())
    assert generate(folder, "--continue", str(file), "--out", str(file), "--max-tokens", "10") == 0
    assert capsys.readouterr().out.strip() == str(file)
    whole = file.read_bytes().decode()
    assert whole.startswith(old) and len(whole) > len(old)
    assert [path.name for path in tmp_path.iterdir()] == ["story.md"]


def test_a_file_is_continued_into_another_or_a_folder(folder, tmp_path, capsys):
    file, other = tmp_path / "story.txt", tmp_path / "new.txt"
    file.write_text("舉頭", encoding="utf-8")
    assert generate(folder, "--continue", str(file), "--out", str(other), "--max-tokens", "5") == 0
    assert other.read_text(encoding="utf-8").startswith("舉頭")
    assert (
        generate(folder, "--continue", str(file), "--out", str(tmp_path / "all"), "-n", "2", "--max-tokens", "5") == 0
    )
    assert sorted(p.name for p in (tmp_path / "all").iterdir()) == ["story-0000.txt", "story-0001.txt"]
    assert file.read_text(encoding="utf-8") == "舉頭"
    capsys.readouterr()


def test_a_long_file_is_continued_from_its_end(folder, tmp_path, capsys):
    file = tmp_path / "long.txt"
    outputs = []
    for start in ("月", "霜"):
        file.write_text(start * 500 + "床前明月光，疑是地上霜。" * 10, encoding="utf-8")
        assert generate(folder, "--continue", str(file), "--max-tokens", "10") == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]


def test_what_cannot_be_continued(folder, tmp_path, capsys):
    assert generate(folder, "--continue", str(tmp_path / "no.txt")) == 2
    assert f"--continue {tmp_path / 'no.txt'}: can't be read" in capsys.readouterr().err
    (tmp_path / "a.bin").write_bytes(b"\xff\xfe\x00")
    assert generate(folder, "--continue", str(tmp_path / "a.bin")) == 2
    capsys.readouterr()
    assert generate(folder, "a prompt", "--continue", str(tmp_path / "a.bin")) == 2
    assert "give no other prompt" in capsys.readouterr().err


def test_a_stop_string_ends_the_answer(folder, capsys):
    assert generate(folder, "--stop", "zz", "--max-tokens", "30", "--seed", "4") == 0
    whole = capsys.readouterr().out.removesuffix("\n")
    assert generate(folder, "--stop", whole[4:6], "--max-tokens", "30", "--seed", "4") == 0
    assert capsys.readouterr().out.removesuffix("\n") == whole[: whole.find(whole[4:6])]
