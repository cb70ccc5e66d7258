"""Long texts of a request may stand in files, which the command line reads and nothing behind it."""

import json
from pathlib import Path

import pytest

from genwright.cli.options import check, options_of
from genwright.errors import RequestError
from genwright.request import request_class

CHAT = request_class("chat", "transformer")


def test_a_field_is_read_from_the_file_behind_an_at(tmp_path: Path) -> None:
    schema, talk = tmp_path / "schema.json", tmp_path / "talk.json"
    schema.write_text('{"enum": ["red", "blue"]}')
    talk.write_text(json.dumps([{"role": "user", "content": "Hello"}]))
    request = check(CHAT, {"json_schema": f"@{schema}", "messages": f"@{talk}"})
    assert request.json_schema == schema.read_text()  # type: ignore[attr-defined]
    assert request.messages[0].content == "Hello"  # type: ignore[attr-defined]


def test_other_fields_are_taken_as_they_are() -> None:
    assert check(CHAT, {"prompt": "@home", "system": "@work"}).prompt == "@home"  # type: ignore[attr-defined]


def test_the_schema_itself_reads_no_file(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text("{}")
    assert CHAT(json_schema=f"@{file}").json_schema == f"@{file}"
    with pytest.raises(ValueError, match="not valid JSON"):
        CHAT(messages=f"@{file}")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"--json-schema .*nowhere\.json: can't be read"):
        check(CHAT, {"json_schema": f"@{tmp_path / 'nowhere.json'}"})


def test_help_says_so() -> None:
    (option,) = [o for o in options_of(CHAT) if o.name == "json_schema"]
    assert "@FILE" in (option.help or "")
