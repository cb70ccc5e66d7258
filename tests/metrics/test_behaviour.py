"""Which functions can be recorded, what is recorded of them, and whether other code does the same."""

import ast

import pytest

from genwright.metrics.behaviour import Recording, definition, doctest_calls, record, replay
from genwright.metrics.functions import Function, functions_of, same_function, slice_of

FILE = '''"""A file."""
import os, textwrap
from string import ascii_letters as letters
LIMIT = 3
TABLE = {c: i for i, c in enumerate(letters)}

def helper(text):
    return text[:LIMIT]

def used(text):
    """Shorten.

    >>> used("abcdef")
    'abc'
    """
    short = helper(text)
    return short.upper()

def reader(path):
    return open(path).read()

async def later(x):
    return x

def lost(x):
    return x + nowhere

@property
def decorated(self):
    return 1

def nothing(x):
    print(x)

class Other:
    pass
'''


def test_functions_bring_what_they_need_and_the_others_say_why():
    found = {f.name if isinstance(f, Function) else f[0]: f for f in functions_of(FILE)}
    assert found["reader"][1] == found["nothing"][1] == "is not pure"
    assert found["later"][1] == "is asynchronous" and found["decorated"][1] == "is decorated"
    assert found["lost"][1] == "needs names that are not in its file"
    used = found["used"]
    assert "def helper" in used.code and "LIMIT = 3" in used.code
    assert "TABLE" not in used.code and "class Other" not in used.code and "import" not in used.code
    assert FILE.split("\n")[used.body_line - 1].strip() == "short = helper(text)"


def test_a_slice_follows_names_through_the_file():
    assert slice_of("import a.b as c\nX = c.y\ndef f(v): return X + len(v)\n", "f") == (
        "import a.b as c\nX = c.y\ndef f(v): return X + len(v)\n"
    )
    assert slice_of("def f(:\n", "f") is None and slice_of("f = 1\n", "f") is None
    assert same_function(FILE, "missing") is None


def test_a_recording_holds_calls_of_the_docstring_and_generated_ones():
    code = slice_of(FILE, "used")
    recording = record(code, "used")
    assert isinstance(recording, Recording)
    assert recording.calls[0] == "('abcdef',)" and recording.outcomes[0] == "value str:'ABC'"
    assert len(recording.calls) == len(recording.outcomes) > 15
    assert record(code, "used") == recording
    assert replay(recording, code) == 1


def test_other_code_is_as_good_as_what_it_does():
    code = "def f(n):\n    total = 0\n    for i in range(n):\n        total += i\n    return total\n"
    recording = record(code, "f")
    assert isinstance(recording, Recording)
    assert replay(recording, "def f(n):\n    return n * (n - 1) // 2 if n > 0 else 0\n") == 1
    assert replay(recording, "def f(n):\n    return n * (n + 1) // 2\n") < 0.5
    assert replay(recording, "def f(n):\n    while True: pass\n") == 0
    assert replay(recording, "def f(:\n") == 0
    assert replay(recording, "def g(n): return n\n") == 0


def test_changing_an_argument_is_behaviour():
    code = "def f(values):\n    values.sort()\n    return len(values)\n"
    recording = record(code, "f")
    assert isinstance(recording, Recording)
    assert replay(recording, "def f(values):\n    return len(values)\n") < 1


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("def f(x):\n    return None\n", "has too few different outcomes"),
        ("import random\ndef f(x):\n    return random.random()\n", "is not the same twice"),
        ("def f(x):\n    return hash(str(x))\n", "is not the same twice"),
        ("import os\ndef f(x):\n    return os.system('true')\n", "touches files, the network or the system"),
        ("def f(x):\n    raise ValueError\n", "takes other values than numbers, texts and lists of them"),
        ("def f(a, b, c, d):\n    return a\n", "takes other arguments than one to three values"),
        ("import no_such_module\ndef f(x):\n    return x\n", "could not be loaded"),
    ],
)
def test_what_does_not_qualify_says_why(code, why):
    assert record(code, "f") == why


def test_docstring_examples_that_are_no_literals_are_passed_over():
    node = definition('def f(x):\n    """\n    >>> f(1)\n    2\n    >>> f(y)\n    >>> [f([1, 2]), 3]\n    """\n', "f")
    assert [ast.literal_eval(text) for text in doctest_calls(node)] == [(1,), ([1, 2],)]
