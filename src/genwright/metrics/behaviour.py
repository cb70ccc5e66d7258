"""What a function does, recorded by calling it, and whether another piece of code does the same.

Inputs are integers, strings, bytes, lists and the like: those that the function's docstring shows in its examples, and generated
ones of the kinds that its parameters take, found by trying (their names say which to try first). An outcome is the value returned
(or the type of the exception) and the arguments as they are after the call where it changed them.
"""

from __future__ import annotations

import ast
import doctest
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from genwright.metrics import sandbox
from genwright.metrics.sandbox import Outcome
from genwright.metrics.syntax import tree_of

CALLS = 40
MOST_OF_ONE = 0.8
"""A function whose commonest outcome is more than this share of all says too little: a constant would nearly pass for it."""

_LEAST_VALUES = 0.5
"""Share of the calls that must return a value; the others raise."""

_MOST_PARAMETERS = 3
_TRIALS = 3
_BEST_KINDS = 4

_WORDS = (
    "",
    "a",
    "abc",
    "Hello World",
    "x=1;y=2",
    "  two  spaces ",
    "line one\nline two\n\tthree",
    "0123456789",
    "-42",
    "3.14",
)
_MORE_WORDS = (
    "usr/local/lib.py", "/a/b/../c//d.tar.gz", "C:\\dir\\file.txt", "<a href='x'>&amp;</a>", "key: value", "a,b,,c", "été ß 漢字",
    "%20%41+b", "spam@example.org", "AbCdEf", "_private", "__main__", "1.2.3", "*.txt", "[abc]?", "'quoted' \"text\"", "GMT+01:00",
    "http://example.org:80/p?q=1#f", "aGVsbG8=", "yes", "no", "MCMXC", "\\x41\\n", "if True: pass", "2024-02-29",
)  # fmt: skip
_KINDS: tuple[str, ...] = ("int", "str", "list_int", "list_str", "bytes", "float", "bool")
_HINTS = {
    "str": "s str string text name path line word value pattern prefix url p data fmt format char c ch key filename file msg a b "
    "src code lines arg uri host title label",
    "int": "n i j k x y year month day num number count size width index level length lo hi a b mode code flag flags v ordinal",
    "list_int": "seq a l lst list items iterable values data heap array x it",
    "list_str": "lines seq items names args words l lst list iterable paths m strings parts argv",
    "bytes": "b data s buf buffer bytes",
}


@dataclass(frozen=True)
class Recording:
    """Calls of a function and what came of each."""

    function: str
    package: str
    calls: tuple[str, ...]
    outcomes: tuple[str, ...]
    walls: tuple[str, ...] = ()


def record(code: str, function: str, package: str = "", seed: int = 0, calls: int = CALLS) -> Recording | str:
    """Record what a function of `code` does, or say in a few words why it does not qualify."""
    node = definition(code, function)
    if node is None:
        return "is no function of the code"
    required = _required(node)
    if required is None:
        return "takes other arguments than one to three values"
    rng = random.Random(f"{seed} {function}")
    trials = [(kinds, _call_of(kinds, rng)) for kinds in _kinds(required) for _ in range(_TRIALS)]
    shown = doctest_calls(node)
    tried = sandbox.call(code, function, [*shown, *(call for _, call in trials)], package)
    if tried.failure and not tried.values:
        return tried.failure.partition(" (")[0]
    refused = next((v for v in tried.values if v.startswith("refused")), None)
    if refused:
        return "touches files, the network or the system"
    good = _best_kinds(trials, tried.values[len(shown) :])
    if not good and not shown:
        return "takes other values than numbers, texts and lists of them"
    generated = [_call_of(kinds, rng) for _, kinds in zip(range(calls), itertools.cycle(good), strict=False)]
    wanted = list(dict.fromkeys([*shown, *generated]))[:calls]
    return _recorded(code, function, package, wanted)


def _recorded(code: str, function: str, package: str, wanted: Sequence[str]) -> Recording | str:
    # Each process has a hash seed of its own, so what hangs on the order of a set differs too.
    first, second = (sandbox.call(code, function, wanted, package) for _ in range(2))
    if first.failure or second.failure:
        return first.failure.partition(" (")[0] or "is not the same twice"
    if first.values != second.values:
        return "is not the same twice"
    if any(value.startswith("refused") for value in first.values):
        return "touches files, the network or the system"
    if sum(value.startswith("value") for value in first.values) < _LEAST_VALUES * len(wanted):
        return "mostly raises"
    if max(Counter(first.values).values()) > MOST_OF_ONE * len(wanted):
        return "has too few different outcomes"
    return Recording(function, package, tuple(wanted), tuple(first.values), first.walls)


