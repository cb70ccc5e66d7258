"""What a request holds may stand in files, which the command line reads and nothing behind it: long texts, and bytes of a medium."""

import base64
import json
from pathlib import Path
from typing import Annotated

import click
import pytest
from pydantic import Field, ValidationError

from genwright.cli.options import check, options_of
from genwright.errors import RequestError
from genwright.request import POSITIONAL, Blob, checked, of_medium, positional, request_class
from genwright.settings import Section
from helpers import ASSETS

CHAT = request_class("chat", "transformer")
HEART = ASSETS / "pictures" / "1f493.png"
Picture = Annotated[Blob, of_medium("image")]


class Restore(Section):
    """A request of a kind that works on pictures."""

    picture: Picture = Field(json_schema_extra=POSITIONAL, description="The broken one.")
    mask: Picture | None = Field(None, description="What to fill.")
    like: list[Picture] = Field([], description="Others of its kind.")
    note: Blob | None = Field(None, description="Anything at all.")


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


def test_a_field_of_bytes_is_filled_from_a_file(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("look at the corner")
    request = check(Restore, {"picture": str(HEART), "like": (str(HEART), str(HEART)), "note": str(note)})
    assert (request.picture.name, request.picture.medium) == ("1f493.png", "image")
    assert request.picture.data == HEART.read_bytes() == request.like[1].data and len(request.like) == 2
    assert (request.note.medium, request.mask) == ("text", None)


def test_options_of_bytes_name_files() -> None:
    options = {option.name: option for option in options_of(Restore)}
    assert positional(Restore) == "picture" and set(options) == {"mask", "like", "note"}
    assert all(option.metavar == "FILE" for option in options.values())
    assert options["like"].multiple and not options["mask"].multiple
    shown = click.Command("restore", params=list(options.values())).get_help(click.Context(click.Command("restore")))
    assert "--mask FILE" in shown


def test_bytes_go_through_json_as_base64() -> None:
    request = Restore(picture=Blob(name="heart.png", data=HEART.read_bytes()))
    text = request.model_dump_json()
    assert json.loads(text)["picture"]["data"] == base64.b64encode(HEART.read_bytes()).decode()
    assert Restore.model_validate_json(text) == Restore.model_validate(json.loads(text)) == request
    broken = base64.encodebytes(HEART.read_bytes()).decode()
    assert "\n" in broken.strip()
    lines = json.dumps({"picture": {"name": "x", "data": broken}})
    assert Restore.model_validate_json(lines).picture.data == HEART.read_bytes()
    with pytest.raises(ValidationError, match="base64"):
        Restore.model_validate_json('{"picture": {"name": "x", "data": "no base64!"}}')


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "../../etc/passwd", "data": b"x"}, "picture.name"),
        ({"name": "a.png", "data": str(HEART)}, "picture.data"),
        ({"name": "a.png", "data": b""}, "picture.data"),
        ({"name": "a.png", "path": str(HEART), "data": b"x"}, "picture.path"),
        ({"name": "a.png", "data": b"words"}, "a.png: no picture, but text by its first bytes"),
        ({"name": "a.png", "medium": "image", "data": b"words"}, "a.png: no image by its first bytes"),
        ({"name": "a.png", "medium": "imagination", "data": b"words"}, "a.png: no imagination by its first bytes"),
    ],
)
def test_a_request_names_no_place_and_is_what_it_says(given: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError) as refused:
        checked(Restore, {"picture": given})
    assert said in str(refused.value) and "words'" not in str(refused.value)


def test_a_file_that_is_not_there_is_named_by_its_option(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"^PICTURE .*nowhere\.png: can't be read"):
        check(Restore, {"picture": str(tmp_path / "nowhere.png")})
    with pytest.raises(RequestError, match=r"^--mask: .*note\.txt: no picture, but text"):
        (tmp_path / "note.txt").write_text("look")
        check(Restore, {"picture": str(HEART), "mask": str(tmp_path / "note.txt")})
    with pytest.raises(RequestError, match=r"^PICTURE: Field required"):
        check(Restore, {})
    with pytest.raises(RequestError, match=r"^PICTURE: Data should have at least 1 byte"):
        (tmp_path / "empty.png").touch()
        check(Restore, {"picture": str(tmp_path / "empty.png")})


def test_one_wording_for_python_and_the_command_line() -> None:
    with pytest.raises(RequestError, match=r"^`max_tokens`: Input should be .* \(given: 0\)\.$"):
        checked(CHAT, {"max_tokens": 0})
    with pytest.raises(RequestError, match=r"^--max-tokens: Input should be .* \(given: 0\)\.$"):
        check(CHAT, {"max_tokens": 0})
    with pytest.raises(RequestError, match=r"^`colour`: .*; there are .*`prompt`, "):
        checked(CHAT, {"colour": "red"})
