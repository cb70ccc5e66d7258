"""What `genwright new` shows: what is there by ending, what is private, three examples as the model sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from genwright.survey.command import new
from genwright.survey.privacy import private_in

PROSE = "It was late, and the lamp had burned down to a small blue flame. "
TOKEN = "ghp_" + "a1B2" * 9


def written(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x\n-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        ("AKIAIOSFODNN7EXAMPLE", "key of Amazon Web Services"),
        (f"t = '{TOKEN}'", "token of GitHub"),
        ("DB_PASSWORD=hunter2hunter2", "password"),
        ("api_key: '9f86d081884c7d65'", "password"),
        ("postgres://ann:s3cret@host/db", "password in an address"),
        ("mail ann.b@site.org.", "e-mail address"),
        ("+49 170 1234567", "phone number"),
        ("(555) 123-4567", "phone number"),
        ("0170 1234567", "phone number"),
    ],
)
def test_what_is_private_is_found(text: str, kind: str) -> None:
    assert [one.kind for one in private_in("a", text)] == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "password = get_password()",
        "token_type_ids=token_type_ids",
        "password: '<your password>'",
        "@app.route('/a.b')",
        "a@example.com",
        "git@github.com:ann/tool.git",
        "2023-01-02 03:04:05.678901",
        "3.14159265358979323846",
        "a task-force-of-many-people-and-more",
        "https://site.org:8080/a@b",
    ],
)
def test_what_is_not_private_is_not(text: str) -> None:
    assert list(private_in("a", text)) == []


def test_private_things_are_told_with_a_place_and_never_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "notes"
    for number in range(4):
        written(folder, f"{number}.md", f"# {number}\n{PROSE * 40}")
    written(folder, "mail.md", f"{PROSE}\nAsk ann.b@site.org or +49 170 1234567.\n{PROSE}")
    written(folder, "more.md", f"{PROSE}\n\nben@site.org\ntoken: {TOKEN}\n")
    written(folder, ".env", f"KEY={TOKEN}\n")  # hidden, so it is not learned
    new(folder)
    said = capsys.readouterr().out
    assert "e-mail addresses in 2 files, such as mail.md line 2" in said
    assert "phone numbers in 1 file, such as mail.md line 2" in said
    assert "keys or passwords in 1 file, such as a token of GitHub in more.md line 4" in said
    listed = said.partition("examples, as the model")[0]
    assert TOKEN not in listed and "1234567" not in listed


def test_what_is_there_by_ending_taken_and_left_within_80_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tool"
    for number in range(12):
        written(folder, f"part{number}.py", f"def part{number}():\n" + f"    return {number}\n" * 150)
    for name in ("pyproject.toml", "README.md", "node_modules/a/index.js", "secret.py"):
        written(folder, name, "words = 1\n")
    written(folder, ".gitignore", "secret.py\n")
    Image.new("RGB", (8, 8)).save(folder / ("picture of " + "a very long name " * 9 + ".png"))
    new(folder)
    said = capsys.readouterr().out
    table = said.partition("What `complete` takes of it:\n")[2].partition("\n\n")[0].splitlines()
    assert all(len(line) <= 80 for line in table)
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in table}
    assert rows[".py"].startswith("13 12 1 1 ignored (named in .gitignore)")
    assert rows[".md"] == "1 0 1 1 not what complete is for: README.md"
    assert rows[".png"].startswith("1 0 1 1 image, not text")
    assert rows["(folders)"].startswith("1 0 1 1 ignored (other people's code")


def test_examples_of_a_conversation_mark_what_is_learned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = (
        {
            "messages": [
                {"role": "user", "content": f"Question {n}?"},
                {"role": "assistant", "content": f"Answer {n}.\nTwice."},
            ]
        }
        for n in range(30)
    )
    written(tmp_path / "talks", "a.jsonl", "\n".join(map(json.dumps, rows)))
    new(tmp_path / "talks")
    shown = capsys.readouterr().out.partition(
        "3 examples, as the model will see them; what is learned is marked by >:"
    )[2]
    first = shown.strip().split("\n\n")[0].splitlines()
    number = first[0].split()[-1]
    assert [line.strip() for line in first] == [
        f"a.jsonl row {number}",
        "| <|im_start|>user",
        f"| Question {number}?<|im_end|>",
        "| <|im_start|>assistant",
        f"> Answer {number}.",
        "> Twice.<|im_end|>",
    ]


def test_examples_of_code_have_a_hole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(12):
        written(tmp_path / "tool", f"part{number}.py", f"def part{number}(x):\n" + f"    x = x + {number}\n" * 150)
    new(tmp_path / "tool")
    shown = capsys.readouterr().out.partition("examples, as the model will see them; ")[2]
    for mark in ("<|file_sep|>part", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"):
        assert f"| {mark}" in shown
    assert "\n  > " in shown and "<|endoftext|>" in shown


def test_examples_of_pictures_have_their_words_and_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "stamps"
    folder.mkdir()
    for number in range(60):
        Image.new("RGB", (20 + number, 30), (4 * number, 0, 0)).save(folder / f"{number}.png")
        written(folder, f"{number}.txt", f"A Red Heart of Size {number}")
    new(folder)
    shown = capsys.readouterr().out.partition("3 examples, as the model will see them:")[2]
    item, words = shown.strip().split("\n\n")[0].splitlines()
    number = int(item.partition(".png")[0])
    assert item == f"{number}.png, {20 + number} x 30 pixels"
    assert words == f'  | 16 x 16 pixels, with the words "a red heart of size {number}"'


def test_each_kind_of_reading_is_told_of_files_and_none_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    prose = "Die Lampe war zu einer kleinen Flamme niedergebrannt, und es wurde spät. " * 20
    for number, (ending, encoding) in enumerate((("txt", "utf-16"), ("md", "utf-32"), ("txt", "cp1252"))):
        (folder / f"{number}.{ending}").write_bytes(f"{number} {prose}".encode(encoding))
    for number, mark in enumerate(("<|endoftext|>", "<|end_of_text|>")):
        written(folder, f"end{number}.txt", f"{prose} {number}\n{mark}\n" * 3)
    written(folder, "page.html", f"<html><body><p>{prose}</p></body></html>")
    written(folder, "drawing.txt", f'<svg xmlns="http://www.w3.org/2000/svg"><text>{prose}</text></svg>')
    Image.new("RGB", (20, 30)).save(folder / "photo.png")
    new(folder)
    told = capsys.readouterr().out.partition("\n\n")[0].splitlines()
    assert "of them" not in " ".join(told)  # the line above is about pictures
    assert any(line.startswith("  1 file: a web page, read by lxml") for line in told)
    for what in ("read as utf-16", "read as utf-32", "read as cp1252", "lines end in <|endoftext|>"):
        assert any(line.startswith(f"  1 file: {what}") for line in told), what


def test_examples_say_no_counts_of_the_few_that_they_were_chosen_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "stamps"
    folder.mkdir()
    for number in range(70):
        Image.new("RGB", (20 + number, 30), (3 * number, 0, 0)).save(folder / f"{number}.png")
        written(folder, f"{number}.txt", f"{number} " + " ".join(f"word{part}" for part in range(60)))
    new(folder)
    said = capsys.readouterr()
    assert "with the words" in said.out
    assert "captions are longer" not in said.err


@pytest.mark.parametrize("many", [False, True])
def test_a_command_that_would_be_refused_is_not_offered(
    many: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "stamps"
    folder.mkdir()
    for number in range(60 if many else 10):
        Image.new("RGB", (20, 30), (4 * number, 0, 0)).save(folder / f"{number}.png")
    file = new(folder, shown=False)
    said = capsys.readouterr().out
    assert ("It is too little to learn from: add data first." in said) != many
    assert said.rstrip().endswith("genwright run stamps.yaml" + ("" if many else " --anyway"))
    assert ("run stamps.yaml --anyway" in file.read_text(encoding="utf-8")) != many


def test_a_little_is_not_told_as_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "texts", "a.txt", PROSE * 10)
    new(tmp_path / "texts", shown=False)
    assert f"1 file, {len(PROSE) * 10} B usable" in capsys.readouterr().out


def test_json_has_endings_and_examples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "texts", "a.txt", PROSE * 60)
    written(tmp_path / "texts", "b.csv", "a,b\n1,2\n3,4\n")
    new(tmp_path / "texts", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["endings"] == {".txt": {"taken": 1}, ".csv": {"figures or a table without sentences": 1}}
    assert told["examples"][0]["passages"][0]["text"] == PROSE * 60 + "<|endoftext|>"