def replay(recording: Recording, code: str) -> float:
    """The share of the recorded calls whose outcome is the same with other code."""
    outcome: Outcome = sandbox.call(code, recording.function, recording.calls, recording.package)
    return sum(a == b for a, b in zip(outcome.values, recording.outcomes, strict=False)) / len(recording.outcomes)


def definition(code: str, function: str) -> ast.FunctionDef | None:
    tree = tree_of(code)
    found = [
        node for node in (tree.body if tree else []) if isinstance(node, ast.FunctionDef) and node.name == function
    ]
    return found[-1] if found else None


def doctest_calls(node: ast.FunctionDef) -> list[str]:
    """The arguments of calls that a docstring shows, where they are literals: `>>> f(1, "a")`."""
    try:
        examples = doctest.DocTestParser().get_examples(ast.get_docstring(node) or "")
    except ValueError:
        return []
    found = []
    for example in examples:
        tree = tree_of(example.source)
        for call in ast.walk(tree) if tree else ():
            if isinstance(call, ast.Call) and not call.keywords and ast.unparse(call.func).endswith(node.name):
                arguments = ast.Tuple(list(call.args), ast.Load())
                try:
                    ast.literal_eval(arguments)
                except (ValueError, TypeError):
                    continue
                found.append(ast.unparse(arguments))
    return found


def _required(node: ast.FunctionDef) -> list[str] | None:
    """Names of the parameters without a default (the first, where all have one); None where they are too many or none."""
    arguments = node.args
    positional = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    required = positional[: len(positional) - len(arguments.defaults)] or positional[:1]
    required += ["x"] if not required and arguments.vararg else []
    keywords = [d for d in arguments.kw_defaults if d is None]
    return required if 1 <= len(required) <= _MOST_PARAMETERS and not keywords else None


def _kinds(parameters: Sequence[str]) -> list[tuple[str, ...]]:
    """Kinds of values to try for the parameters, the likeliest by their names first."""
    ranked = [sorted(_KINDS, key=lambda kind, p=p: p not in _HINTS.get(kind, "").split()) for p in parameters]
    some = len(_KINDS) if len(parameters) < _MOST_PARAMETERS else 4
    choices = itertools.product(*(kinds[:some] for kinds in ranked))
    return sorted(choices, key=lambda kinds: sum(r.index(k) for r, k in zip(ranked, kinds, strict=True)))


def _best_kinds(trials: Sequence[tuple[tuple[str, ...], str]], values: Sequence[str]) -> list[tuple[str, ...]]:
    """The kinds for which most trials return something, and different things."""
    by_kind: dict[tuple[str, ...], list[str]] = {}
    for (kinds, _), value in zip(trials, values, strict=False):
        by_kind.setdefault(kinds, []).append(value)
    merit = {
        kinds: (sum(v.startswith("value") for v in seen), len(set(seen)))
        for kinds, seen in by_kind.items()
        if any(v.startswith("value") for v in seen)
    }
    return sorted(merit, key=lambda kinds: merit[kinds], reverse=True)[:_BEST_KINDS]


def _call_of(kinds: Sequence[str], rng: random.Random) -> str:
    return repr(tuple(_value(kind, rng) for kind in kinds))


def _value(kind: str, rng: random.Random) -> object:
    if kind == "int":
        return rng.choice(
            (0, 1, 2, 3, 7, 12, 100, 1999, -1, rng.randrange(-50, 50), rng.randrange(10_000), rng.randrange(1 << 20))
        )
    if kind == "float":
        return rng.choice((0.0, 0.5, 1.0, round(rng.uniform(-10, 10), 3), round(rng.random(), 4), 1e6))
    if kind == "bool":
        return rng.random() < 0.5
    if kind == "bytes":
        return rng.choice(_WORDS + _MORE_WORDS).encode()
    if kind == "list_int":
        values = [rng.randrange(-9, 30) for _ in range(rng.randrange(7))]
        return sorted(values) if rng.random() < 0.5 else values
    if kind == "list_str":
        return [rng.choice(_WORDS + _MORE_WORDS) for _ in range(rng.randrange(5))]
    return rng.choice(_WORDS + _MORE_WORDS)
