"""`genwright chat`: a conversation in the terminal, or through a pipe, one message a line.

Every answer goes by `Generator.answer`, the one path that the command line, Python and the server share; here stand only the
conversation itself, its commands and what is printed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genwright.cli.deliver import oldest
from genwright.cli.options import HELP_NAMES, check, options_of, taken_out
from genwright.errors import RequestError
from genwright.files import quoted
from genwright.registry import about, families_of
from genwright.request import checked, opening_class, request_class
from genwright.run import task_and_family

if TYPE_CHECKING:
    from genwright.api import Generator

HELP = """\
/reset          forget the conversation, keep the system prompt
/system TEXT    how the assistant is to behave; without a text: show it. The conversation begins anew
/retry          another answer to the last message
/save FILE      write the conversation: as a line of JSON, which a recipe can learn from, or to a .txt or .md file as it reads
/help           this list
/quit           end (so does Ctrl-D); Ctrl-C stops an answer
"""

_NOT_ASKED = ("n", "messages")


def chat_command(arguments: list[str]) -> None:
    """Build the command with the options of the run's family, and call it."""
    command = command_for(families_of("chat")[0])
    command.main(args=arguments or ["--help"], prog_name="genwright chat", standalone_mode=False)


def command_for(family: str) -> click.Command:
    """The command as it is for the runs of a family."""
    schema, opening = request_class("chat", family), opening_class("chat", family)
    return click.Command(
        "chat",
        HELP_NAMES,
        params=[
            click.Argument(["run"], type=click.Path(path_type=Path)),
            click.Option(["--device"], help="cpu, cuda, cuda:1 or mps; default: the best there is."),
            click.Option(["--threads"], type=click.IntRange(min=1), help="Threads to compute with."),
            click.Option(["--debug"], is_flag=True, help="Show the traceback of an error."),
            *options_of(opening),
            *(option for option in options_of(schema) if option.name not in _NOT_ASKED),
        ],
        callback=lambda **options: _call(opening, **options),
        help="Talk with a trained run, in the terminal or through a pipe (one message a line).\n\n\b\n" + HELP,
    )


def _call(opening: Any, run: Path, device: str | None, threads: int | None, debug: bool, **options: Any) -> None:
    task, family = task_and_family(run)
    if not about(task).converses:
        raise RequestError(f"{run}: was trained to {task}, not to chat; use `genwright generate {quoted(run)}`.")
    how = taken_out(options, opening)
    request = check(request_class(task, family), options)
    if threads:
        import torch

        torch.set_num_threads(threads)
    from genwright.api import Generator

    opened = Generator(run, device, **how)
    assert opened.model  # read now, so that what is wrong with it ends the command
    Terminal(Conversation(opened, request)).talk()


class Conversation:
    """What was said so far, and the model that goes on with it."""

    def __init__(self, generator: Generator, request: Any):
        self.generator, self.request = generator, request
        self.system: str | None = request.system
        self.messages: list[dict[str, str]] = []
        self.asked = 0
        """Answers begun: each has a random stream of its own, so that a second try says something else."""
        self.left_out = 0
        """How many of the oldest messages the last answer was made without."""
        self.cut = False
        """Whether the last answer was cut, not ended."""

    def ask(self, text: str) -> Iterator[str]:
        """The answer to a message, in pieces; what came of it, also of one that is closed half way, is remembered."""
        return self._answer([*self.messages, {"role": "user", "content": text}])

    def retry(self) -> Iterator[str]:
        """Another answer to the last message. Raises RequestError when there is none."""
        last = next((i for i in reversed(range(len(self.messages))) if self.messages[i]["role"] == "user"), None)
        if last is None:
            raise RequestError("there is no message to answer again.")
        return self._answer(self.messages[: last + 1])

    def reset(self) -> None:
        self.messages, self.left_out = [], 0

    def record(self) -> list[dict[str, str]]:
        """The whole conversation, the system prompt first."""
        return ([{"role": "system", "content": self.system}] if self.system else []) + self.messages

    def _answer(self, messages: list[dict[str, str]]) -> Iterator[str]:
        model = self.generator.model
        task: Any = model.task
        system = [{"role": "system", "content": self.system}] if self.system else []
        _, self.left_out = task.opening(model, system + messages, self.request.max_tokens)
        # The schema's own message type stands behind `messages`, so the request is checked again.
        more = {"messages": messages, "system": self.system, "prompt": "", "seed": self.request.seed + self.asked}
        request = checked(type(self.request), {**self.request.model_dump(exclude_unset=True), **more})
        self.asked += 1
        said = ""
        pieces: Any = self.generator.answer(request)
        self.cut = False
        try:
            for piece in pieces:
                self.cut = piece.finish == "length"
                text = piece.data if said else piece.data.lstrip()
                said += text
                if text:
                    yield text
        finally:
            pieces.close()
            self.messages = [*messages, {"role": "assistant", "content": said.rstrip()}] if said.strip() else messages


