"""Where generated media go: text streams to standard output or files, pictures to PNG files whose names are printed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from genwright.errors import RequestError
from genwright.media.base import Media

DEFAULT_FOLDER = Path("generated")


def deliver(media: Iterable[Media], prompt: str, n: int, out: Path | None, as_json: bool) -> None:
    """Hand out what a task answers, as it comes. Raises RequestError when `out` cannot take it."""
    first = next(iterator := iter(media), None)
    if first is None:
        return
    everything = _chain(first, iterator)
    if first.kind == "text":
        _deliver_text(everything, prompt, n, out, as_json)
    else:
        _deliver_files(everything, prompt, n, out or DEFAULT_FOLDER, as_json)


def _chain(first: Media, rest: Iterator[Media]) -> Iterator[Media]:
    yield first
    yield from rest


def _deliver_text(media: Iterable[Media], prompt: str, n: int, out: Path | None, as_json: bool) -> None:
    whole: dict[int, str] = {}
    about: dict[int, dict[str, Any]] = {}
    streaming = out is None and not as_json and n == 1
    if streaming:
        print(prompt, end="", flush=True)
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
        text = prompt + whole[index]
        if as_json:
            print(
                json.dumps(
                    {"index": index, "kind": "text", "prompt": prompt, "text": whole[index], **about.get(index, {})},
                    ensure_ascii=False,
                )
            )
        elif out is None:
            print(f"--- {index + 1} of {n} ---\n{text}\n")
        if out is not None:
            file = _place(out, prompt, index, n, ".txt")
            file.write_text(text, encoding="utf-8")
            if not as_json:
                print(file)


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


def _place(out: Path, prompt: str, index: int, n: int, suffix: str) -> Path:
    """A file of its own for each output; a folder is made when `out` is not plainly a file."""
    try:
        if out.suffix and not out.is_dir():
            if out.suffix.lower() != suffix:
                raise RequestError(f"--out {out}: what is made is a {suffix} file; name it so, or name a folder.")
            out.parent.mkdir(parents=True, exist_ok=True)
            return out if n == 1 else out.with_stem(f"{out.stem}-{index:04d}")
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"--out {out}: can't be made ({error.strerror}); name a place that can be written to."
        ) from error
    slug = re.sub(r"[^\w]+", "-", prompt.lower()).strip("-")[:40] or "sample"
    return out / f"{slug}-{index:04d}{suffix}"


def read_prompt(prompt: str | None, file: Path | None) -> str:
    """The prompt from the argument, a file, or standard input (where the argument is "-")."""
    if file is not None:
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError(
                f"--prompt-file {file}: can't be read as UTF-8 text ({error}); name a text file."
            ) from error
    if prompt == "-":
        return sys.stdin.read().rstrip("\n")
    return prompt or ""
