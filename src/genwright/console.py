"""What the terminal shows while something takes longer than two seconds: one line with the time left, or with the time it takes so far.

Everything goes to standard error; standard output is for results. What is said while a run is worked on is kept in its log. Without
a terminal a plain line is printed every few seconds instead of a moving one.
"""

from __future__ import annotations

import math
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_PATIENCE_S = 2.0
_PLAIN_EVERY_S = 10.0
_FEW_S = 5


_logs: list[Path] = []


def say(text: str) -> None:
    """One line for the user, on standard error, and in the log where there is one."""
    _screen.say(text)
    _log(text)


@contextmanager
def logged(file: Path) -> Iterator[None]:
    """Within, what is said is also written to a file, each line with its time; so is the error that ends it."""
    _logs.append(file)
    try:
        yield
    except Exception as error:
        _log(f"{type(error).__name__}: {error}")
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

    def __init__(self, title: str, total: float | None = None):
        self.title, self.total = title, total
        self._started = time.monotonic()
        self._shown = self._started
        self._left: int | None = None

    def update(self, done: float, text: str = "", seconds_left: float | None = None) -> None:
        now = time.monotonic()
        elapsed = now - self._started
        if elapsed < _PATIENCE_S or now - self._shown < _screen.every:
            return
        self._shown = now
        if seconds_left is None and self.total and done:
            seconds_left = elapsed / done * (self.total - done)
        share = f" {min(done / self.total, 1):4.0%}" if self.total else f" {done:,.0f}"
        left = f", {self._told(seconds_left)} left" if seconds_left is not None else ""
        _screen.show(f"{self.title}{share}{left}{'  ' + text if text else ''}")

    def remind(self) -> None:
        """Say that the work goes on, where nothing was shown for a while."""
        now = time.monotonic()
        if now - self._started >= _PATIENCE_S and now - max(self._shown, _screen.written) >= _screen.silence:
            self._shown = now
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
def progress(title: str, total: float | None = None) -> Iterator[Line]:
    line = Line(title, total)
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
