"""Python's syntax trees, from any thread."""

from __future__ import annotations

import ast
import threading
import warnings

_ONE_AT_A_TIME = threading.Lock()
"""CPython 3.11 counts the depth of the trees it builds once for all threads, and fails when two build at once."""


def tree_of(text: str) -> ast.Module | None:
    """The syntax tree of a Python file, or None where it is none."""
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SyntaxWarning of strange escapes in other people's code
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
