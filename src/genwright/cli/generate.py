"""`genwright generate`: a command whose options are those of the run's task and family."""

from __future__ import annotations

import codecs
import os
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from genwright.about import About, Around
from genwright.cli.deliver import Delivery, deliver, read_prompt, read_text
from genwright.cli.folders import each
from genwright.cli.options import HELP_NAMES, check, file_type, options_of, taken_out
from genwright.errors import RequestError
from genwright.files import quoted
from genwright.media.base import Sheets, medium
from genwright.registry import about
from genwright.request import Blob, opening_class, positional, request_class
from genwright.run import is_run_or_model, named, task_and_family

_LONGEST_PROMPT = 1_000_000
"""Characters of a prompt that are looked at: its end, far more than any model sees at once."""

_WITH_VALUE = ("--out", "--prompt-file", "--continue", "--device", "--threads", "--weights")
"""Options of every run, each with a value behind it that may be the name of a folder."""

_FORMS = {"json_schema", "regex"}
"""Fields of a request that ask for a form which an answer has only when it is whole."""

_OUT = "A file or a folder for what is made; - writes it to standard output."
_CONTINUE = (
    "Go on from the end of a text file; with --out FILE the whole is written, old and new (FILE may be the same)."
)
_GRID = "Also lay all of them side by side in one file, with the words below each."


def generate_command(arguments: list[str]) -> None:
    """Find the run among the arguments, build the command that fits it, and call it."""
    folder = _run_among(arguments)
    command = _command(None, None, None) if folder is None else command_for(*task_and_family(Path(folder)))
    command.main(args=arguments or ["--help"], prog_name="genwright generate", standalone_mode=False)


def command_for(task: str, family: str) -> click.Command:
    """The command as it is for the runs of a task by a family."""
    return _command(request_class(task, family), opening_class(task, family), about(task))


def _run_among(arguments: list[str]) -> str | None:
    """The first word that is a run or a model folder, for the value of an option may stand before it; else the first folder or word."""
    words = [a for before, a in pairwise(["", *arguments]) if not a.startswith("-") and before not in _WITH_VALUE]
    fits = (is_run_or_model, lambda path: is_run_or_model(named(path)), os.path.isdir, lambda _: True)
    return next((word for fit in fits for word in words if fit(Path(word))), None)


def _command(schema: Any, opening: Any, told: About | None) -> click.Command:
    """The command for a task's requests; without a run, all that any of them may have."""
    bare = positional(schema) if schema else "prompt"
    takes_file = bool(schema and bare and file_type(schema.model_fields[bare]) is Blob)
    fixed = _fixed(bare, takes_file, told)
    asked = [option for asking in (opening, schema) if asking for option in options_of(asking)]

    def call(
        run: Path,
        prompt: str | None,
        out: Path | None,
        device: str | None,
        threads: int | None,
        as_json: bool,
        debug: bool,
        prompt_file: Path | None = None,
        go_on: Path | None = None,
        grid: bool = False,
        **options: Any,
    ) -> None:
        if go_on is not None and (prompt is not None or prompt_file is not None):
            raise RequestError("--continue takes its prompt from the file; give no other prompt beside it.")
        how = taken_out(options, opening)
        if bare is None and prompt is not None:
            raise RequestError(
                f"{run} takes no prompt; `genwright generate {quoted(run)} --help` lists what may be asked."
            )
        assert told is not None  # a run that is none was refused before
        if threads:
            import torch

            torch.set_num_threads(threads)
        made = medium(told.medium)

        @cache
        def model() -> Any:
            from genwright.api import Generator

            return Generator(run, device, **how)

        def answer(request: Any, delivery: Delivery) -> None:
            delivery.check(made)  # before minutes are spent on what then has no place
            deliver(model().answer(request), delivery)

        delivery = Delivery(
            n=options.get("n") or 1,
            out=out,
            as_json=as_json,
            continued=go_on,
            echo=told.echo and not takes_file,
            grid=grid,
        )
        if takes_file and bare and prompt and Path(prompt).is_dir():
            return each(Path(prompt), bare, schema, options, delivery, made, answer)
        text, asked_for = (Path(prompt or "").stem, prompt) if takes_file else _words(prompt, prompt_file, go_on)
        request = check(schema, options | ({bare: asked_for} if bare else {}))
        delivery = replace(
            delivery,
            prompt=text,
            around=told.around(request) if told.around else _around(go_on, text),
            guided=bool(_FORMS & request.model_fields_set),
        )
        answer(request, delivery)

    help_text = "Make something new with a trained run." + (
        "" if schema else " Name a run to see the options of its task."
    )
    return click.Command("generate", HELP_NAMES, call, [*fixed, *asked], help=help_text)


def _words(prompt: str | None, file: Path | None, go_on: Path | None) -> tuple[str, str]:
    """The prompt, or the text to go on with, whole and as it is asked with."""
    text = read_prompt(prompt, file) if go_on is None else read_text(go_on, "--continue")
    return text, text[-_LONGEST_PROMPT:].replace("\r\n", "\n")


def _fixed(bare: str | None, takes_file: bool, told: About | None) -> list[click.Parameter]:
    """What does not come from the request: the run, its prompt (`bare`, the field that stands without a name), and where all of it goes."""
    metavar = "[FILE]" if takes_file else f"[{(bare or 'prompt').upper()}]"
    file = click.Path(path_type=Path)
    fixed: list[click.Parameter] = [
        click.Argument(["run"], type=file),
        click.Argument(["prompt"], required=False, metavar=metavar),
        click.Option(["--out"], type=file, help=_OUT),
        click.Option(["--device"], help="cpu, cuda, cuda:1 or mps; default: the best there is."),
        click.Option(["--threads"], type=click.IntRange(min=1), help="Threads to compute with."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print JSON Lines, one an output."),
        click.Option(["--debug"], is_flag=True, help="Show the traceback of an error."),
    ]
    if bare and not takes_file:
        fixed.insert(2, click.Option(["--prompt-file"], type=file, help="Read the prompt from a file."))
    if told is not None and isinstance(medium(told.medium), Sheets):
        fixed.append(click.Option(["--grid"], is_flag=True, help=_GRID))
    if told is None or told.continues:
        fixed.append(click.Option(["--continue", "go_on"], type=file, metavar="FILE", help=_CONTINUE))
    return fixed


def _around(go_on: Path | None, text: str) -> Around | None:
    """What stands before what is made in the file that is gone on with: all of it, a byte order mark too."""
    if go_on is None:
        return None
    mark = "\ufeff" if go_on.read_bytes().startswith(codecs.BOM_UTF8) else ""
    return Around(mark + text, "", go_on)
