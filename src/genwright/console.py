"""What the terminal shows: tables; and while something takes longer than two seconds one line with the time left, or taken so far.

Everything but results goes to standard error; standard output is for results. What is said while a run is worked on is kept in its
log. Without a terminal a plain line is printed every few seconds instead of a moving one.
"""

from __future__ import annotations

import math
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

from genwright.files import printable

T = TypeVar("T")

_PATIENCE_S = 2.0
_PLAIN_EVERY_S = 10.0
_FEW_S = 5


_logs: list[Path] = []
_held: list[list[str]] = []


def say(text: str) -> None:
    """One line for the user, on standard error, and in the log where there is one."""
    text = printable(text)  # it may name a file, and a name may hold what moves the cursor
    if _held:
        _held[-1].append(text)
        return
    _screen.say(text)
    _log(text)


@contextmanager
def held_back() -> Iterator[list[str]]:
    """Within, what is said is only collected, for the caller to say or to leave out; an error says it all."""
    _held.append([])
    try:
        yield _held[-1]
    except BaseException:
        for text in _held.pop():
            say(text)
        raise
    _held.pop()


@contextmanager
def logged(file: Path) -> Iterator[None]:
    """Within, what is said is also written to a file, each line with its time; so is the error that ends it."""
    _logs.append(file)
    try:
        yield
    except Exception as error:
        _log(printable(f"{type(error).__name__}: {error}"))
        raise
    finally:
        _logs.pop()


def _log(text: str) -> None:
    with suppress(OSError):  # a full disk stops the work where the work is written
        for file in _logs[-1:]:
            with file.open("a", encoding="utf-8") as out:
                out.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")


def duration(seconds: float) -> str:
    """ "3m 20s", "45s", "2h 05m"."""
    whole = round(max(seconds, 0))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def count(number: int, noun: str, plural: str = "") -> str:
    """ "1 item", "2,000 items"; `plural` where it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def size(count: float) -> str:
    """ "900 B", "4.1 kB", "18 MB": bytes in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}".replace(".0 ", " ")


