"""What may be asked of a model: the task's request and the family's controls, in one flat schema. Torch-free.

Files in a request are read by the command line and by nothing behind it, for a request may come over a network. The marks are a
field's `json_schema_extra`.
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    create_model,
    model_validator,
)
from pydantic.fields import FieldInfo

from genwright.errors import RequestError
from genwright.media.base import is_of, medium, medium_of
from genwright.media.kind import HEAD_BYTES
from genwright.registry import TASKS, about, family_of
from genwright.settings import Section

POSITIONAL: dict[str, Any] = {"positional": True}
"""What the command line takes without an option's name, behind the run: a text, or the name of a file where the field holds a file."""
AT_FILE: dict[str, Any] = {"at_file": True}
"""The command line takes @FILE, which holds the text, in place of the text."""
FILE_TOO: dict[str, Any] = {"file_too": True}
"""The command line has an option --NAME-file beside --NAME."""
GOES_WITH = "goes_with"
"""`{GOES_WITH: "strength"}`: the field is there only where the family has a control of that name to follow it."""
NAMED_BY_FILE: dict[str, Any] = {"named_by_file": True}
"""The name of the first file given by an option --NAME-file, where nothing else is given."""

_LONGEST_SHOWN = 200


class File(BaseModel):
    """A text file in a request. A list of them is, on the command line, an option that names a file and may be given more than once."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(description="What the file is called.")
    text: str = Field(description="What stands in it.")


def _from_base64(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        # Many programs break base64 into lines.
        return base64.b64decode("".join(value.split()), validate=True)
    except ValueError as error:
        raise ValueError("not base64, which the bytes of a file stand in") from error


_Bytes = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    PlainSerializer(lambda data: base64.b64encode(data).decode("ascii"), str, when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]


class Blob(BaseModel):
    """A file of any medium in a request: what is in it, never where it lies. As JSON the bytes stand in base64.

    On the command line it is the name of a file; a list of them may be given more than once.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field("", max_length=255, pattern=r"^[^/\\\x00-\x1f]*$", description="What the file is called.")
    medium: str = Field("", description="What it is: text, image, ...; where that is left out, its first bytes tell.")
    data: _Bytes = Field(min_length=1, description="What is in it.")

    @model_validator(mode="after")
    def _is_what_it_says(self) -> Blob:
        if self.name in (".", ".."):
            raise ValueError(f"{self.name!r} names no file")
        self.medium = self.medium or medium_of(self.data[:HEAD_BYTES])
        if not is_of(self.data[:HEAD_BYTES], self.medium):
            raise ValueError(f"{self.name or 'the file'}: no {self.medium} by its first bytes")
        return self


def of_medium(name: str) -> AfterValidator:
    """What a field says that takes files of one medium alone: `picture: Annotated[Blob, of_medium("image")]`."""

    def check(blob: Blob) -> Blob:
        if not is_of(blob.data[:HEAD_BYTES], name):
            raise ValueError(f"{blob.name or 'the file'}: no {medium(name).noun}, but {blob.medium} by its first bytes")
        return blob.model_copy(update={"medium": name})

    return AfterValidator(check)


def request_class(task: str, family: str) -> type[BaseModel]:
    """What a request may say: the task's own fields and the family's controls, in one flat schema (torch-free)."""
    request, controls = TASKS[task].load_options().Request, family_of(task, family).load_options().Controls
    fields: dict[str, FieldInfo] = request.model_fields
    there = {name: field for name, field in fields.items() if _follows(field, controls)}
    if len(there) < len(fields):
        kept: Any = {name: (field.annotation, field) for name, field in there.items()}
        request = create_model(request.__name__, __base__=Section, **kept)
    return create_model(f"{task.title()}{family.title()}Request", __base__=(request, controls))


def _follows(field: FieldInfo, controls: type[BaseModel]) -> bool:
    extra = field.json_schema_extra
    return not isinstance(extra, dict) or extra.get(GOES_WITH, "") in {"", *controls.model_fields}


def opening_class(task: str, family: str) -> type[BaseModel]:
    """What is fixed when a model of a family is opened (torch-free): how its weights are held."""
    return family_of(task, family).load_options().Opening


def controls_of(request: Any, controls: type[BaseModel]) -> Any:
    """The part of a request (see `request_class`) that is the family's: its controls."""
    return controls.model_validate(
        {name: getattr(request, name) for name in controls.model_fields if hasattr(request, name)}
    )


def is_marked(field: FieldInfo, mark: dict[str, Any]) -> bool:
    """Whether a field bears one of the marks above; it may bear several: `json_schema_extra=POSITIONAL | AT_FILE`."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and mark.items() <= extra.items()


def positional(schema: type[BaseModel]) -> str | None:
    """The name of the field that is given without a name."""
    return next((name for name, field in schema.model_fields.items() if is_marked(field, POSITIONAL)), None)


@dataclass(frozen=True)
class Shown:
    """A request as people are shown it."""

    command: str
    """What is typed behind `genwright generate RUN`: quoted for the shell, on one line."""
    arguments: str
    """What stands between the brackets of `generate(...)` in Python."""


def shown(task: str, family: str, values: Mapping[str, Any] | None = None) -> Shown:
    """A request of a task from the values of its fields, files by their names; None: the task's own example."""
    schema, told = request_class(task, family), about(task)
    values, bare = told.example if values is None else values, positional(schema)
    first = [str(values[bare])] if bare is not None and bare in values else []
    words, named = list(first), []
    for name, value in values.items():
        if name == bare:
            named.insert(0, _in_python(value, schema.model_fields[name]))
            continue
        flag = "-n" if name == "n" else "--" + name.replace("_", "-")
        named.append(f"{name}={_in_python(value, schema.model_fields[name])}")
        for one in map(str, value if isinstance(value, list) else [value]):
            words += [f"{flag}={one}"] if one.startswith("-") else [flag, one]
    made = medium(told.medium)
    return Shown(shlex.join(words if made.textual else [*words, "--out", made.plural]), ", ".join(named))


def _in_python(value: Any, field: FieldInfo) -> str:
    return f'Blob(name="{value}", data=...)' if field.annotation is Blob else json.dumps(value, ensure_ascii=False)


def checked(schema: type[BaseModel], given: dict[str, Any], spelled: Callable[[str], str] = "`{}`".format) -> Any:
    """A request from the values of its fields. Raises RequestError, one sentence with the field's name as `spelled` writes it."""
    try:
        return schema.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name, value = ".".join(map(str, first["loc"])), first.get("input")
        if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
            raise RequestError(_unknown(name, schema, spelled)) from error
        wrong = f"{spelled(name)}: " if name else ""
        wrong += first["msg"].removeprefix("Value error, ")
        if name and isinstance(value, str | int | float) and len(str(value)) <= _LONGEST_SHOWN:
            wrong += f" (given: {value!r})"
        raise RequestError(f"{wrong}.") from error


def _unknown(name: str, schema: type[BaseModel], spelled: Callable[[str], str]) -> str:
    near = get_close_matches(name, schema.model_fields, n=1)
    if near:
        return f"there is no {spelled(name)}; did you mean {spelled(near[0])}?"
    known = ", ".join(map(spelled, schema.model_fields))
    return (
        f"there is no {spelled(name)}; there are {known}." if known else f"there is no {spelled(name)}; leave it out."
    )
