"""What the terminal shows while something takes longer than two seconds: one line with the time left.

Everything goes to standard error; standard output is for results. What is said while a run is worked on is kept in its log. Without a terminal a plain line is printed every few
seconds instead of a moving one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from genwright.files import printable

T = TypeVar("T")

_PATIENCE_S = 2.0
_PLAIN_EVERY_S = 10.0


_logs: list[Path] = []


def say(text: str) -> None:
    """One line for the user, on standard error, and in the log where there is one."""
    text = printable(text)  # it may name a file, and a name may hold what moves the cursor
    print(text, file=sys.stderr, flush=True)
    _log(text)


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
    """A progress line. `update` may be called as often as you like."""

    def __init__(self, title: str, total: float | None = None):
        self.title, self.total = title, total
        self._started = time.monotonic()
        self._shown = 0.0
        self._terminal = sys.stderr.isatty()
        self._width = 0

    def update(self, done: float, text: str = "", seconds_left: float | None = None) -> None:
        now = time.monotonic()
        elapsed = now - self._started
        if elapsed < _PATIENCE_S or now - self._shown < (0.2 if self._terminal else _PLAIN_EVERY_S):
            return
        self._shown = now
        if seconds_left is None and self.total and done:
            seconds_left = elapsed / done * (self.total - done)
        share = f" {min(done / self.total, 1):4.0%}" if self.total else f" {done:,.0f}"
        left = f", {duration(seconds_left)} left" if seconds_left is not None else ""
        self._write(printable(f"{self.title}{share}{left}{'  ' + text if text else ''}"))

    def _write(self, text: str) -> None:
        if not self._terminal:
            print(text, file=sys.stderr, flush=True)
            return
        from shutil import get_terminal_size

        text = text[: get_terminal_size().columns - 1]
        print("\r" + text.ljust(self._width), end="", file=sys.stderr, flush=True)
        self._width = len(text)

    def close(self) -> None:
        if self._terminal and self._width:
            print("\r" + " " * self._width + "\r", end="", file=sys.stderr, flush=True)
            self._width = 0


@contextmanager
def progress(title: str, total: float | None = None) -> Iterator[Line]:
    line = Line(title, total)
    try:
        yield line
    finally:
        line.close()


def track(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress line."""
    with progress(title, total) as line:
        for done, item in enumerate(items):
            line.update(done)
            yield item
