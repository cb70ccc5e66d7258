"""Talking in the terminal: commands, history, stopping, and a pipe that has one message a line."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from genwright.cli.chat import Conversation, Terminal, save
from genwright.errors import RequestError
from genwright.media.base import Media
from genwright.request import request_class

Request = request_class("chat", "transformer")


class Echo:
    """A task that answers by what it was asked: enough to see what reaches it. The real one is in tests/tasks/test_tasks_chat.py."""

    def __init__(self, context: int = 100):
        self.context, self.requests, self.closed = context, [], 0

    def opening(self, model, messages, max_tokens):
        return [], max(len(messages) - self.context, 0)

    def answer(self, model, request, engine):
        self.requests.append(request)
        try:
            for word in ["  You ", "said ", request.messages[-1].content]:
                yield Media("text", word, 0, False)
            yield Media("text", "", 0, True)
        finally:
            self.closed += 1


def conversation(task: Echo, **options) -> Conversation:
    model = SimpleNamespace(task=task)
    generator = SimpleNamespace(model=model, answer=lambda request: task.answer(model, request, None))
    return Conversation(generator, Request(**options))  # type: ignore[arg-type]


def test_every_answer_sees_what_was_said_before_and_has_a_random_stream_of_its_own() -> None:
    task = Echo()
    talk = conversation(task, system="Be kind", seed=5)
    assert "".join(talk.ask("Hello")) == "You said Hello"
    assert "".join(talk.ask("And?")) == "You said And?"
    last = task.requests[-1]
    assert [m.content for m in last.messages] == ["Hello", "You said Hello", "And?"]
    assert last.system == "Be kind" and last.prompt == "" and [r.seed for r in task.requests] == [5, 6]
    assert [m["role"] for m in talk.record()] == ["system", "user", "assistant", "user", "assistant"]


def test_another_answer_replaces_the_last_one() -> None:
    task = Echo()
    talk = conversation(task)
    with pytest.raises(RequestError, match="no message"):
        list(talk.retry())
    list(talk.ask("Hello"))
    list(talk.retry())
    assert len(talk.messages) == 2 and [r.seed for r in task.requests] == [0, 1]
    talk.reset()
    assert talk.record() == []


def test_an_answer_that_is_stopped_is_kept_as_far_as_it_came() -> None:
    task = Echo()
    talk = conversation(task)
    pieces = talk.ask("Hello")
    assert next(pieces) == "You "
    pieces.close()
    assert talk.messages == [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "You"}]
    assert task.closed == 1, "the engine's slot is given back"


def test_control_c_ends_the_answer_and_not_the_program(monkeypatch, capsys) -> None:
    task = Echo()
    terminal = Terminal(conversation(task))
    lines = iter(["Hello", KeyboardInterrupt, "Still here?", EOFError])

    def typed(prompt: str = "") -> str:
        line = next(lines)
        if isinstance(line, str):
            return line
        raise line

    broken = [True]
    answer = task.answer

    def interrupted(model, request, engine):
        for number, piece in enumerate(answer(model, request, engine)):
            if broken and number == 1:
                broken.clear()
                raise KeyboardInterrupt
            yield piece

    task.answer = interrupted
    monkeypatch.setattr("builtins.input", typed)
    terminal.talk()
    assert "You  [stopped]" in capsys.readouterr().out
    assert [m["content"] for m in terminal.conversation.messages] == [
        "Hello",
        "You",
        "Still here?",
        "You said Still here?",
    ]


def run_lines(terminal: Terminal, lines: list[str], monkeypatch) -> None:
    left = iter(lines)

    def typed(prompt: str = "") -> str:
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", typed)
    terminal.talk()


def test_commands(monkeypatch, capsys, tmp_path: Path) -> None:
    file, text = tmp_path / "talk.jsonl", tmp_path / "talk.md"
    task = Echo()
    terminal = Terminal(conversation(task))
    lines = [
        "Hello",
        f"/save {file}",
        "/system Be short",
        "/system",
        "Hi",
        f"/save {text}",
        "/reset",
        f"/save {file}",
        "/save",
    ]
    run_lines(terminal, [*lines, "/nonsense", "/help", "/quit", "never read"], monkeypatch)
    shown = capsys.readouterr()
    assert shown.out.startswith("You said Hello\nBe short\nYou said Hi\n") and "/retry" in shown.out
    assert shown.err.count("The conversation is forgotten; a new one begins.") == 2, "by /system and by /reset"
    assert "there is no command /nonsense" in shown.err and "/save needs the name of a file" in shown.err
    first, second = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    assert [m["content"] for m in first["messages"]] == ["Hello", "You said Hello"]
    assert second["messages"] == [{"role": "system", "content": "Be short"}]
    assert text.read_text(encoding="utf-8") == "system: Be short\n\nuser: Hi\n\nassistant: You said Hi\n\n"
    assert len(task.requests) == 2
    with pytest.raises(RequestError, match="can't be written"):
        save([], tmp_path / "no" / "where.jsonl")


def test_a_full_context_is_said_once(monkeypatch, capsys) -> None:
    terminal = Terminal(conversation(Echo(context=2)))
    run_lines(terminal, ["one", "two", "three", "four"], monkeypatch)
    assert capsys.readouterr().err.count("longer than the model's context") == 1


def test_an_answer_that_was_cut_is_said(monkeypatch, capsys) -> None:
    task = Echo()
    whole = task.answer

    def cut(model, request, engine):
        yield from whole(model, request, engine)
        yield Media("text", "", 0, True, {"finish": "length"})

    task.answer = cut
    run_lines(Terminal(conversation(task)), ["Hello"], monkeypatch)
    said = capsys.readouterr()
    assert said.out == "You said Hello\n" and said.err.startswith("The answer was cut")
