"""A folder in the place of one file: each of its files is asked for in turn, and what is made goes into a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from genwright.cli.deliver import DEFAULT_FOLDER, Delivery
from genwright.cli.options import check, file_type, flag
from genwright.console import count, say
from genwright.errors import GenwrightError, RequestError, WorkError
from genwright.media.base import Medium
from genwright.request import Blob

Answer = Callable[[Any, Delivery], None]
"""Answers a checked request and delivers what comes of it."""


def each(
    folder: Path,
    bare: str,
    schema: type[BaseModel],
    options: Mapping[str, Any],
    how: Delivery,
    made: Medium,
    answer: Answer,
) -> None:
    """Answer the same request for every file of a folder, in order of their names. One that can't be worked on costs itself alone.

    Raises RequestError where the folder has none, or `out` is no other folder, and WorkError at the end where some could not be worked on.
    """
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.suffix.lower() in made.suffixes)
    out = how.out or DEFAULT_FOLDER
    if not files:
        raise RequestError(f"{folder}: no {made.noun} in it; name a file, or a folder that has some.")
    if out.is_file() or out.suffix.lower() in made.suffixes or out.resolve() == folder.resolve():
        raise RequestError(f"--out {out}: for a folder of {made.plural} name another folder.")
    refused = []
    for number, file in enumerate(files, 1):
        say(f"{file.name} ({number} of {len(files)})")
        try:
            request = check(schema, {**_beside(options, schema, file), bare: str(file)})
            answer(request, replace(how, prompt=file.stem, out=_place(out, file, made) if how.n == 1 else out))
        except GenwrightError as error:
            say(f"{file.name}: left out: {error}")
            refused.append(file.name)
    if refused:
        raise WorkError(
            f"{count(len(refused), made.noun, made.plural)} of {len(files):,} in {folder} could not be worked on, such as {refused[0]}; why stands above."
        )


def _beside(options: Mapping[str, Any], schema: type[BaseModel], file: Path) -> dict[str, Any]:
    """The options for one file: a folder that stands for a file holds one of the same name."""
    return {name: _same_name(name, value, schema, file) for name, value in options.items()}


def _same_name(name: str, value: Any, schema: type[BaseModel], file: Path) -> Any:
    if name not in schema.model_fields or file_type(schema.model_fields[name]) is not Blob:
        return value
    if not isinstance(value, str) or not Path(value).is_dir():
        return value
    found = next(_called(Path(value), file.stem), None)
    if found is None:
        raise RequestError(f"{flag(name)} {value}: nothing in it is called {file.stem}; put it there.")
    return str(found)


def _called(folder: Path, stem: str) -> Iterator[Path]:
    return (file for file in sorted(folder.iterdir()) if file.is_file() and file.stem == stem)


def _place(out: Path, file: Path, made: Medium) -> Path:
    """A file of the same name, or where there is one already the folder, which gives it a number."""
    wanted = out / f"{file.stem}{made.suffixes[0]}"
    return out if wanted.exists() else wanted
