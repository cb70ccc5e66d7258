"""How fast a training goes beside what was expected of it: the time that is left, and whether fewer steps must do.

A budget in minutes became a number of steps when the training was planned. Where the machine turns out slower, because others work
on it too, the plan is revised, once, at the last moment before the learning rate would begin to fall: to as many steps as the time
that is left is enough for. Where it falls from the start (fine-tuning), that moment is a quarter of the training, or three steps: the
rate is then a little lower from there on, never higher. The revision is written into the plan before it takes effect, so a training that is resumed, or done
again by the same plan, takes the same steps.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from pydantic import BaseModel

from genwright.families.base import Phase
from genwright.training.base import Progress
from genwright.training.phases import Borders, laid_anew, laid_out

_WINDOW = 0.25
"""The pace is that of this share of the training's time, the latest."""
_MARKS = 100
"""Moments that the window is made of."""
_WORTH = 0.05
"""A training that would end later than its limit by less than this share is left as it is."""
_LEAST_STEPS = 3
"""Steps whose pace may decide."""
_LONG = 0.1
"""Fewer may, where they took this share of the limit."""
_EARLY = 0.25
"""A rate that begins to fall before this share of its phase (and before three steps) is taken to begin there."""


class Expected(BaseModel):
    """What a plan expects of a training's clock, in seconds."""

    seconds: float
    """The whole training, from its first step to its end."""
    seconds_per_step: float
    """Of a step alone."""
    beside: float
    """All that is not steps: validation, previews, checkpoints."""
    limit: float | None = None
    """When the training must end; None where the budget is not in minutes."""


class Revision(BaseModel):
    """The plan's number of steps, changed once: with step `at` taken, the training has `steps` in all."""

    at: int
    steps: int


class _Mark(NamedTuple):
    step: int
    worked: float
    """Seconds of steps alone."""


class Pace:
    """Watches a training's clock. `elapsed` is its time over all sittings."""

    def __init__(self, expected: Expected | None):
        self.expected = expected
        self._marks: deque[_Mark] = deque()
        self._beside = 0.0
        self._began = time.monotonic()

    @contextmanager
    def beside(self) -> Iterator[None]:
        """The time that passes within is not for steps."""
        start = time.monotonic()
        yield
        self._beside += time.monotonic() - start

    def mark(self, step: int) -> None:
        """So many steps were taken by now. The first mark should be set when the first step of a sitting is done: it is like no other."""
        worked = time.monotonic() - self._began - self._beside
        whole = self.expected.seconds if self.expected else worked
        if self._marks and worked - self._marks[-1].worked < whole * _WINDOW / _MARKS:
            return
        self._marks.append(_Mark(step, worked))
        while len(self._marks) > 2 and self._marks[1].worked < worked - whole * _WINDOW:
            if step - self._marks[1].step < _LEAST_STEPS:
                return
            self._marks.popleft()

    @property
    def measured_steps(self) -> int:
        return self._marks[-1].step - self._marks[0].step if self._marks else 0

    @property
    def seconds_per_step(self) -> float:
        """Of a step alone, lately; as expected until some were taken."""
        if not self.measured_steps:
            return self.expected.seconds_per_step if self.expected else 0.0
        first, last = self._marks[0], self._marks[-1]
        return (last.worked - first.worked) / (last.step - first.step)

    def left(self, step: int, steps: int) -> float:
        """Seconds from `step` to the end of `steps`: what is not steps is as much slower than expected as they are."""
        a_step = self.seconds_per_step
        if self.expected is None:
            return (steps - step) * a_step
        slower = a_step / max(self.expected.seconds_per_step, 1e-9)
        return (steps - step) * a_step + self.expected.beside * slower * (1 - step / steps)

    def within(self, step: int, steps: int, elapsed: float) -> int:
        """As many steps as the limit leaves time for, at most `steps`."""
        if self.expected is None or self.expected.limit is None or not self.measured_steps:
            return steps
        measured = self.measured_steps * self.seconds_per_step
        if self.measured_steps < _LEAST_STEPS and measured < _LONG * self.expected.limit:
            return steps
        late = elapsed + self.left(step, steps) - self.expected.limit
        if late <= _WORTH * self.expected.limit:
            return steps
        low, high = step, steps
        while high - low > 1:  # the time that is left grows with the number of steps
            middle = (low + high) // 2
            fits = elapsed + self.left(step, middle) <= self.expected.limit
            low, high = (middle, high) if fits else (low, middle)
        return max(low, step + 1)

    def revised(
        self, progress: Progress, steps: int, phases: Sequence[Phase], decays: Mapping[str, float]
    ) -> int | None:
        """The steps that the training must do with from now on; None while there is time to wait, or no need. `decays` are the
        `OptimizerSpec.decay` of the phases.

        No rate has begun to fall by then (see _EARLY), neither in the training as it was laid out nor in the one that is laid out anew;
        where the limit would have had it fall by now already, as few steps as that allows.
        """
        step, borders = progress.step, progress.borders
        fewer = self.within(step, steps, progress.seconds)
        if fewer == steps or _falls(step, decays, borders):
            return None

        def stays(at: int, total: int) -> bool:
            """Whether `at` is in time for `total` steps: they are not over, no later phase should have begun, no rate begun to fall."""
            due = any(span.begin < at for name, span in laid_out(phases, total).items() if borders[name].begin >= step)
            return at < total and not due and not _falls(at, decays, laid_anew(phases, total, borders, step))

        soon = step + max(1, (fewer - step) // _MARKS)
        if stays(soon, fewer):
            return None
        while fewer < steps and not stays(step, fewer):
            fewer += max(1, (steps - fewer) // _MARKS)
        return fewer if fewer < steps else None


def _falls(step: int, decays: Mapping[str, float], borders: Borders) -> bool:
    """Whether the rate of a phase has begun to fall when `step` is the next to be taken (see training/schedule.py)."""
    for name, span in borders.items():
        long = span.end - span.begin
        begins = max(long - round(decays[name] * long), min(max(int(_EARLY * long), _LEAST_STEPS), long))
        if span.holds(step) and step - span.begin > begins:
            return True
    return False
