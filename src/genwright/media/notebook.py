"""Jupyter notebooks as a text: the cells in the percent format that editors run, without what the cells put out."""

from __future__ import annotations

import json
from typing import Any

_COMMENTS = {"python": "# ", "r": "# ", "julia": "# ", "ruby": "# ", "bash": "# "}


def notebook(text: str) -> str | None:
    """The cells of a notebook: code as it is, prose and commands to the notebook itself as comments. None where it is no notebook."""
    if '"nbformat"' not in text or '"cells"' not in text or not text.lstrip().startswith("{"):
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    cells = content.get("cells")
    if not isinstance(content.get("nbformat"), int) or not isinstance(cells, list):
        return None
    comment = _COMMENTS.get(_language(content), "// ")
    return "\n\n".join(filter(None, (_cell(cell, comment) for cell in cells if isinstance(cell, dict)))) + "\n"


def _language(content: dict[str, Any]) -> str:
    about = content.get("metadata")
    about = about if isinstance(about, dict) else {}
    for key, name in (("language_info", "name"), ("kernelspec", "language")):
        if isinstance(said := about.get(key), dict) and isinstance(said.get(name), str):
            return said[name].lower()
    return "python"


def _cell(cell: dict[str, Any], comment: str) -> str:
    source = cell.get("source")
    text = "".join(map(str, source)) if isinstance(source, list) else str(source or "")
    if not text.strip():
        return ""
    lines = text.rstrip().split("\n")
    if cell.get("cell_type") == "code":
        whole = lines[0].startswith("%%")
        return "\n".join(
            [f"{comment}%%", *(comment + line if whole or line.startswith(("%", "!")) else line for line in lines)]
        )
    return "\n".join([f"{comment}%% [markdown]", *(f"{comment}{line}".rstrip() for line in lines)])