class Terminal:
    """Reads lines and shows answers. Without a terminal on standard input nothing but the answers is printed."""

    def __init__(self, conversation: Conversation):
        self.conversation = conversation
        self.interactive = sys.stdin.isatty()
        self._told = False
        self._commands: dict[str, Callable[[str], None]] = {
            "/reset": self._reset,
            "/system": self._system,
            "/retry": lambda _: self._show(self.conversation.retry()),
            "/save": self._save,
            "/help": lambda _: print(HELP, end=""),
        }

    def talk(self) -> None:
        if self.interactive:
            with suppress(ImportError):
                import readline  # noqa: F401 - gives input() a history and editing
            print("Say something; /help lists the commands, Ctrl-D ends.")
        while True:
            try:
                line = input("> " if self.interactive else "").strip()
            except EOFError:
                if self.interactive:
                    print()
                return
            except KeyboardInterrupt:
                print()
                continue
            if line == "/quit":
                return
            try:
                self._take(line)
            except RequestError as error:
                print(f"genwright: {error}", file=sys.stderr)

    def _take(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word in self._commands:
            self._commands[word](rest.strip())
        elif line.startswith("/"):
            raise RequestError(f"there is no command {word}; /help lists them.")
        elif line:
            self._show(self.conversation.ask(line))

    def _show(self, pieces: Iterator[str]) -> None:
        """Print an answer as it comes; Ctrl-C ends the answer and nothing else."""
        said = False
        try:
            for piece in pieces:
                self._tell()
                said = said or bool(piece.strip())
                print(piece, end="", flush=True)
        except KeyboardInterrupt:
            print(" [stopped]", end="")
        finally:
            getattr(pieces, "close", lambda: None)()
        print(flush=True)
        if not said:
            print("The model answered with no words; /retry asks it again.", file=sys.stderr, flush=True)
        if self.conversation.cut:
            print("The answer was cut, where --max-tokens or the model's context ends.", file=sys.stderr, flush=True)

    def _tell(self) -> None:
        """Say once that the model no longer sees the beginning."""
        left_out = self.conversation.left_out
        if left_out and not self._told:
            self._told = True
            print(
                f"genwright: the conversation is longer than the model's context; {oldest(left_out)} left out, and older ones will be as "
                "it goes on.",
                file=sys.stderr,
                flush=True,
            )

    def _reset(self, _: str) -> None:
        self.conversation.reset()
        self._told = False
        print("The conversation is forgotten; a new one begins.", file=sys.stderr, flush=True)

    def _system(self, text: str) -> None:
        if not text:
            print(self.conversation.system or "(no system prompt)")
            return
        self.conversation.system = text
        self._reset("")

    def _save(self, name: str) -> None:
        if not name:
            raise RequestError("/save needs the name of a file.")
        save(self.conversation.record(), Path(name).expanduser())
        print(f"saved to {name}", file=sys.stderr)


def save(messages: Sequence[dict[str, str]], file: Path) -> None:
    """Append a conversation to a file. Raises RequestError where that can't be done."""
    if file.suffix.lower() in (".txt", ".md"):
        text = "\n\n".join(f"{message['role']}: {message['content']}" for message in messages) + "\n\n"
    else:
        text = json.dumps({"messages": list(messages)}, ensure_ascii=False) + "\n"
    try:
        with file.open("a", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise RequestError(f"{file}: can't be written ({error.strerror}); name another file.") from error
