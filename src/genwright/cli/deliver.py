"""Where generated media go: text streams to standard output or files, pictures to PNG files whose names are printed."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from genwright.about import Around
from genwright.errors import RequestError
from genwright.media.base import Media

DEFAULT_FOLDER = Path("generated")


def deliver(
    media: Iterable[Media],
    prompt: str,
    n: int,
    out: Path | None,
    as_json: bool,
    continued: Path | None = None,
    around: Around | None = None,
    echo: bool = True,
) -> None:
    """Hand out what a task answers, as it comes. Raises RequestError when `out` cannot take it.

    `echo`: show the prompt before what goes on from it; an answer to it stands by itself.

    `continued`: the file that the prompt is the content of. It is not shown again, but stands before what is made in the files.
    `around`: what stands around what is made, in the files.
    """
    first = next(iterator := iter(media), None)
    if first is None:
        return
    everything = _chain(first, iterator)
    if first.kind == "text":
        if around is None:
            around = Around(prompt if echo else "", "", continued)
        shown = prompt if echo and continued is None else ""
        _deliver_text(everything, prompt, n, out, as_json, continued, around, shown)
    else:
        _deliver_files(everything, prompt, n, out or DEFAULT_FOLDER, as_json)


def _chain(first: Media, rest: Iterator[Media]) -> Iterator[Media]:
    yield first
    yield from rest


def _deliver_text(
    media: Iterable[Media],
    prompt: str,
    n: int,
    out: Path | None,
    as_json: bool,
    continued: Path | None,
    around: Around,
    shown: str,
) -> None:
    whole: dict[int, str] = {}
    about: dict[int, dict[str, Any]] = {}
    streaming = out is None and not as_json and n == 1
    if streaming:
        print(shown, end="", flush=True)
    for piece in media:
        whole[piece.index] = whole.get(piece.index, "") + piece.data
        if streaming:
            print(piece.data, end="", flush=True)
        if piece.final:
            about[piece.index] = piece.metadata
    if streaming:
        print()
        return
    for index in sorted(whole):
        if as_json:
            origin = {"prompt": prompt} if continued is None else {"continues": str(continued)}
            line = {"index": index, "kind": "text", **origin, "text": whole[index], **about.get(index, {})}
            print(json.dumps(line, ensure_ascii=False))
        elif out is None:
            print(f"--- {index + 1} of {n} ---\n{shown}{whole[index]}\n")
        if out is not None:
            name = prompt if around.like is None else around.like.stem
            file = _place(out, name, index, n, ".txt", around.like)
            _write_text(file, around.before + whole[index] + around.after)
            if not as_json:
                print(file)


def _write_text(file: Path, text: str) -> None:
    """Whole or not at all: the file may be the one that is continued."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_bytes(text.encode("utf-8"))
    temporary.replace(file)


def _deliver_files(media: Iterable[Media], prompt: str, n: int, out: Path, as_json: bool) -> None:
    from genwright.media.image import save_png

    for piece in media:
        file = _place(out, prompt, piece.index, n, ".png")
        save_png(piece.data, file, piece.metadata)
        if as_json:
            print(
                json.dumps(
                    {"index": piece.index, "kind": piece.kind, "file": str(file), **piece.metadata}, ensure_ascii=False
                ),
                flush=True,
            )
        else:
            print(file, flush=True)


def _place(out: Path, prompt: str, index: int, n: int, suffix: str, like: Path | None = None) -> Path:
    """A file of its own for each output; a folder is made when `out` is not plainly a file. It may end as `like` does."""
    try:
        if (out.suffix and not out.is_dir()) or out.is_file():
            if out.suffix.lower() not in (suffix, like.suffix.lower() if like else suffix):
                raise RequestError(f"--out {out}: what is made is a {suffix} file; name it so, or name a folder.")
            out.parent.mkdir(parents=True, exist_ok=True)
            return out if n == 1 else out.with_stem(f"{out.stem}-{index:04d}")
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"--out {out}: can't be made ({error.strerror}); name a place that can be written to."
        ) from error
    slug = re.sub(r"[^\w]+", "-", prompt.lower()).strip("-")[:40] or "sample"
    return out / f"{slug}-{index:04d}{(like.suffix if like else '') or suffix}"


def read_prompt(prompt: str | None, file: Path | None) -> str:
    """The prompt from the argument, a file, or standard input (where the argument is "-")."""
    if file is not None:
        return read_text(file, "--prompt-file").replace("\r\n", "\n")
    if prompt == "-":
        return sys.stdin.read().rstrip("\n")
    return prompt or ""


def read_text(file: Path, option: str) -> str:
    """A text file that an option names, its line ends as they are. Raises RequestError."""
    try:
        text = file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else f"byte {error.start} is not UTF-8"
        raise RequestError(f"{option} {file}: can't be read as text ({why}); name a text file.") from error
    if "\0" in text:
        raise RequestError(f"{option} {file}: has NUL bytes, so it is no text; name a text file.")
    return text
