"""Notebooks are read as code and text."""

from __future__ import annotations

import ast
import json

from genwright.media.text import Decoded, decode, read


def notebook(cells: list[tuple[str, str]], language: str = "python") -> bytes:
    content = {
        "cells": [
            {
                "cell_type": kind,
                "metadata": {},
                "source": text.splitlines(keepends=True),
                "outputs": [{"text": "secret"}],
            }
            for kind, text in cells
        ],
        "metadata": {"kernelspec": {"language": language, "name": "x"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1).encode()


def test_cells_are_code_and_comments() -> None:
    cells = [
        ("markdown", "# A title\n\nSome *prose*."),
        ("code", "%matplotlib inline\n!pip install x\nimport os\nprint(os.name)"),
        ("code", "%%bash\nls"),
        ("code", "  \n"),
        ("code", "x = 5 % 3"),
    ]
    found = read(notebook(cells))
    assert isinstance(found, Decoded)
    assert found.text == (
        "# %% [markdown]\n# # A title\n#\n# Some *prose*.\n\n"
        "# %%\n# %matplotlib inline\n# !pip install x\nimport os\nprint(os.name)\n\n"
        "# %%\n# %%bash\n# ls\n\n"
        "# %%\nx = 5 % 3\n"
    )
    ast.parse(found.text)
    assert "notebook" in found.remark
    assert decode(notebook([("markdown", "Hello")], "scala")) == "// %% [markdown]\n// Hello\n"


def test_other_json_stays_as_it_is() -> None:
    for text in ('{"nbformat": "x", "cells": []}', '{"nbformat": 4, "cells": ', '["nbformat", "cells"]', '{"a": 1}'):
        assert decode(text.encode()) == text
