"""Run inside the sandbox: walls itself in, loads a piece of Python, calls one of its functions and says what came of each call.

Started as `python -I -S sandbox_child.py` by `sandbox.py`, with the job as JSON on standard input: "code", "package", "function",
"calls" (each a literal: the tuple of arguments), "call_seconds", and the limits. Nothing but the standard library is used.

The walls, as many as the system permits: resource limits (CPU, memory, no byte to any file, no new process), namespaces of its
own for network and mounts (no interface; every file system read-only), Landlock (no writing, no TCP), and an audit hook that
refuses in Python what the others refuse in the kernel, and ctypes, by which it could be got round.
"""

import ast
import builtins
import contextlib
import hashlib
import json
import os
import signal
import struct
import sys

_REFUSED = (
    "socket.", "subprocess.", "shutil.", "tempfile.", "ctypes.", "urllib.", "ftplib.", "http.", "smtplib.", "webbrowser.",
    "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.kill", "os.remove", "os.rename", "os.rmdir",
    "os.mkdir", "os.chmod", "os.chown", "os.lchown", "os.link", "os.symlink", "os.truncate", "os.utime", "os.putenv",
    "os.unsetenv", "os.chdir", "os.chflags", "os.setxattr", "os.removexattr", "os.startfile", "os.lockf", "fcntl.",
    "signal.pthread_kill", "resource.", "builtins.input", "syslog.", "sqlite3.", "mmap.", "pty.",
)  # fmt: skip
_NO_IMPORT = ("ctypes", "_ctypes", "_posixsubprocess", "multiprocessing")
_MOST_TIMEOUTS = 3
_LONG_VALUE = 400
_MOST_ITEMS = 200


class _TooLongError(BaseException):
    """A call took longer than it may."""


def main() -> None:
    job = json.load(sys.stdin)
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    walls = _limits(job) + _namespaces() + _landlock()
    refused = _audit()
    with contextlib.suppress(BaseException):
        print(json.dumps({"walls": walls}), file=answer, flush=True)
    outcomes = _load_and_call(job, refused)
    for outcome in outcomes:
        print(json.dumps(outcome), file=answer, flush=True)
    os._exit(0)


def _load_and_call(job, refused):
    names = {"__name__": job["package"] + ".probe" if job["package"] else "probe", "__builtins__": builtins}
    if job["package"]:
        names["__package__"] = job["package"]
    refused.clear()
    try:
        exec(compile(job["code"], "probe", "exec"), names)
        function = names[job["function"]]
    except BaseException as error:
        yield {"load": type(error).__name__, "detail": str(error)[:200], "refused": refused[:3]}
        return
    signal.signal(signal.SIGPROF, _too_long)
    timeouts = 0
    for call in job["calls"]:
        refused.clear()
        outcome = _call(function, ast.literal_eval(call), job["call_seconds"])
        if refused:
            outcome = {"refused": refused[0]}
        timeouts += outcome == {"timeout": True}
        yield outcome
        if timeouts >= _MOST_TIMEOUTS:
            return


def _call(function, arguments, seconds):
    before = canonical(arguments)
    try:
        signal.setitimer(signal.ITIMER_PROF, seconds, seconds)
        try:
            value = canonical(function(*arguments))
            after = canonical(arguments)
            return {"value": value if after == before else value + " leaving " + after}
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    except _TooLongError:
        return {"timeout": True}
    except BaseException as error:
        return {"error": type(error).__name__}


def _too_long(number, frame):
    raise _TooLongError


