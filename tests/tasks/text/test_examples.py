"""What a text model's own held-out data has to ask for."""

from __future__ import annotations

import json
from pathlib import Path

from genwright import recipe
from genwright.ledger import WHOLE_ROW, Item
from genwright.model_folder import build_task
from genwright.shards import ExampleStore, write_part
from genwright.tasks.base import Asked, Splits
from genwright.tasks.write.task import first_words

SOURCE = "data: {sources: [{folder: nowhere}]}\nmodel: {layers: 1, width: 32, context: 256}"
LETTERS = "the quick brown fox (jumps) over: the lazy dog, and def main() of 'x' 0123456789?\n"


def example(task: str, held_out: list[Item], folder: Path, rest: str = "") -> Asked | None:
    made = build_task(recipe.parse(f"task: {task}\n{SOURCE}\n{rest}\n"))
    facts = made.fit(
        [Item(id="f", source="t", path="f.txt", fields={"text": LETTERS * 30, "author": "Ann"}), *held_out]
    )
    write_part(folder, [(item.id, example) for item in held_out for example in made.encode(item, facts)])  # type: ignore[misc]
    return made.example(facts, Splits({"test": ExampleStore([folder])}, {item.id: item for item in held_out}))


def test_first_words_are_a_beginning_that_a_shell_can_be_given() -> None:
    assert first_words("# Lesson 7\n\nThe cell is the smallest unit of life.") == "The cell is the smallest"
    assert first_words("- one two three four five six seven") == ""
    assert (
        first_words("床前明月光疑是地上霜舉頭望明月低頭思故鄉床前明月光疑是地上霜舉頭望明月低頭思故鄉")
        == "床前明月光疑是地上霜"
    )
    assert first_words("too short") == "" and first_words("") == ""


def test_a_note_begins_as_it_begins(tmp_path: Path) -> None:
    note = Item(id="n", source="t", path="n.txt", fields={"text": "the lazy dog, and the fox jumps over"})
    assert example("write", [note], tmp_path / "a") == Asked({"prompt": "the lazy dog, and the"}, "n")
    note = Item(id="n", source="t", path="n.txt", fields={"text": "fox", "author": "Ann", "year": "-1"})
    asked = example("write", [note], tmp_path / "b", "prepare: {condition: [author]}")
    assert asked == Asked({"condition": ["author=Ann"]}, "n")


def test_a_conversation_begins_with_its_question(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "the lazy\n dog?"}, {"role": "assistant", "content": "fox"}]
    more = [{"role": "user", "content": "over"}, {"role": "assistant", "content": "and over"}]
    row = Item(id="c", source="t", path="c.jsonl", row=0, fields={WHOLE_ROW: json.dumps({"messages": turns + more})})
    asked = example("chat", [row], tmp_path / "c", "prepare: {tokenizer: bpe, vocabulary: 300}")
    assert asked == Asked({"prompt": "the lazy dog?"}, "c")


def test_a_file_has_a_line_with_a_hole(tmp_path: Path) -> None:
    code = Item(id="p", source="t", path="p.py", fields={"text": "x\n\ndef over(the, lazy):\n    the fox\n"})
    assert example("complete", [code], tmp_path / "d") == Asked({"prefix": "def over(", "suffix": "):"}, "p")
    asked = example("complete", [code], tmp_path / "e", "prepare: {fim_rate: 0}")
    assert asked == Asked({"prompt": "def over("}, "p")
