"""Held-out functions whose behaviour can be recorded, the holes that are made in them, and whether what fills a hole keeps it."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from genwright.console import track
from genwright.metrics import behaviour
from genwright.metrics.behaviour import Recording
from genwright.metrics.functions import Function, functions_of, same_function
from genwright.metrics.syntax import tree_of
from genwright.tasks.complete.holes import File, Hole, body_span
from genwright.tasks.complete.syntax import Offsets, is_python, line_spans

LINES_A_FUNCTION = 2
_SIDE_BY_SIDE = 2


@dataclass
class Probes:
    """Holes in functions whose behaviour was recorded, and how many functions were looked at."""

    holes: list[Hole] = field(default_factory=list)
    functions: int = 0
    qualified: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    holes_that_change_nothing: int = 0
    walls: tuple[str, ...] = ()

    def protocol(self) -> dict[str, object]:
        if sys.platform == "win32":
            return {"functions": "not run: this system has no limits for a process"}
        return {
            "functions_looked_at": self.functions,
            "functions_qualified": self.qualified,
            "functions_left_out": dict(self.left_out.most_common()),
            "holes_left_out_because_nothing_in_them_matters": self.holes_that_change_nothing,
            "calls_a_function": behaviour.CALLS,
            "sandbox": [*self.walls, "an audit hook that refuses files, processes and sockets in Python"],
        }


def probes(files: Sequence[File], most: int, seed: int) -> Probes:
    """Record the functions of files until `most` qualify, and make a hole of the body and of some lines of each.

    A hole that `pass` or nothing fills as well as the original is left out: what stands in it makes no difference that the record
    shows.
    """
    found = Probes()
    if sys.platform == "win32":
        return found
    candidates: list[tuple[File, Function]] = []
    for file in files:
        for function in functions_of(file.text) if is_python(file.path) and tree_of(file.text) else ():
            found.functions += 1
            if isinstance(function, Function):
                candidates.append((file, function))
            else:
                found.left_out[function[1]] += 1
    for file, function in track(candidates, "record functions", len(candidates)):
        if found.qualified >= most:
            found.left_out["not needed: enough qualify"] += 1
            continue
        recording = behaviour.record(function.code, function.name, file.package, seed)
        if isinstance(recording, str):
            found.left_out[recording] += 1
            continue
        found.qualified += 1
        found.walls = recording.walls
        holes = list(_holes(file, function, recording))
        trivial = [_indented("pass", hole) for hole in holes], ["" for _ in holes]
        kept = [max(shares) for shares in zip(*(kept_shares(holes, fills) for fills in trivial), strict=True)]
        found.holes += [hole for hole, share in zip(holes, kept, strict=True) if share < 1]
        found.holes_that_change_nothing += sum(share == 1 for share in kept)
    return found


def _holes(file: File, function: Function, recording: Recording) -> Sequence[Hole]:
    node = behaviour.definition(file.text, function.name)
    span = body_span(file.text, node) if node else None
    if node is None or span is None:
        return []
    holes = [Hole(file.path, file.text, *span, "body", recording)]
    starts = {Offsets(file.text).start(n) for n in ast.walk(node) if isinstance(n, ast.stmt)}
    lines = [(a, b) for a, b in line_spans(file.text) if a in starts and span[0] <= a < span[1]]
    count = min(LINES_A_FUNCTION, len(lines))
    for i in range(count):
        holes.append(replace(holes[0], start=lines[(2 * i + 1) * len(lines) // (2 * count)][0], kind="line"))
        start = holes[-1].start
        holes[-1] = replace(holes[-1], stop=next(b for a, b in lines if a == start))
    return holes


def _indented(text: str, hole: Hole) -> str:
    """A text with the indentation that the hole begins with (none, where the prefix has it)."""
    return hole.original[: len(hole.original) - len(hole.original.lstrip())] + text


def kept_shares(holes: Sequence[Hole], fills: Sequence[str], title: str = "") -> list[float]:
    """For each hole the share of the recorded calls that come out the same with its filling; 0 where it does not parse."""

    def one(pair: tuple[Hole, str]) -> float:
        hole, fill = pair
        assert hole.recording is not None
        code = same_function(hole.filled(fill), hole.recording.function)
        return behaviour.replay(hole.recording, code) if code is not None else 0.0

    pairs = list(zip(holes, fills, strict=True))
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        done = pool.map(one, pairs)
        return list(track(done, f"run {title}", len(pairs)) if title else done)
