"""Patterns of paths, as in a .gitignore."""

from __future__ import annotations

from pathspec import PathSpec

from genwright.errors import RequestError


def patterns(lines: list[str]) -> PathSpec | None:
    """Patterns as in a .gitignore, or None when there are none. Raises RequestError on one that is wrong."""
    if not lines:
        return None
    try:
        return PathSpec.from_lines("gitignore", lines)
    except ValueError as error:
        raise RequestError(f"include, exclude: {error}.") from error
