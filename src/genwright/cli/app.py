"""The command line. Commands are thin: each imports what it needs when it is called, so that help needs no torch."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from genwright.cli.group import Panels
from genwright.cli.mistakes import guarded
from genwright.errors import RequestError
from genwright.version import __version__

app = typer.Typer(
    name="genwright",
    help="Train a generative model of your own data: collect, prepare, train, evaluate, export, generate.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    cls=Panels,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"genwright {__version__}")
        raise typer.Exit


@app.callback()
def _of_every_command(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version and exit.")
    ] = False,
) -> None: ...


RecipeFile = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="A recipe, one YAML file; or a run folder, to go on with it.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, like runs/demo-write.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe, like train.budget=2m."),
]
RunDir = Annotated[
    Path | None, typer.Option("--run-dir", metavar="DIR", help="The run folder; default: runs/<recipe's name>.")
]
Device = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1 or mps; default: the best there is.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Threads to compute with; default: one a core.")]
Offline = Annotated[bool, typer.Option("--offline", help="Use only what is in the cache; ask no registry.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Throw away what these stages made before, and start over.")]
Refit = Annotated[
    bool,
    typer.Option(
        "--refit", help="Measure tokenizer and statistics anew; if they are others now, the training starts over."
    ),
]
More = Annotated[str | None, typer.Option("--more", metavar="BUDGET", help="Train on for this much longer, like 30m.")]
Anyway = Annotated[bool, typer.Option("--anyway", help="Train on data that is too little for the model, too.")]
Profile = Annotated[
    bool,
    typer.Option("--profile", help="Show first where a training step's time goes, and keep a trace of some steps."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def _stages(
    recipe: Path,
    sets: list[str] | None,
    run_dir: Path | None,
    stages: list[str] | None,
    threads: int | None,
    **options: Any,
) -> Any:
    from genwright.stages.start import recipe_and_run

    loaded, run = recipe_and_run(recipe, sets, run_dir)
    _use_threads(threads)
    from genwright.run import STAGES
    from genwright.stages.pipeline import Options, run_stages

    run_stages(loaded, run, Options(**options), stages or list(STAGES))
    return run


def _use_threads(threads: int | None) -> None:
    if threads:
        import torch

        torch.set_num_threads(threads)


@app.command()
def run(
    recipe: RecipeFile,
    sets: Set = None,
    run_dir: RunDir = None,
    more: More = None,
    fresh: Fresh = False,
    refit: Refit = False,
    anyway: Anyway = False,
    profile: Profile = False,
    device: Device = None,
    threads: Threads = None,
    offline: Offline = False,
    debug: Debug = False,
) -> None:
    """All stages in order, skipping what is up to date."""
    options = {"more": more, "fresh": fresh, "refit": refit, "anyway": anyway, "profile": profile}
    made = _stages(recipe, sets, run_dir, None, threads, device=device, offline=offline, **options)
    from genwright.cli.summary import print_summary

    print_summary(made)


@app.command()
def plan(
    recipe: RecipeFile,
    sets: Set = None,
    run_dir: RunDir = None,
    device: Device = None,
    threads: Threads = None,
    offline: Offline = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """What it would cost: size, memory, disk, seconds a step and time to the end, measured by a few steps."""
    from genwright.stages.start import recipe_and_run

    loaded, run = recipe_and_run(recipe, sets, run_dir)
    _use_threads(threads)
    from genwright.stages.pipeline import Options, plan_run

    forecast = plan_run(loaded, run, Options(device=device, offline=offline))
    _print(forecast.model_dump(mode="json") if as_json else forecast)


def _stage_command(name: str, text: str) -> None:
    def command(
        recipe: RecipeFile,
        sets: Set = None,
        run_dir: RunDir = None,
        fresh: Fresh = False,
        refit: Refit = False,
        more: More = None,
        anyway: Anyway = False,
        profile: Profile = False,
        device: Device = None,
        threads: Threads = None,
        offline: Offline = False,
        as_json: Json = False,
        debug: Debug = False,
    ) -> None:
        options = {"more": more, "fresh": fresh, "refit": refit, "anyway": anyway, "profile": profile}
        made = _stages(recipe, sets, run_dir, [name], threads, device=device, offline=offline, **options)
        if as_json:
            _print(_result(made, name))

    app.command(name, help=text)(command)


for _name, _text in {
    "collect": "Only the first stage: go through the sources and account for every item.",
    "prepare": "Only this stage: turn the kept items into training examples.",
    "train": "Only this stage: train, or go on training.",
    "evaluate": "Only this stage: score the model beside floor, baseline and real data.",
}.items():
    _stage_command(_name, _text)


def _result(made: Any, stage: str) -> Any:
    if stage == "evaluate":
        return json.loads((made.stage("evaluate") / "scores.json").read_text(encoding="utf-8"))
    record = made.record(stage)
    return record.model_dump(mode="json") if record else {}


@app.command()
def export(
    target: Annotated[
        Path, typer.Argument(metavar="RECIPE|RUN", help="A recipe or a run folder; with --as a model folder too.")
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="FORMAT",
            help="hf, gguf or onnx for texts; onnx or diffusers for pictures; default: model/.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where it goes; default: export/FORMAT/TYPE in the run.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="How weights are stored: f32 (default), f16, q8_0.")
    ] = None,
    sets: Set = None,
    run_dir: RunDir = None,
    device: Device = None,
    threads: Threads = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the model for other programs, loaded there and compared before it is called done: model/, or --as hf, gguf, onnx, diffusers."""
    _use_threads(threads)
    from genwright.stages.start import recipe_and_run, run_folder

    if form is not None:
        from genwright.exporters.formats import export_as, show
        from genwright.run import named

        place, record = export_as(
            there if (there := named(target)).is_dir() else run_folder(target, run_dir).folder, form, out, kind
        )
        _print(record.model_dump(mode="json")) if as_json else show(place, record)
        return
    if out is not None or kind is not None:
        raise RequestError("--out and --type belong to --as; name a format: hf, gguf, onnx or diffusers.")
    recipe, made = recipe_and_run(target, sets, run_dir)
    from genwright.stages.pipeline import Options, run_stages

    run_stages(recipe, made, Options(device=device), ["export"])
    if as_json:
        _print(_result(made, "export"))
    else:
        print(made.stage("export"))


