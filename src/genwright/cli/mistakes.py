"""What went wrong, in one sentence on standard error: one place for every command.

`--debug` shows where it happened instead. "unexpected" is said of nothing but mistakes of ours.
"""

from __future__ import annotations

import io
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from types import FrameType
from typing import Any

import click
import typer

from genwright.errors import GenwrightError, refused
from genwright.files import printable
from genwright.run import STAGES

_USAGE: tuple[type[Exception], ...] = (click.ClickException, *typer.BadParameter.__bases__)
"""A wrong command line; typer carries a click of its own beside the one that options by task are built with."""
_STOPPED = (KeyboardInterrupt, click.Abort, typer.Abort)
_INTERRUPTED, _TERMINATED = 130, 143
_GOES_ON = ("run", *STAGES)
_NO_OPTION, _NO_COMMAND = "there is no option {0}", "there is no command {0}"
_SAID = {
    r"No such option:? '?([^ ']+)'?.*": _NO_OPTION,
    r"No such command '(.*?)'.*": _NO_COMMAND,
    r"Missing (?:argument|option) '(.*?)'.*": "{0} is missing",
    r"Missing command": "say what is to be done",
    r"Invalid value for '(.*?)': (.*)": "{0}: {1}",
    r"Got unexpected extra arguments? ?\(?(?:s\) \()?(.*)\)": "{0}: more than this command takes",
    r"Option '(.*?)' requires (?:an argument|(\d+) arguments)": "{0} needs a value behind it",
}
"""What click says, and what we do."""
_OTHERS: dict[str, Callable[[Any], list[str]]] = {
    _NO_OPTION: lambda context: [name for one in context.command.params for name in one.opts],
    _NO_COMMAND: lambda context: context.command.list_commands(context),
}


def guarded(call: Callable[[], Any], arguments: list[str]) -> int:
    """Call, and return the exit status; an error is told. Raises what went wrong where --debug is among the arguments."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name need not be text that this terminal knows
    signals: list[str] = []
    try:
        with _terminating(signals):
            status = call()
        sys.stdout.flush()  # here, where a closed pipe is no traceback
        if status == _INTERRUPTED:  # how typer tells of Ctrl-C
            raise KeyboardInterrupt
        return status if isinstance(status, int) else 0
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except _USAGE as error:
        return _tell(_usage(error), 2)
    except _STOPPED:
        kept = (
            " what is done is kept, and the same command goes on." if arguments[:1] and arguments[0] in _GOES_ON else ""
        )
        by = f" by {signals[0]}" if signals else ""
        return _tell(f"stopped{by}{';' if kept else '.'}{kept}", _TERMINATED if by else _INTERRUPTED)
    except Exception as error:
        if "--debug" in arguments:
            raise
        return _tell(*_sentence(error))


@contextmanager
def _terminating(signals: list[str]) -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does: what was begun is tidied up, and one line says so. Its name is put into `signals`."""

    def end(number: int, frame: FrameType | None) -> None:
        signals.append(signal.Signals(number).name)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell(text: str, status: int) -> int:
    print(f"genwright: {printable(text)}", file=sys.stderr)
    return status


def _sentence(error: Exception) -> tuple[str, int]:
    if isinstance(error, GenwrightError):
        return str(error), error.exit_status
    if isinstance(error, OSError) and (known := refused(error)):
        return known, 1
    return f"unexpected {type(error).__name__}: {error}; run again with --debug to see where.", 1


def _usage(error: Any) -> str:
    """What is wrong with a command line, and where help is."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "genwright"
    wrong, near = error.format_message().rstrip("."), ""
    for said, pattern in _SAID.items():
        if found := re.fullmatch(said, wrong, re.DOTALL):
            wrong = pattern.format(*found.groups())
            known = _OTHERS[pattern](context) if context and pattern in _OTHERS else []
            near = _nearest(found[1], known)
    return f"{wrong}; {near}`{path} --help` shows what there is."


def _nearest(word: str, known: list[str]) -> str:
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}? " if near else ""
