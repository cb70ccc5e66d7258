"""Chat templates: Jinja programs that write a conversation as one text, as Hugging Face keeps them beside a tokenizer.

A template is rendered as `transformers` renders it, letter by letter, in a sandbox that reaches no file and no attribute. What
differs is how the text becomes tokens: a special token that stands in somebody's message is spelled out as text, so that nobody
can end their turn by writing its end.

The assistant's words are found by rendering a conversation turn by turn: what a reply adds behind the prompt for it is the reply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from genwright.errors import RequestError

if TYPE_CHECKING:
    from genwright.tokens.tokenizer import Tokenizer

START, STOP = "<|im_start|>", "<|im_end|>"

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""The template of models that are trained from nothing: ChatML, which most runtimes know by name."""

PLAIN = (
    "{% for message in messages %}"
    "{{ message['role'] | capitalize + ':\n' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:\n' }}{% endif %}"
)
"""The template for weights that came without one and whose tokenizer lacks the tokens of ChatML."""

Message = Mapping[str, Any]

_TRIAL = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Good day"},
    {"role": "user", "content": "How are you?"},
    {"role": "assistant", "content": "Very well"},
]

_SHIELDS = 0xF0000
"""Characters of private use stand for special tokens in messages while the template is rendered."""


class RefusedError(Exception):
    """The template can't be rendered for these messages; the text says why."""


