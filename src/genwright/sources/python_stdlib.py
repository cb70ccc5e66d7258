"""The standard library of the Python that runs this: thousands of functions on every machine, so that no path stands in a recipe."""

from __future__ import annotations

import platform
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from genwright.errors import RequestError
from genwright.rights.licence import is_legal_text
from genwright.sources.files import FilesSource, FilesSpec
from genwright.sources.tree import Entry, walk

_NOT_OF_IT = ("site-packages/", "dist-packages/")
"""Folders inside the library's own where other people's packages are installed."""


class PythonSpec(FilesSpec):
    python: Literal["stdlib"] = Field(description="`stdlib`: the standard library of the running Python.")
    exclude: list[str] = Field(
        ["test/", "tests/", "idle_test/"],
        description="Leave out paths that match one of these patterns; as it stands, the library's own tests.",
    )

    def title(self) -> str:
        return f"python:{self.python}@{platform.python_version()}"


class PythonSource(FilesSource):
    """The library's .py files, one item each, and its licence."""

    Spec = PythonSpec

    def entries(self) -> Iterator[Entry]:
        """Raises RequestError where this Python has no library as files (it may be frozen, or in a zip file)."""
        root = Path(sysconfig.get_path("stdlib"))
        if not (root / "os.py").is_file():
            raise RequestError(
                f"{root}: this Python keeps no standard library as files; name a folder of code with `folder:` instead."
            )
        if (licence := _licence(root)) is not None:
            yield Entry("LICENSE.txt", str(licence), licence.stat().st_size)
        for entry in walk(root):
            if entry.path.endswith(".py") and not entry.path.startswith(_NOT_OF_IT):
                yield entry


def _licence(root: Path) -> Path | None:
    """The licence of the installation: beside the library, or at the top of what Python was installed as."""
    for folder in (root, Path(sys.base_prefix)):
        for file in sorted(folder.glob("*")):
            if is_legal_text(file.name) and file.is_file():
                return file.resolve()
    return None
