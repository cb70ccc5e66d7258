"""Functions of Python files that can be called by themselves: found by reading, each with the part of its file that it needs."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass

from genwright.metrics.behaviour import definition
from genwright.metrics.syntax import tree_of

_BUILTINS = frozenset(dir(builtins))
_IMPURE = frozenset(
    [
        "open",
        "input",
        "print",
        "exec",
        "eval",
        "compile",
        "globals",
        "locals",
        "vars",
        "__import__",
        "breakpoint",
        "exit",
        "quit",
        "sys",
        "time",
        "random",
        "socket",
        "subprocess",
        "threading",
        "signal",
        "select",
        "asyncio",
        "tempfile",
        "shutil",
        "logging",
        "warnings",
        "gc",
        "tkinter",
        "multiprocessing",
        "ctypes",
        "secrets",
        "uuid",
        "getpass",
    ]
)
_DECORATORS = ("lru_cache", "cache", "functools.lru_cache", "functools.cache")
_MOST_LINES = 60


@dataclass(frozen=True)
class Function:
    """A top-level function of a file. Offsets are 1-based lines of the file."""

    name: str
    code: str
    """The statements of the file that it needs, itself included, in their order."""
    body_line: int
    """First line of the body behind the docstring."""
    last_line: int


def functions_of(text: str) -> Iterator[Function | tuple[str, str]]:
    """The top-level functions of a file; for one that does not qualify, (name, why)."""
    tree = tree_of(text)
    for node in tree.body if tree else []:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            why = _unfit(node)
            code = None if why else slice_of(text, node.name)
            if isinstance(node, ast.AsyncFunctionDef) or why or code is None:
                yield node.name, why or "needs names that are not in its file"
                continue
            yield Function(node.name, code, _body(node)[0].lineno, node.end_lineno or node.lineno)


def slice_of(text: str, name: str) -> str | None:
    """The top-level statements that a function needs, in the file's order; None where one is missing or the text does not parse."""
    tree = tree_of(text)
    if tree is None:
        return None
    binders: dict[str, list[int]] = {}
    for number, statement in enumerate(tree.body):
        for bound in _bound(statement):
            binders.setdefault(bound, []).append(number)
    wanted, needed = [name], set()
    seen = {name}
    while wanted:
        current = wanted.pop()
        if current not in binders:
            if current in _BUILTINS or current in ("__file__", "__name__", "__doc__"):
                continue
            return None
        for number in binders[current]:
            if number not in needed:
                needed.add(number)
                new = _used(tree.body[number]) - seen
                seen |= new
                wanted += new
    lines = text.split("\n")
    parts = []
    for number in sorted(needed):
        statement = tree.body[number]
        first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
        parts.append("\n".join(lines[first - 1 : statement.end_lineno]))
    return "\n".join(parts) + "\n" if definition_in(tree, name) else None


def definition_in(tree: ast.Module, name: str) -> bool:
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body)


def same_function(text: str, name: str) -> str | None:
    """The code of a function in a file that may have been changed; None where it is gone or needs what is not there."""
    code = slice_of(text, name)
    return code if code is not None and definition(code, name) is not None else None


def _unfit(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    if isinstance(node, ast.AsyncFunctionDef):
        return "is asynchronous"
    if any(_dotted(d.func if isinstance(d, ast.Call) else d) not in _DECORATORS for d in node.decorator_list):
        return "is decorated"
    body = _body(node)
    if not body or (len(body) == 1 and isinstance(body[0], ast.Pass | ast.Raise)):
        return "has no body of its own"
    if (node.end_lineno or 0) - node.lineno > _MOST_LINES:
        return f"is longer than {_MOST_LINES} lines"
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    if names & _IMPURE or any(isinstance(n, ast.Global | ast.Nonlocal) for n in ast.walk(node)):
        return "is not pure"
    if not any(
        (isinstance(n, ast.Return) and n.value is not None) or isinstance(n, ast.Yield | ast.YieldFrom)
        for n in ast.walk(node)
    ):
        return "returns nothing"
    return ""


def _body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    first = node.body[0]
    is_docstring = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return node.body[1:] if is_docstring else node.body


def _bound(statement: ast.stmt) -> set[str]:
    """Names that a top-level statement gives a meaning to."""
    found: set[str] = set()
    for node in _of_module(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(str(node.name))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def _of_module(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes of a statement without what is inside functions and classes, which binds nothing outside."""
    stack: list[ast.AST] = [statement]
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            stack += ast.iter_child_nodes(node)


def _used(statement: ast.stmt) -> set[str]:
    """Names that a statement asks its module for (names bound inside a function of it may be among them: see _local)."""
    found: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
    return found - _local(statement)


def _local(statement: ast.stmt) -> set[str]:
    local: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.arg):
            local.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            local.add(node.id)
        elif (isinstance(node, ast.ExceptHandler) and node.name) or isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        ):
            local.add(str(node.name))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            local |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    return local


def _dotted(node: ast.expr) -> str:
    return ast.unparse(node)
