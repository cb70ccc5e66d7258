"""What a chat template does, found by rendering it: the text around each message. For runtimes that don't speak Jinja."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genwright.errors import RequestError
from genwright.tokens.chat_template import ChatTemplate, RefusedError

Messages = Sequence[dict[str, str]]

_MARKS = {"system": "\x01s\x01", "user": "\x01u\x01", "assistant": "\x01a\x01"}


@dataclass(frozen=True)
class ChatShape:
    """`start` begins a conversation without a system message; around each role's message stands (before, after)."""

    start: str
    around: dict[str, tuple[str, str]]
    answer: str
    """What asks for an answer."""

    def render(self, messages: Messages) -> str:
        text = "" if messages and messages[0]["role"] == "system" else self.start
        for message in messages:
            before, after = self.around[message["role"]]
            text += before + message["content"] + after
        return text + self.answer


def render(template: str, messages: Messages, special: dict[str, str], *, answer: bool = True) -> str:
    """`special`: bos_token, eos_token and the like, which templates may name. Raises RefusedError where it can't be rendered."""
    return ChatTemplate(template, named=special).render(messages, add_generation_prompt=answer)


def shape_of(template: str, special: dict[str, str]) -> ChatShape | None:
    """The shape of a template that only puts text around messages; None for one that does more (trims, tools, dates)."""
    try:
        found = _shape(template, special)
        for messages in _CHECKS:
            if found.render(messages) != render(template, messages, special):
                return None
    except (RefusedError, RequestError, ValueError):
        return None
    return found


def _shape(template: str, special: dict[str, str]) -> ChatShape:
    def text(*roles: str, answer: bool = False) -> str:
        messages = [{"role": role, "content": _MARKS[role]} for role in roles]
        return render(template, messages, special, answer=answer)

    one, two, three = text("user"), text("user", "assistant"), text("user", "assistant", "user")
    first, after_user = _around(one, _MARKS["user"])
    before_assistant, after_assistant = _around(_rest(two, one), _MARKS["assistant"])
    before_user, _ = _around(_rest(three, two), _MARKS["user"])
    if not first.endswith(before_user):
        raise ValueError("the first message is told otherwise than the others")
    told = text("system", "user")
    before_system, rest = _around(told, _MARKS["system"])
    after_system = rest.removesuffix(before_user + _MARKS["user"] + after_user)
    return ChatShape(
        start=first.removesuffix(before_user),
        around={
            "system": (before_system, after_system),
            "user": (before_user, after_user),
            "assistant": (before_assistant, after_assistant),
        },
        answer=_rest(text("user", answer=True), one),
    )


def _around(text: str, mark: str) -> tuple[str, str]:
    before, found, after = text.partition(mark)
    if not found or mark in after:
        raise ValueError("a message is not told once")
    return before, after


def _rest(text: str, start: str) -> str:
    if not text.startswith(start):
        raise ValueError("a message changes what stands before it")
    return text[len(start) :]


_CHECKS: tuple[Messages, ...] = (
    [{"role": "user", "content": "Who was Ada?"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " Two lines,\nand spaces "}],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Who was Ada?"},
        {"role": "assistant", "content": "A mathematician."},
        {"role": "user", "content": "And Grace?"},
    ],
    [
        {"role": "user", "content": "Who was Ada?"},
        {"role": "assistant", "content": "A mathematician.\n"},
        {"role": "user", "content": "And Grace?"},
        {"role": "assistant", "content": "An admiral."},
        {"role": "user", "content": "Thanks"},
    ],
)