def canonical(value) -> str:
    """A text that two equal values share whatever the run: sets are sorted, iterators are read, long ones are hashed."""
    text = _canonical(value, 0)
    return text if len(text) <= _LONG_VALUE else text[:40] + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _canonical(value, depth) -> str:
    if depth > 8:
        raise ValueError("nested too deeply")
    kind = type(value).__name__
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, bytearray)):
        return kind + ":" + repr(value)
    if isinstance(value, (list, tuple)):
        return kind + "[" + ",".join(_canonical(v, depth + 1) for v in value) + "]"
    if isinstance(value, (set, frozenset)):
        return kind + "{" + ",".join(sorted(_canonical(v, depth + 1) for v in value)) + "}"
    if isinstance(value, dict):
        pairs = (_canonical(k, depth + 1) + "=" + _canonical(v, depth + 1) for k, v in value.items())
        return kind + "{" + ",".join(pairs) + "}"
    if hasattr(value, "__next__"):
        return (
            kind
            + "("
            + ",".join(_canonical(v, depth + 1) for v, _ in zip(value, range(_MOST_ITEMS), strict=False))
            + ")"
        )
    shown = repr(value)
    if " at 0x" in shown:
        raise ValueError("a value that only this process knows")
    return kind + ":" + shown


def _limits(job):
    try:
        import resource
    except ImportError:
        return []
    limits = {
        "RLIMIT_CPU": job["cpu_seconds"],
        "RLIMIT_AS": job["memory_bytes"],
        "RLIMIT_FSIZE": 0,
        "RLIMIT_CORE": 0,
        "RLIMIT_NPROC": 0,
    }
    done = []
    for name, value in limits.items():
        with contextlib.suppress(ValueError, OSError, AttributeError):
            resource.setrlimit(getattr(resource, name), (value, value))
            done.append(name)
    return ["limits of CPU time and memory"] if {"RLIMIT_CPU", "RLIMIT_AS"} <= set(done) else []


def _libc():
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _namespaces():
    """A network without interfaces, and every file system read-only: unshare(2), mount_setattr(2)."""
    if sys.platform != "linux":
        return []
    new_mounts, new_user, new_network, recursive, setattr_call = 0x20000, 0x10000000, 0x40000000, 0x8000, 442
    try:
        libc = _libc()
        if libc.unshare(new_mounts | new_network) and libc.unshare(new_user | new_mounts | new_network):
            return []
        read_only = struct.pack("QQQQ", 1, 0, 0, 0)
        files = libc.syscall(setattr_call, -100, b"/", recursive, read_only, len(read_only)) == 0
    except (OSError, AttributeError, ImportError):
        return []
    return ["no network interface"] + (["read-only file systems"] if files else [])


def _landlock():
    """No writing to any file and no TCP, for a process without privileges too: landlock(7)."""
    if sys.platform != "linux":
        return []
    create, restrict, no_new_privileges = 444, 446, 38
    try:
        libc = _libc()
        version = libc.syscall(create, None, 0, 1)
        if version < 1:
            return []
        writing = 0x1FF2 | (1 << 13 if version >= 2 else 0) | (1 << 14 if version >= 3 else 0)
        rules = struct.pack("QQ", writing, 3) if version >= 4 else struct.pack("Q", writing)
        handle = libc.syscall(create, rules, len(rules), 0)
        libc.prctl(no_new_privileges, 1, 0, 0, 0)
        done = handle >= 0 and libc.syscall(restrict, handle, 0) == 0
        if handle >= 0:
            os.close(handle)
    except (OSError, AttributeError, ImportError):
        return []
    return ["Landlock"] if done else []


def _audit():
    """Refuse in Python itself what a pure function has no need of; returns the list that refusals are noted in."""
    refused: list[str] = []
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

    def hook(event, arguments):
        bad = event.startswith(_REFUSED)
        if event == "import":
            bad = arguments[0].partition(".")[0] in _NO_IMPORT
        elif event == "open":
            path, _, flags = arguments
            code = isinstance(path, str) and path.endswith((".py", ".pyc", ".so"))
            bad = not code or bool((flags or 0) & writes)
        if bad:
            refused.append(event)
            raise PermissionError(event + " is refused here")

    # What these need of the system (a random seed, a C library) is read before the hook stands.
    import collections  # noqa: F401
    import functools  # noqa: F401
    import re  # noqa: F401

    for module in _NO_IMPORT:
        sys.modules.pop(module, None)
    sys.dont_write_bytecode = True
    sys.addaudithook(hook)
    return refused


if __name__ == "__main__":
    main()
