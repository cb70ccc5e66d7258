"""Files in a request: the command line reads them and nothing behind it does, for a request may come over a network.

The marks are a field's `json_schema_extra`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

AT_FILE: dict[str, Any] = {"at_file": True}
"""The command line takes @FILE, which holds the text, in place of the text."""
FILE_TOO: dict[str, Any] = {"file_too": True}
"""The command line has an option --NAME-file beside --NAME."""
NAMED_BY_FILE: dict[str, Any] = {"named_by_file": True}
"""The name of the first file given by an option --NAME-file, where nothing else is given."""


class File(BaseModel):
    """A file in a request. A list of them is, on the command line, an option that names a file and may be given more than once."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(description="What the file is called.")
    text: str = Field(description="What stands in it.")
