"""The sandbox: what a model's mistake may do is contained, and what a function does is told exactly."""

import os
import runpy
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from socket import create_server

import pytest

from genwright.metrics import sandbox
from genwright.metrics.sandbox import Limits, call

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's walls are Linux's")
QUICK = Limits(cpu_seconds=1, wall_seconds=3.0, call_seconds=0.1, memory_bytes=256 << 20)


def test_values_errors_and_changed_arguments_are_told():
    code = "def f(x, y=1):\n    x.append(y)\n    return len(x)\n"
    assert call(code, "f", ["([],)", "([1], 'a')", "(3,)"]).values == [
        "value int:1 leaving tuple[list[int:1]]",
        "value int:2 leaving tuple[list[int:1,str:'a'],str:'a']",
        "error AttributeError",
    ]


def test_equal_values_look_equal_in_another_process():
    code = "def f(n):\n    yield {chr(i) for i in range(97, 97 + n)}\n    yield {'b': 1.5, None: b'x'}\n"
    one, other = (call(code, "f", ["(9,)"]) for _ in range(2))
    assert one.values == other.values and one.values[0].startswith("value generator(set{str:'a',str:'b'")


def test_what_only_one_process_knows_is_no_value():
    assert call("def f(x):\n    return object()\n", "f", ["(1,)"]).values == ["error ValueError"]


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "while True:\n        try:\n            while True: pass\n        except BaseException: pass",
        "import re\n    return re.match('(a+)+$', 'a' * 60 + 'b')",
    ],
)
def test_an_endless_loop_ends(body):
    outcome = call(f"def f(x):\n    {body}\n", "f", ["(1,)"] * 5, limits=QUICK)
    assert set(outcome.values) <= {"timeout"} and outcome.failure


def test_what_only_waits_meets_the_clock():
    outcome = call("import time\ndef f(x):\n    time.sleep(60)\n", "f", ["(1,)"], limits=Limits(wall_seconds=0.5))
    assert outcome.values == [] and outcome.failure == "ended before all calls were made"


@pytest.mark.parametrize("body", ["return len([0] * 10**10)", "return 'x' * 10**10", "return len(bytearray(1 << 29))"])
def test_a_memory_bomb_is_an_error(body):
    assert call(f"def f(x):\n    {body}\n", "f", ["(1,)"], limits=QUICK).values == ["error MemoryError"]


@pytest.mark.parametrize(
    ("body", "event"),
    [
        ("import socket; socket.socket()", "socket.__new__"),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "socket.getaddrinfo"),
        ("open('made', 'w')", "open"),
        ("open('/etc/passwd').read()", "open"),
        ("import os; os.open('made', os.O_CREAT | os.O_WRONLY)", "open"),
        ("import os; os.remove('/etc/passwd')", "os.remove"),
        ("import os; os.fork()", "os.fork"),
        ("import os; os.kill(os.getppid(), 9)", "os.kill"),
        ("import subprocess; subprocess.run(['true'])", "import"),
        ("import ctypes", "import"),
        ("import shutil; shutil.rmtree('/tmp')", "shutil.rmtree"),
    ],
)
def test_what_no_pure_function_does_is_refused(body, event):
    outcome = call(f"def f(x):\n    try:\n        {body}\n    except Exception: pass\n", "f", ["(1,)"])
    assert outcome.values == [f"refused {event}"]


@linux
def test_the_kernel_holds_too_where_python_would_let_it_through(tmp_path):
    """Without the audit hook: no byte into a file, no way to a listening socket."""
    child = Path(sandbox.__file__).with_name("sandbox_child.py")
    server = create_server(("127.0.0.1", 0))
    reached = []

    def listen() -> None:
        with suppress(OSError):  # when the test is over and the socket is closed
            reached.append(server.accept())

    threading.Thread(target=listen, daemon=True).start()
    program = f"""
import runpy, socket, os
walls = runpy.run_path({str(child)!r})
job = dict(cpu_seconds=5, memory_bytes=1 << 30)
print(walls["_limits"](job) + walls["_namespaces"]() + walls["_landlock"]())
for attempt in (lambda: open({str(tmp_path / "made")!r}, "w").write("x" * 10000),
                lambda: os.remove({str(tmp_path / "kept")!r}),
                lambda: socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), 2)):
    try:
        attempt()
    except OSError as error:
        print("held")
    else:
        print("through")
"""
    (tmp_path / "kept").write_text("still here")
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, timeout=30)
    walls, *results = done.stdout.splitlines()
    if "read-only file systems" not in walls and "Landlock" not in walls:
        pytest.skip(f"this system permits no more than {walls}")
    assert results == ["held"] * 3 and not reached, done.stderr
    assert (tmp_path / "kept").read_text() == "still here" and not (tmp_path / "made").exists()
    server.close()


@linux
def test_the_walls_are_named():
    walls = call("def f(x):\n    return x\n", "f", ["(1,)"]).walls
    assert "limits of CPU time and memory" in walls


def test_code_that_does_not_load_says_why():
    outcome = call("import nothing_of_this_name\ndef f(x): pass\n", "f", ["(1,)"])
    assert outcome.values == [] and "nothing_of_this_name" in outcome.failure
    assert "KeyError" in call("x = 1\n", "f", ["(1,)"]).failure
    assert "refused" not in call("from . import decoder\ndef f(x): return 1\n", "f", ["(1,)"], package="json").failure


def test_nothing_of_ours_is_in_its_environment(monkeypatch):
    monkeypatch.setenv("A_SECRET", "value")
    assert os.environ["A_SECRET"] == "value"
    code = "import os\ndef f(x):\n    return sorted(os.environ)\n"
    assert "A_SECRET" not in call(code, "f", ["(1,)"]).values[0]


def test_canonical_texts_are_short_and_tell_apart():
    canonical = runpy.run_path(str(Path(sandbox.__file__).with_name("sandbox_child.py")))["canonical"]
    assert canonical(1) != canonical(True) != canonical(1.0) and canonical("a") != canonical(b"a")
    assert canonical({1, 2}) == canonical({2, 1}) and canonical([1]) != canonical((1,))
    assert len(canonical("x" * 10_000)) < 200 and canonical("x" * 10_000) != canonical("x" * 10_001)