class Line:
    """A progress line. `update` may be called as often as you like, or never: while work goes on that tells nothing of itself, the line
    says for how long. Lines may stand within others; the innermost is shown.

    The time left that is shown never grows by more than half from one time to the next.
    """

    def __init__(self, title: str, total: float | None = None, seconds_left: float | None = None):
        """`seconds_left`: as it was foretold."""
        self.title, self.total = title, total
        self._started = time.monotonic()
        self._shown = -math.inf
        self._heard = self._started
        """When it last told something of itself, shown or not, or was reminded of."""
        self._left = None if seconds_left is None else round(seconds_left)

    def update(self, done: float, text: str = "", seconds_left: float | None = None) -> None:
        now = self._heard = time.monotonic()
        elapsed = now - self._started
        if elapsed < _PATIENCE_S or now - self._shown < _screen.every:
            return
        self._shown = now
        if seconds_left is None and self.total and done:
            seconds_left = elapsed / done * (self.total - done)
        share = f" {min(done / self.total, 1):4.0%}" if self.total else f" {done:,.0f}"
        left = f", {self._told(seconds_left)} left" if seconds_left is not None else ""
        _screen.show(printable(f"{self.title}{share}{left}{'  ' + text if text else ''}"))

    def remind(self) -> None:
        """Say that the work goes on, where nothing was heard of it and nothing shown for a while."""
        now = time.monotonic()
        if now - self._started >= _PATIENCE_S and now - max(self._heard, _screen.written) >= _screen.silence:
            self._heard = now
            _screen.show(f"{self.title}, {duration(now - self._started)} so far")

    def _told(self, seconds: float) -> str:
        most = max(self._left * 3 // 2, _FEW_S) if self._left is not None else math.inf
        self._left = max(min(round(seconds), int(most) if most < math.inf else round(seconds)), 0)
        return "a few seconds" if self._left < _FEW_S else duration(self._left)


class _Screen:
    """Standard error as the place where one line stands for what goes on now. On a terminal it is written over, elsewhere told again
    every few seconds."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.written = 0.0
        self._width = 0
        self._lock = threading.RLock()

    @property
    def terminal(self) -> bool:
        return sys.stderr.isatty()

    @property
    def every(self) -> float:
        return 0.2 if self.terminal else _PLAIN_EVERY_S

    @property
    def silence(self) -> float:
        return _PATIENCE_S if self.terminal else _PLAIN_EVERY_S

    def show(self, text: str) -> None:
        with self._lock:
            self.written = time.monotonic()
            if not self.terminal:
                print(text, file=sys.stderr, flush=True)
                return
            text = text[: shutil.get_terminal_size().columns - 1]
            print("\r" + text.ljust(self._width), end="", file=sys.stderr, flush=True)
            self._width = len(text)

    def say(self, text: str) -> None:
        with self._lock:
            self.clear()
            self.written = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    def clear(self) -> None:
        with self._lock:
            if self._width:
                print("\r" + " " * self._width + "\r", end="", file=sys.stderr, flush=True)
                self._width = 0

    def open(self, line: Line) -> None:
        with self._lock:
            self.lines.append(line)
            if len(self.lines) == 1:
                threading.Thread(target=self._watch, args=(line,), daemon=True).start()

    def close(self, line: Line) -> None:
        with self._lock:
            self.lines.remove(line)
            self.clear()

    def _watch(self, outermost: Line) -> None:
        while True:
            time.sleep(0.5)
            with self._lock, suppress(ValueError, OSError):  # standard error may be gone while the program ends
                if outermost not in self.lines:
                    return
                self.lines[-1].remind()


_screen = _Screen()


@contextmanager
def progress(title: str, total: float | None = None, seconds_left: float | None = None) -> Iterator[Line]:
    line = Line(title, total, seconds_left)
    _screen.open(line)
    try:
        yield line
    finally:
        _screen.close(line)


def track(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress line."""
    with progress(title, total) as line:
        for done, item in enumerate(items):
            line.update(done)
            yield item


def as_text(shown: Any, width: int = 100) -> str:
    """What the terminal would print, as plain text, no line longer than `width`."""
    return "\n".join(line.rstrip() for line in _recorded(shown, width).export_text(styles=False).splitlines())


def as_html(shown: Any, width: int = 100) -> str:
    """The same for a notebook."""
    frame = '<pre style="font-family:monospace;line-height:1.3;white-space:pre;overflow-x:auto">{code}</pre>'
    return _recorded(shown, width).export_html(inline_styles=True, code_format=frame)


def _recorded(shown: Any, width: int) -> Console:
    from io import StringIO

    from rich.console import Console

    console = Console(record=True, file=StringIO(), width=width, highlight=False)
    console.print(shown)
    return console


class Printed:
    """What has `__rich__` and is shown alike by `print` and in a notebook."""

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


@dataclass
class SideBySide:
    """Figures in rows, under the names of what they are measured on. No word and no number is broken: where the columns do not fit
    side by side, each row is a block of its own with a line for each figure."""

    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]
    """A title with a figure for each column, "" where there is none; a title without figures is a heading."""
    title: str = ""
    styles: Sequence[str] = ()
    """How each column is printed, in rich's words."""
    bold: frozenset[tuple[int, int]] = frozenset()
    """The places (row, column) of figures that stand out."""
    justify: Literal["left", "right"] = "right"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.title:
            yield _text(self.title, "italic")
        widths = self._widths(options.max_width)
        yield self._across(widths) if widths else self._down()

    def _widths(self, room: int) -> list[int]:
        """Characters for the titles and each column; [] where not even the longest words fit side by side."""
        columns = [[name, *(figures[i] for _, figures in self.rows if figures)] for i, name in enumerate(self.columns)]
        texts = [[title for title, _ in self.rows], *columns]
        widths = [max(map(_longest_word, column), default=0) for column in texts]
        left = room - sum(widths) - 2 * len(self.columns)
        if left < 0:
            return []
        for i, column in enumerate(texts):
            more = min(left, max(map(_length, column), default=0) - widths[i])
            widths[i], left = widths[i] + more, left - more
        return widths

    def _across(self, widths: list[int]) -> Table:
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
        table.add_column("", width=widths[0])
        for name, width, style in zip(self.columns, widths[1:], self._styles(), strict=True):
            table.add_column(_text(name), justify=self.justify, width=width, style=style)
        for number, (title, figures) in enumerate(self.rows):
            cells = [self._figure(number, column, figure) for column, figure in enumerate(figures)]
            table.add_row(_text(title, "" if figures else "bold"), *cells)
        return table

    def _down(self) -> Table:
        from rich.table import Table

        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column()
        table.add_column(min_width=max((_length(figure) for _, figures in self.rows for figure in figures), default=0))
        for number, (title, figures) in enumerate(self.rows):
            indent = " " * (len(title) - len(title.lstrip()) + 2)
            table.add_row(_text(title, "bold"))
            for column, (name, style, figure) in enumerate(zip(self.columns, self._styles(), figures, strict=False)):
                if figure:
                    one = self._figure(number, column, figure, style)
                    table.add_row(_text(indent + name.replace("\n", ", "), style), one)
        return table

    def _styles(self) -> Sequence[str]:
        return self.styles or [""] * len(self.columns)

    def _figure(self, row: int, column: int, figure: str, style: str = "") -> Any:
        return _text(figure, "bold" if (row, column) in self.bold else style)


def _text(words: str, style: str = "") -> Any:
    """Text in which nothing is read as markup."""
    from rich.text import Text

    return Text(words, style)


def _length(words: str) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, words.split("\n")), default=0)


def _longest_word(words: str) -> int:
    """A figure counts as one word: its interval stands beside it."""
    whole = words[:1].isdigit() or words[:1] in "-."
    return _length(words if whole else words.replace(" ", "\n"))