class ChatTemplate:
    """A template with the special tokens of its tokenizer. `named` are the tokens that it may ask for: `bos_token`, `eos_token`.

    Raises RequestError, which names `where`, when the source is no valid template.
    """

    def __init__(
        self,
        source: str,
        special: Iterable[str] = (),
        named: Mapping[str, str] | None = None,
        ends: Iterable[str] = (),
        where: str = "the chat template",
    ):
        self.source, self.where = source, where
        self.special = sorted(special, key=lambda name: (-len(name), name))
        self.named, self.ends = dict(named or {}), tuple(ends)
        try:
            self._template = _environment().from_string(source)
        except (jinja2.TemplateError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None)
            raise RequestError(
                f"{where}{f' line {line}' if line else ''}: not a valid Jinja template ({_short(error)}); correct it."
            ) from error

    @classmethod
    def of(cls, facts: Tokenizer, where: str = "the chat template") -> ChatTemplate:
        """The template of a tokenizer; ChatML where it has none but has ChatML's tokens."""
        names = {index: name for name, index in facts.special.items()}
        ends = tuple(names[index] for index in facts.end_tokens if index in names)
        end = names.get(facts.end_token, "")
        named = {"bos_token": end, "eos_token": ends[0] if ends else end, "pad_token": end} | _named(facts)
        source = facts.chat_template or (CHATML if {START, STOP} <= set(facts.special) else PLAIN)
        return _built(source, tuple(facts.special), tuple(named.items()), ends, where)

    def check(self) -> None:
        """Raise RequestError when the template can't do what it is for: write a question and mark the answer to it."""
        try:
            text, spans = self.marked(_TRIAL) if self.whole else self._last(_TRIAL)
        except RefusedError as error:
            raise RequestError(f"{self.where}: does not render ({error}); correct it.") from error
        for (start, stop), reply in zip(spans[::-1], ("Very well", "Good day"), strict=False):
            if reply not in text[start:stop]:
                raise RequestError(f"{self.where}: the reply {reply!r} is not in what it renders; correct it.")
            if self.ends and not text[start:stop].endswith(self.ends):
                raise RequestError(
                    f"{self.where}: nothing ends a reply, so that the model could never stop; write {self.ends[0]} behind it."
                )

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
        """The text of a conversation, as `transformers` renders it. Raises RefusedError."""
        shielded, names = self._shield(messages)
        return _unshield(self._render(shielded, add_generation_prompt), names)

    def encode(self, messages: Sequence[Message], facts: Tokenizer, add_generation_prompt: bool = True) -> np.ndarray:
        """The tokens of a conversation that the assistant is to go on from. Raises RefusedError."""
        shielded, names = self._shield(messages)
        return self._tokens(self._render(shielded, add_generation_prompt), names, facts)

    def encode_marked(self, messages: Sequence[Message], facts: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
        """The tokens of a conversation, and uint8 of the same length: 1 where a token is the assistant's (words and end of turn).

        The text is cut into tokens at the edges of the assistant's words, so that a prompt has the same tokens here as where it
        is answered. Raises RefusedError.
        """
        shielded, names = self._shield(messages)
        return self._counted(*self._marked(shielded), names, facts)

    def encode_last(self, messages: Sequence[Message], facts: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
        """As `encode_marked`, but of a conversation whose last reply alone counts. Raises RefusedError."""
        shielded, names = self._shield(messages)
        return self._counted(*self._last(shielded), names, facts)

    def _counted(
        self, text: str, spans: Sequence[tuple[int, int]], names: Mapping[str, str], facts: Tokenizer
    ) -> tuple[np.ndarray, np.ndarray]:
        tokens, weights, place = [], [], 0
        for start, stop in [*spans, (len(text), len(text))]:
            for part, weight in ((text[place:start], 0), (text[start:stop], 1)):
                found = self._tokens(part, names, facts)
                tokens.append(found)
                weights.append(np.full(len(found), weight, np.uint8))
            place = stop
        return np.concatenate(tokens).astype(facts.dtype), np.concatenate(weights)

    def marked(self, messages: Sequence[Message]) -> tuple[str, list[tuple[int, int]]]:
        """The text of a conversation and where each reply stands in it, its end of turn included. Raises RefusedError."""
        return self._marked(messages)

    def _marked(self, messages: Sequence[Message]) -> tuple[str, list[tuple[int, int]]]:
        whole = self._render(messages)
        if self.tags:
            spans = [span for span in self._tagged(messages) if span[1] > span[0]]
            return whole, [(start, _behind(whole, stop, self.ends)) for start, stop in spans]
        spans = []
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            after = self._render(messages[: index + 1]) if index + 1 < len(messages) else whole
            before = self._before(messages[:index])
            fits = before is not None and after.startswith(before)
            if not fits and whole.startswith(after) and not _answers(messages[:index]):
                # Words that open a conversation: many templates can't ask for them, and then they are only read.
                continue
            if before is None or not fits or not whole.startswith(after):
                raise RefusedError(
                    "it writes earlier turns in another way once more follow, so what the assistant said can't be told from "
                    "the rest; mark it in the template with {% generation %} and {% endgeneration %}"
                )
            spans.append((len(before), _last_end(after, len(before), self.ends)))
        return whole, spans

    @cached_property
    def whole(self) -> bool:
        """Whether every reply of a conversation can be told in one text. Some templates write a reply in another way once more turns
        follow (Qwen3's leaves its thoughts out); with them each reply must be learned from a text that ends with it."""
        try:
            self._marked(_TRIAL)
        except RefusedError:
            return False
        return True

    def _last(self, messages: Sequence[Message]) -> tuple[str, list[tuple[int, int]]]:
        before, text = self._render(messages[:-1], True), self._render(messages)
        if not text.startswith(before):
            raise RefusedError(
                "a reply does not begin as the prompt for it ends, so that the one can't be told from the other; mark replies in the "
                "template with {% generation %} and {% endgeneration %}"
            )
        return text, [(len(before), _last_end(text, len(before), self.ends))]

    def _before(self, messages: Sequence[Message]) -> str | None:
        """The prompt for the reply to some messages; None where nobody was heard yet and the template wants somebody."""
        try:
            return self._render(messages, True)
        except RefusedError:
            if _answers(messages):
                raise
            return None

    @cached_property
    def tags(self) -> bool:
        """Whether the template itself marks what the assistant says."""
        return re.search(r"\{%-?\s*generation\s*-?%\}", self.source) is not None

    def _tagged(self, messages: Sequence[Message]) -> list[tuple[int, int]]:
        blocks: list[str] = []
        spans: list[tuple[int, int]] = []
        token = _recording.set((blocks, spans))
        try:
            for block in self._template.generate(messages=_plain(messages), **self._variables(False)):
                blocks.append(block)
        except _FAILURES as error:
            raise RefusedError(_short(error)) from error
        finally:
            _recording.reset(token)
        return spans

    def _render(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
        try:
            return self._template.render(messages=_plain(messages), **self._variables(add_generation_prompt))
        except _FAILURES as error:
            raise RefusedError(_short(error)) from error

    def _variables(self, add_generation_prompt: bool) -> dict[str, Any]:
        return {**self.named, "tools": None, "documents": None, "add_generation_prompt": add_generation_prompt}

    def _shield(self, messages: Sequence[Message]) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Messages with a character of private use in place of each special token that stands in them, and what they stand for."""
        contents = "\0".join(str(message["content"]) for message in messages)
        free = (chr(code) for code in range(_SHIELDS, _SHIELDS + 0xFFFD) if chr(code) not in contents)
        names: dict[str, str] = {}
        shielded = [dict(message) for message in messages]
        for name in self.special:
            if name and name in contents:
                shield = next(free)
                names[shield] = name
                for message in shielded:
                    message["content"] = message["content"].replace(name, shield)
        return shielded, names

    def _tokens(self, text: str, names: Mapping[str, str], facts: Tokenizer) -> np.ndarray:
        parts = []
        for part in self._splitter.split(text) if self.special else [text]:
            if part in facts.special:
                parts.append(np.array([facts.special[part]], dtype=facts.dtype))
            elif part:
                parts.append(facts.encode(_unshield(part, names)))
        return np.concatenate(parts) if parts else np.empty(0, facts.dtype)

    @cached_property
    def _splitter(self) -> re.Pattern[str]:
        return re.compile("(" + "|".join(re.escape(name) for name in self.special if name) + ")")


@lru_cache(maxsize=8)
def _built(
    source: str, special: tuple[str, ...], named: tuple[tuple[str, str], ...], ends: tuple[str, ...], where: str
) -> ChatTemplate:
    return ChatTemplate(source, special, dict(named), ends, where)


def _named(facts: Tokenizer) -> dict[str, str]:
    """The tokens that a tokenizer's settings name (`bos_token`), as text."""
    settings = facts.foreign.settings if facts.foreign else {}
    named = {key: value for key, value in settings.items() if key.endswith("_token")}
    texts = {key: value.get("content") if isinstance(value, dict) else value for key, value in named.items()}
    return {key: text for key, text in texts.items() if isinstance(text, str)}


def _unshield(text: str, names: Mapping[str, str]) -> str:
    for shield, name in names.items():
        text = text.replace(shield, name)
    return text


def _answers(messages: Sequence[Message]) -> bool:
    """Whether anybody spoke whom a reply could answer."""
    return any(message["role"] != "system" for message in messages)


def _last_end(text: str, start: int, ends: Sequence[str]) -> int:
    """Where the last end of a turn behind `start` stops; the end of the text where there is none."""
    found = [place + len(end) for end in ends if (place := text.rfind(end, start)) >= 0]
    return max(found, default=len(text))


def _behind(text: str, stop: int, ends: Sequence[str]) -> int:
    """`stop`, or behind the end of turn that stands there without being marked."""
    return next((stop + len(end) for end in ends if text.startswith(end, stop)), stop)


def _plain(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [dict(message) for message in messages]


_FAILURES = (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What a template may raise on messages it was not written for."""


def _short(error: BaseException) -> str:
    return (str(error) or type(error).__name__).split("\n")[0][:160].rstrip(".")


_recording: ContextVar[tuple[list[str], list[tuple[int, int]]] | None] = ContextVar("_recording", default=None)


class _Generation(Extension):
    """`{% generation %}`: writes what is inside, and notes where that stands, as transformers' `AssistantTracker` does."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it as an instance's

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_note"), [], [], body).set_lineno(line)

    def _note(self, caller: Any) -> str:
        text = caller()
        lists = _recording.get()
        if lists is not None:
            start = sum(map(len, lists[0]))
            lists[1].append((start, start + len(text)))
        return text


class _Namespace(Namespace):
    """Without names that begin with an underscore, which lead into Python's insides."""

    def __setitem__(self, name: str, value: Any) -> None:
        if str(name).startswith("_"):
            raise SecurityError(f"a chat template may not set {name!r}")
        super().__setitem__(name, value)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals.update(
        raise_exception=_raise, strftime_now=lambda form: datetime.now().strftime(form), namespace=_Namespace
    )
    return environment


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """JSON as it is: Jinja's own filter escapes what HTML would."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