@app.command()
def report(
    target: Annotated[Path, typer.Argument(metavar="RECIPE|RUN", help="A recipe or a run folder.")],
    sets: Set = None,
    run_dir: RunDir = None,
    public: Annotated[bool, typer.Option("--public", help="Leave out every training item.")] = False,
    debug: Debug = False,
) -> None:
    """Write report.html, one page that opens offline."""
    from genwright.stages.pipeline import write_report
    from genwright.stages.start import recipe_and_run

    recipe, made = recipe_and_run(target, sets, run_dir)
    print(write_report(recipe, made, public=public))


@app.command()
def ledger(
    folder: RunFolder,
    dropped: Annotated[bool, typer.Option("--dropped", help="Only what was dropped, a line each.")] = False,
    item: Annotated[str | None, typer.Option("--item", metavar="PATH", help="The story of one file.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """What happened to each file and why."""
    from genwright.cli.ledger import show
    from genwright.run import open_run

    show(open_run(folder), dropped=dropped, item=item, as_json=as_json)


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of your own files, or a zip or tar file.")],
    task: Annotated[
        str | None, typer.Option("--task", help="The task to write a recipe for; default: what the folder is best for.")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Look at a folder, say what is in it and what it is good for, and write a recipe for it."""
    from genwright.survey.command import new as look_and_write

    terminal = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    look_and_write(folder, task, as_json=as_json, ask=_which_task if terminal else None)


def _which_task(tasks: Sequence[str]) -> str:
    import click

    return click.prompt(
        f"\nTwo tasks are near here. Which one do you mean: {' or '.join(tasks)}?",
        default=tasks[0],
        type=click.Choice(list(tasks)),
        show_choices=False,
    )


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def generate(context: typer.Context) -> None:
    """Make something new: genwright generate RUN [PROMPT] [-n N] [--seed S] [--out FILE_OR_DIR]; options by task: generate RUN --help."""
    from genwright.cli.generate import generate_command

    generate_command(context.args)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def chat(context: typer.Context) -> None:
    """Talk with a trained run: genwright chat RUN [--system "..."]; from a pipe, one message a line. Options: chat --help."""
    from genwright.cli.chat import chat_command

    chat_command(context.args)


@app.command()
def explain(
    folder: RunFolder,
    prompt: Annotated[
        str | None, typer.Argument(metavar="[PROMPT]", help="Words to draw: where was each of them looked at?")
    ] = None,
    nearest: Annotated[
        str | None, typer.Option("--nearest", metavar="TEXT", help="A generated passage: from which training texts?")
    ] = None,
    nearest_file: Annotated[
        Path | None,
        typer.Option(
            "--nearest-file", metavar="FILE", help="The same, read from a file; for a run that draws, a picture."
        ),
    ] = None,
    between: Annotated[
        tuple[str, str] | None,
        typer.Option("--between", metavar="PROMPT PROMPT", help="A strip of pictures from one prompt to another."),
    ] = None,
    direction: Annotated[
        str | None,
        typer.Option(
            "--direction",
            metavar="LABEL",
            help="A strip of pictures of PROMPT away from and towards a label, or words.",
        ),
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, max=100, help="How many training documents.")] = 5,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the pictures that are drawn.")] = 0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Where a generated passage or picture comes from (--nearest); how a picture follows its words (PROMPT, --between, --direction)."""
    if prompt is None and between is None and direction is None:
        from genwright.explain.view import explain_nearest

        explain_nearest(folder, nearest, nearest_file, n, as_json)
        return
    if nearest is not None or nearest_file is not None:
        raise RequestError("explain: --nearest asks another thing than a prompt does; ask for one of them at a time.")
    from genwright.explain.strips import explain_drawing

    explain_drawing(folder, prompt, between, direction, seed, as_json)


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Two or more runs of one task.")],
    out: Annotated[Path, typer.Option("--out", help="Where the page and the picture go.")] = Path("runs/compare"),
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Runs side by side: quality, diversity, stability, cost."""
    from genwright.compare.view import compare as compare_runs
    from genwright.compare.view import terminal

    comparison = compare_runs(folders, out)
    _print(comparison.model_dump(mode="json") if as_json else terminal(comparison))


@app.command()
def runs(
    action: Annotated[str, typer.Argument(metavar="list|show|rm")] = "list",
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="RUN...", help="A run's folder, or its name as it is listed.")
    ] = None,
    where: Annotated[Path, typer.Option("--where", help="The folder that holds the runs.")] = Path("runs"),
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask before removing.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """What is on this disk, how big, how good: runs; runs show NAME; runs rm NAME NAME."""
    from genwright.cli.runs import runs as show_runs

    show_runs(action, folders or [], where=where, yes=yes, as_json=as_json)


@app.command()
def doctor(as_json: Json = False, debug: Debug = False) -> None:
    """What this machine has, what is wrong with it, and what would help."""
    from genwright.doctor.view import diagnose

    found = diagnose(Path.cwd())
    _print(found.model_dump(mode="json") if as_json else found)


def _print(result: Any) -> None:
    if isinstance(result, dict | list):
        print(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        from rich.console import Console

        Console().print(result)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: every error that is meant for the user is one sentence on standard error."""
    given = sys.argv[1:] if arguments is None else arguments
    sys.exit(guarded(lambda: app(given, prog_name="genwright", standalone_mode=False), given))
