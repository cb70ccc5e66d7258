"""Where generated media go: text streams to standard output or files, everything else to files whose names are printed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from genwright.about import Around
from genwright.errors import RequestError
from genwright.media.base import Media, Medium, medium, write_whole

DEFAULT_FOLDER = Path("generated")
STANDARD_OUTPUT = Path("-")


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
    if out == STANDARD_OUTPUT and (n > 1 or as_json):
        raise RequestError(
            "--out -: standard output takes one output as it is; leave out -n and --json, or name a place."
        )
    first = next(iterator := iter(media), None)
    if first is None:
        return
    everything = _chain(first, iterator)
    made = medium(first.kind)
    if made.textual:
        if around is None:
            around = Around(prompt if echo else "", "", continued)
        shown = prompt if echo and continued is None else ""
        _deliver_text(everything, made, prompt, n, out, as_json, continued, around, shown)
    else:
        _deliver_files(everything, made, prompt, n, out or DEFAULT_FOLDER, as_json)


def _chain(first: Media, rest: Iterator[Media]) -> Iterator[Media]:
    yield first
    yield from rest


def _deliver_text(
    media: Iterable[Media],
    made: Medium,
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
            line = {"index": index, "kind": made.name, **origin, "text": whole[index], **about.get(index, {})}
            print(json.dumps(line, ensure_ascii=False))
        elif out is None:
            print(f"--- {index + 1} of {n} ---\n{shown}{whole[index]}\n")
        if out is None:
            continue
        content = made.encode(around.before + whole[index] + around.after, about.get(index, {}))
        if out == STANDARD_OUTPUT:
            _print_bytes(content)
            continue
        name = prompt if around.like is None else around.like.stem
        file = _place(out, name, index, n, made.suffixes[0], around.like)
        write_whole(file, content)
        if not as_json:
            print(file)


def _print_bytes(content: bytes) -> None:
    sys.stdout.buffer.write(content)
    sys.stdout.flush()


def _deliver_files(media: Iterable[Media], made: Medium, prompt: str, n: int, out: Path, as_json: bool) -> None:
    for piece in media:
        content = made.encode(piece.data, piece.metadata)
        if out == STANDARD_OUTPUT:
            _print_bytes(content)
            continue
        file = _place(out, prompt, piece.index, n, made.suffixes[0])
        write_whole(file, content)
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
        text = file.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else f"byte {error.start} is not UTF-8"
        raise RequestError(f"{option} {file}: can't be read as text ({why}); name a text file.") from error
    if "\0" in text:
        raise RequestError(f"{option} {file}: has NUL bytes, so it is no text; name a text file.")
    return text


def read_bytes(path: str, option: str) -> bytes:
    """A file that an option names, or standard input where that is "-". Raises RequestError."""
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise RequestError(f"{option} {path}: can't be read ({error.strerror}); name a file.") from error
