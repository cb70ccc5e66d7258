"""Where generated media go: text streams to standard output or files, everything else to files whose names are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genwright.about import Around
from genwright.cli.places import STANDARD_OUTPUT, Places
from genwright.console import count, say
from genwright.errors import RequestError, WorkError
from genwright.media.base import Formats, Media, Medium, Sheets, encoded, medium, write_whole, written

DEFAULT_FOLDER = Path("generated")


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How what a task answers is to be handed out."""

    prompt: str = ""
    n: int = 1
    out: Path | None = None
    as_json: bool = False
    continued: Path | None = None
    """The file that the prompt is the content of. It is not shown again, but stands before what is made in the files."""
    around: Around | None = None
    """What stands around what is made, in the files."""
    echo: bool = True
    """Show the prompt before what goes on from it; an answer to it stands by itself."""
    grid: bool = False
    """Lay everything side by side in one more file."""
    guided: bool = False
    """Whether a form was asked of the answers, which one that is cut does not have."""

    def check(self, made: Medium) -> Places | None:
        """The places of files of a medium; None where it is printed. Raises RequestError when `out` cannot take them."""
        if self.out == STANDARD_OUTPUT and (self.n > 1 or self.as_json or self.grid):
            raise RequestError(
                "--out -: standard output takes one output as it is; leave out -n, --json and --grid, or name a place."
            )
        if self.grid and not isinstance(made, Sheets):
            raise RequestError(f"--grid: {made.plural} can't be laid side by side in one file; leave it out.")
        if self.out is None and made.textual:
            return None
        like = None if self.around is None else self.around.like
        out = self.out or DEFAULT_FOLDER
        if isinstance(made, Formats) and out.suffix.lower() in made.lossy:
            say(
                f"{out}: a {out.suffix} file keeps {made.plural} nearly, not exactly; name it {made.writes[0]} for that."
            )
        return Places(out, self.n, written(made), like)


def deliver(media: Iterable[Media], how: Delivery) -> None:
    """Hand out what a task answers, as it comes. Raises RequestError when `how.out` cannot take it, WorkError where an answer was cut
    that has to be whole."""
    iterator = iter(media)
    first = next(iterator, None)
    if first is None:
        return
    made = medium(first.kind)
    places = how.check(made)
    everything = _chain(first, iterator)
    if made.textual:
        _deliver_text(everything, made, places, how)
    else:
        assert places is not None
        _deliver_files(everything, made, places, how)


def _chain(first: Media, rest: Iterable[Media]) -> Iterable[Media]:
    yield first
    yield from rest


@dataclass
class _Told:
    """What was made, whole, and what is known of it, by index."""

    texts: dict[int, str] = field(default_factory=dict)
    about: dict[int, dict[str, Any]] = field(default_factory=dict)

    def take(self, piece: Media) -> None:
        self.texts[piece.index] = self.texts.get(piece.index, "") + piece.data
        if piece.final:
            self.about[piece.index] = piece.metadata


def _deliver_text(media: Iterable[Media], made: Medium, places: Places | None, how: Delivery) -> None:
    told = _Told()
    shown = how.prompt if how.echo and how.continued is None else ""
    streaming = places is None and not how.as_json and how.n == 1
    if streaming:
        print(shown, end="", flush=True)
    for piece in media:
        told.take(piece)
        if streaming:
            print(piece.data, end="", flush=True)
    if streaming:
        print()
    else:
        _print_or_write(told, shown, made, places, how)
    _tell(told, how)


def _print_or_write(told: _Told, shown: str, made: Medium, places: Places | None, how: Delivery) -> None:
    around = how.around or Around(how.prompt if how.echo else "", "", how.continued)
    for index in sorted(told.texts):
        text, about = told.texts[index], told.about.get(index, {})
        if how.as_json:
            origin = {"prompt": how.prompt} if how.continued is None else {"continues": str(how.continued)}
            print(json.dumps({"index": index, "kind": made.name, **origin, "text": text, **about}, ensure_ascii=False))
        elif places is None:
            print(f"--- {index + 1} of {how.n} ---\n{shown}{text}\n")
        if places is None:
            continue
        content = made.encode(around.before + text + around.after, about)
        if places.out == STANDARD_OUTPUT:
            _print_bytes(content)
            continue
        file = places.of(how.prompt if around.like is None else around.like.stem, index)
        write_whole(file, content)
        if not how.as_json:
            print(file)


def _tell(told: _Told, how: Delivery) -> None:
    """What was left out of the request, and which answers were cut. Raises WorkError where a cut one has not the form it was to have."""
    left_out = max((about.get("left_out_messages", 0) for about in told.about.values()), default=0)
    if left_out:
        say(f"The conversation is longer than the model's context, so {oldest(left_out)} left out.")
    cut = [about["tokens"] for about in told.about.values() if about.get("finish") == "length"]
    if not cut:
        return
    which = "The text was" if how.n == 1 else f"{len(cut):,} of {how.n:,} texts {'was' if len(cut) == 1 else 'were'}"
    why = f"cut after {count(max(cut), 'token')}, where --max-tokens or the model's context ends"
    if how.guided:
        raise WorkError(f"{which[0].lower()}{which[1:]} {why}, and so is not whole; give a larger --max-tokens.")
    say(f"{which} {why}.")


def oldest(messages: int) -> str:
    """The messages at the beginning of a conversation that the model no longer sees, as the subject of a sentence about what was."""
    return f"its oldest {messages:,} messages were" if messages > 1 else "its oldest message was"


def _print_bytes(content: bytes) -> None:
    sys.stdout.buffer.write(content)
    sys.stdout.flush()


def _deliver_files(media: Iterable[Media], made: Medium, places: Places, how: Delivery) -> None:
    all_of_them: list[tuple[Any, str]] = []
    for piece in media:
        words = str(piece.metadata.get("prompt", how.prompt))
        if places.out == STANDARD_OUTPUT:
            _print_bytes(made.encode(piece.data, piece.metadata))
            continue
        file = places.of(words, piece.index)
        write_whole(file, encoded(made, piece.data, piece.metadata, file.suffix))
        if how.grid:
            all_of_them.append((piece.data, words))
        line = {"index": piece.index, "kind": piece.kind, "file": str(file), **piece.metadata}
        print(json.dumps(line, ensure_ascii=False) if how.as_json else file, flush=True)
    if how.grid and isinstance(made, Sheets):
        file = places.beside("grid")
        write_whole(file, encoded(made, made.sheet(all_of_them), {}, file.suffix))
        print(json.dumps({"kind": made.name, "file": str(file), "grid": True}) if how.as_json else file, flush=True)


def read_prompt(prompt: str | None, file: Path | None) -> str:
    """The prompt from the argument, a file, or standard input (where the argument is "-"). Raises RequestError where
    one of these has nothing in it."""
    if file is not None:
        text = read_text(file, "--prompt-file").replace("\r\n", "\n")
    elif prompt == "-":
        text = sys.stdin.read().removeprefix("\ufeff").rstrip("\n")
    else:
        return prompt or ""
    if not text.strip():
        given = "standard input" if file is None else f"--prompt-file {file}"
        what = "only white space in it" if text else "empty"
        raise RequestError(f"{given}: {what}; give a prompt in it, or no prompt at all.")
    return text


def read_text(file: Path, option: str) -> str:
    """A text file that an option names, its line ends as they are, without a byte order mark. Raises RequestError."""
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
