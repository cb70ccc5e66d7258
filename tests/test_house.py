"""The house: no import goes in a circle, no folder is too full to find a file in."""

from __future__ import annotations

import ast
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from helpers import ROOT

SOURCES = ROOT / "src"
MOST_IN_A_FOLDER = 20


def modules() -> dict[str, Path]:
    """Every module by its dotted name; a package by its folder's."""
    files = sorted(SOURCES.rglob("*.py"))
    names = (".".join(file.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__") for file in files)
    return dict(zip(names, files, strict=True))


def imports(name: str, file: Path, known: dict[str, Path]) -> set[str]:
    """What a module imports of its own package, inside functions and for types too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {name if name in known else node.module for name in whole}
    return found & known.keys() - {name}


def assert_no_circle(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these import each other in a circle: {' -> '.join(error.args[1])}")


def room(name: str) -> str:
    """The top folder or module of the package that a module stands in."""
    return name.split(".")[1] if "." in name else name


def test_no_file_imports_in_a_circle() -> None:
    known = modules()
    assert len(known) > 200
    assert_no_circle({name: imports(name, file, known) for name, file in known.items()})


def test_no_room_imports_in_a_circle() -> None:
    known = modules()
    graph: dict[str, set[str]] = {}
    for name, file in known.items():
        graph.setdefault(room(name), set()).update(room(other) for other in imports(name, file, known))
    assert_no_circle({name: others - {name} for name, others in graph.items()})


def test_no_folder_is_too_full_to_find_a_file_in() -> None:
    counts = Counter(file.parent for file in SOURCES.rglob("*.py") if file.name != "__init__.py")
    full = {str(folder.relative_to(SOURCES)): count for folder, count in counts.items() if count > MOST_IN_A_FOLDER}
    assert not full


def test_no_room_is_empty() -> None:
    for package in SOURCES.rglob("__init__.py"):
        assert len(list(package.parent.glob("*.py"))) > 1, f"{package.parent} has no module"
