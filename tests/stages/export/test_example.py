"""What people are shown to ask: quoted for the shell, on one line, and in what is handed on only where it may be quoted."""

from __future__ import annotations

import shlex

import pytest

from genwright.request import shown
from genwright.stages.export.example import OWN, PUBLIC, chosen
from genwright.tasks.base import Asked


def test_a_shell_reads_it_as_it_was_meant() -> None:
    asked = shown("draw", "gan", {"prompt": 'it\'s a "$HOME" `heart`', "n": 16})
    assert shlex.split(asked.command) == ['it\'s a "$HOME" `heart`', "-n", "16", "--out", "pictures"]
    assert asked.arguments == '"it\'s a \\"$HOME\\" `heart`", n=16'
    asked = shown("write", "transformer", {"condition": ["author=李白", "title=-x"], "max_tokens": 300})
    assert shlex.split(asked.command) == [
        "--condition",
        "author=李白",
        "--condition",
        "title=-x",
        "--max-tokens",
        "300",
    ]
    asked = shown("complete", "transformer", {"prefix": "-f(", "suffix": ")"})
    assert shlex.split(asked.command) == ["--prefix=-f(", "--suffix", ")"]


def test_what_the_data_asks_takes_the_place_of_what_anybody_might() -> None:
    hole = {"prefix": "f(", "suffix": ")"}
    assert chosen("complete", Asked(hole, "item"), None)[OWN] == hole
    assert chosen("write", Asked({"prompt": "Dear"}, "item"), None)[OWN] == {"max_tokens": 300, "prompt": "Dear"}


@pytest.mark.parametrize(
    ("licence", "public"), [("MIT", True), (None, False), ("CC-BY-ND-4.0", False), ("CC-BY-SA-4.0", True)]
)
def test_words_of_the_data_are_handed_on_where_their_licence_lets_them(licence: str | None, public: bool) -> None:
    found = chosen("chat", Asked({"prompt": "My secret?"}, "item"), licence)
    assert found[OWN] == {"prompt": "My secret?"}
    assert found[PUBLIC] == ({"prompt": "My secret?"} if public else {"prompt": "How was your day?"})


def test_words_of_the_model_are_handed_on() -> None:
    found = chosen("draw", Asked({"prompt": "cats"}), None)
    assert found[OWN] == found[PUBLIC] == {"prompt": "cats", "n": 16}
    assert chosen("draw", None, None)[OWN] == {"n": 16}
