"""What may be asked of a model: the task's request and the family's controls, in one flat schema. Torch-free.

Files in a request are read by the command line and by nothing behind it, for a request may come over a network. The marks are a
field's `json_schema_extra`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from genwright.registry import FAMILIES, TASKS

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


def request_class(task: str, family: str) -> type[BaseModel]:
    """What a request may say: the task's own fields and the family's controls, in one flat schema (torch-free)."""
    request, controls = TASKS[task].load_options().Request, FAMILIES[family].load_options().Controls
    return create_model(f"{task.title()}{family.title()}Request", __base__=(request, controls))


def opening_class(family: str) -> type[BaseModel]:
    """What is fixed when a model of a family is opened (torch-free): how its weights are held."""
    return FAMILIES[family].load_options().Opening


def controls_of(request: Any, controls: type[BaseModel]) -> Any:
    """The part of a request (see `request_class`) that is the family's: its controls."""
    return controls.model_validate(
        {name: getattr(request, name) for name in controls.model_fields if hasattr(request, name)}
    )
