"""Which definitions of other files a Python file uses: the import graph of a source, down to single names.

A name is known by a hash of (source, dotted name), so that it fits into a column of integers beside the tokens.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

from genwright.metrics.syntax import tree_of
from genwright.tasks.complete.syntax import Offsets

_MOST_SUFFIXES = 3
"""`src/package/module.py` is known as `src.package.module`, `package.module` and `module`."""


@dataclass(frozen=True)
class Names:
    """`defines`: (character, hash, rank) of each top-level name, and of the file itself at 0; rank is how many leading parts of
    the path were left out of its name. `uses`: (character, hash) of each name that was imported, where it is used."""

    defines: list[tuple[int, int, int]]
    uses: list[tuple[int, int]]


def names_of(text: str, path: str, source: str) -> Names:
    tree = tree_of(text)
    if tree is None:
        return Names([], [])
    offsets = Offsets(text)
    package, *shorter = _modules(path)
    defines = []
    for rank, module in enumerate([package, *shorter]):
        defines.append((0, key(source, module), rank))
        for node in tree.body:
            defines += [(offsets.start(node), key(source, f"{module}.{name}"), rank) for name in _defined(node)]
    imported = dict(_imported(tree, package, is_package=posixpath.basename(path) == "__init__.py"))
    uses = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            for dotted in _reached(node, imported):
                uses[offsets.start(node), key(source, dotted)] = None
    return Names(defines, list(uses))


def key(source: str, dotted: str) -> int:
    return int.from_bytes(blake2b(f"{source}\0{dotted}".encode(), digest_size=8).digest(), "big", signed=True)


def _modules(path: str) -> list[str]:
    """What a file may be imported as, the whole of its path first."""
    parts = path.removesuffix(".py").removesuffix(".pyi").split("/")
    if parts[-1] == "__init__" and len(parts) > 1:
        parts.pop()
    return [".".join(parts[left_out:]) for left_out in range(min(len(parts), _MOST_SUFFIXES))]


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    for target in targets:
        for name in ast.walk(target):
            if isinstance(name, ast.Name):
                yield name.id


def _imported(tree: ast.Module, module: str, is_package: bool) -> Iterator[tuple[str, str]]:
    """(name in this file, dotted name of what it stands for)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or whole, whole
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                kept = parts[: len(parts) - node.level + is_package]
                base = ".".join([*kept, *([base] if base else [])])
            for alias in node.names:
                if alias.name != "*" and base:
                    yield alias.asname or alias.name, f"{base}.{alias.name}"


def _reached(node: ast.Name | ast.Attribute, imported: dict[str, str]) -> Iterator[str]:
    """What an expression like `json.decoder.JSONDecoder` names: the whole of it, where it begins with an imported name."""
    attributes: list[str] = []
    inner: ast.expr = node
    while isinstance(inner, ast.Attribute):
        attributes.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name) and inner.id in imported:
        yield ".".join([imported[inner.id], *reversed(attributes)])
