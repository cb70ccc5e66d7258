"""`genwright generate`: a command whose options are those of the run's task and family."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from genwright.about import About
from genwright.cli.deliver import deliver, read_prompt, read_text
from genwright.cli.options import check, options_of, taken_out
from genwright.errors import RequestError
from genwright.registry import about
from genwright.request import opening_class, request_class
from genwright.run import model_folder

_LONGEST_PROMPT = 1_000_000
"""Characters of a prompt that are looked at: its end, far more than any model sees at once."""

_CONTINUE = (
    "Go on from the end of a text file; with --out FILE the whole is written, old and new (FILE may be the same)."
)


def generate_command(arguments: list[str]) -> None:
    """Find the run among the arguments, build the command that fits it, and call it."""
    words = [a for a in arguments if not a.startswith("-")]
    # An option's value may stand before the run: the run is the first word that is a folder.
    folder = next((a for a in words if Path(a).is_dir()), words[0] if words else None)
    schema, opening, told = None, None, None
    if folder is not None:
        task, family = task_and_family(Path(folder))
        schema, opening, told = request_class(task, family), opening_class(family), about(task)
    command = _command(schema, opening, told)
    command.main(args=arguments or ["--help"], prog_name="genwright generate", standalone_mode=True)


def task_and_family(folder: Path) -> tuple[str, str]:
    file = model_folder(folder) / "config.json"
    try:
        about = json.loads(file.read_text(encoding="utf-8"))["genwright"]
        return about["task"], about["family"]
    except (OSError, ValueError, KeyError) as error:
        raise RequestError(f"{file}: not the config of a Genwright model; name a run or its model folder.") from error


def _command(schema: Any, opening: Any, told: About | None) -> click.Command:
    """The command for a task's requests; without a run, all that any of them may have."""
    fixed: list[click.Parameter] = [
        click.Argument(["run"], type=click.Path(path_type=Path)),
        click.Argument(["prompt"], required=False),
        click.Option(["--prompt-file"], type=click.Path(path_type=Path), help="Read the prompt from a file."),
        click.Option(["--out"], type=click.Path(path_type=Path), help="A file or a folder for what is made."),
        click.Option(["--device"], help="cpu, cuda, cuda:1 or mps; default: the best there is."),
        click.Option(["--threads"], type=click.IntRange(min=1), help="Threads to compute with."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print JSON Lines, one an output."),
        click.Option(["--debug"], is_flag=True, help="Show the traceback of an error."),
    ]
    if told is None or told.continues:
        file = click.Path(path_type=Path)
        fixed.append(click.Option(["--continue", "go_on"], type=file, metavar="FILE", help=_CONTINUE))
    asked = [option for asking in (opening, schema) if asking for option in options_of(asking)]

    def call(
        run: Path,
        prompt: str | None,
        prompt_file: Path | None,
        out: Path | None,
        device: str | None,
        threads: int | None,
        as_json: bool,
        debug: bool,
        go_on: Path | None = None,
        **options: Any,
    ) -> None:
        if go_on is not None and (prompt is not None or prompt_file is not None):
            raise RequestError("--continue takes its prompt from the file; give no other prompt beside it.")
        how = taken_out(options, opening)
        text = read_prompt(prompt, prompt_file) if go_on is None else read_text(go_on, "--continue")
        request = check(schema, {"prompt": text[-_LONGEST_PROMPT:].replace("\r\n", "\n"), **options})
        if threads:
            import torch

            torch.set_num_threads(threads)
        from genwright.api import Generator

        generator = Generator(run, device, **how)
        answer = generator.model.task.answer(generator.model, request, generator.engine)
        assert told is not None  # a run that is none was refused before
        around = told.around(request) if told.around else None
        deliver(answer, text, getattr(request, "n", 1), out, as_json, continued=go_on, around=around, echo=told.echo)

    help_text = "Make something new with a trained run." + (
        "" if schema else " Name a run to see the options of its task."
    )
    return click.Command("generate", params=[*fixed, *asked], callback=call, help=help_text)
