"""Conversations as people keep them, read into one shape: messages with a role (system, user, assistant, tool) and a content.

    {"messages": [{"role": "user", "content": "..."}]}                    OpenAI and Hugging Face
    {"conversations": [{"from": "human", "value": "..."}]}                ShareGPT
    {"instruction": "...", "input": "...", "output": "..."}               Alpaca
    {"prompt": "...", "response": "..."}                                  pairs, under several names
    [{"role": "user", "content": "..."}]  ["Hello", "Hi"]                 a list for each conversation
    {"prompt": "...", "chosen": "...", "rejected": "..."}                 preferences

Other shapes are described by a `Mapping`. A conversation that can't be read becomes a Drop, never an error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from genwright.errors import RequestError
from genwright.ledger import Drop
from genwright.sources.csv_rows import read_csv
from genwright.sources.exports import exported, whatsapp
from genwright.sources.json_values import Lines, loads, parse
from genwright.tasks.chat.marks import CALLS, MalformedError, check_row, check_turn

Message = dict[str, str]
"""{"role": ..., "content": ...}, as chat templates expect it."""

ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter", "customer"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot", "model", "chatgpt", "chatbot", "ai", "agent"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "tool_response"), "tool"),
}

_LISTS = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "value")
_ROLE_KEYS = ("role", "from", "speaker", "author", "sender")
_TEXT_KEYS = ("content", "value", "text", "message", "utterance")
_TEXT_PARTS = (None, "text", "input_text", "output_text")
_PAIRS = (
    (("prompt", "question", "query", "user", "human"), ("response", "completion", "answer", "reply", "assistant")),
    (("input",), ("output",)),
)


@dataclass(frozen=True)
class Mapping:
    """Where a conversation stands in a row whose shape is not known. Paths go into mappings by dots: `author.name`."""

    turns: str
    """The list of turns; a turn that is itself a list counts as its messages."""
    role: str
    text: str
    user: tuple[str, ...] = ()
    assistant: tuple[str, ...] = ()
    """Values of `role`. With neither, the one who speaks first is the user and the other one the assistant."""
    system: str | None = None
    """A value of the row that becomes the system prompt."""
    both: bool = False
    """Whether each conversation is learned from both sides, the roles exchanged."""


@dataclass
class Dialogue:
    """A conversation; where `chosen` and `rejected` are given, they are two ways in which it may go on."""

    messages: list[Message]
    chosen: list[Message] = field(default_factory=list)
    rejected: list[Message] = field(default_factory=list)


def read_values(text: str, suffix: str = "") -> list[Any]:
    """The values in the text of a .json, .jsonl, .csv or .tsv file, or of a messenger's export; a line or row that can't be read is
    left in as a Drop.

    Raises ValueError when it is none of them.
    """
    if suffix in (".csv", ".tsv"):
        try:
            return list(read_csv(text, f"the table{suffix}"))
        except RequestError as error:
            raise ValueError(str(error)) from error
    if (chat := whatsapp(text)) is not None:
        return [conversation.row for conversation in chat]
    try:
        content = parse(text, suffix)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {str(error)[:160]}") from error
    return list(content) if isinstance(content, Lines) else _values(content)


def _values(content: Any) -> list[Any]:
    """The conversations of a JSON file: the file as one, or as a list of them."""
    if (found := exported(content)) is not None:
        return [conversation.row for conversation in found]
    if not isinstance(content, list):
        return [content]
    return [content] if content and all(_is_message(part) or isinstance(part, str) for part in content) else content


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and _key(value, _ROLE_KEYS) is not None and _key(value, _TEXT_KEYS) is not None


def dialogues(value: Any, mapping: Mapping | None = None, preference: bool = False) -> list[Dialogue] | Drop:
    """What one row or file says: a conversation (two where a mapping asks for both sides), or why there is none."""
    if isinstance(value, Drop):
        return value
    try:
        if preference:
            return [_preference(value)]
        found = _mapped(value, mapping) if mapping else [_messages(value)]
        read = [Dialogue(_tidy(messages)) for messages in found]
    except MalformedError as error:
        return Drop(error.reason, str(error)[:300])
    except RecursionError:
        return Drop("malformed", "nested too deep")
    kept = [dialogue for dialogue in read if has_reply(dialogue.messages)]
    return kept or Drop("too_small", "no reply of an assistant in it")


def has_reply(messages: Sequence[Message]) -> bool:
    """Whether an assistant says something after something else."""
    return any(message["role"] == "assistant" for message in messages[1:])


def _messages(value: Any) -> list[Message]:
    """The messages of a value in one of the known shapes, as they stand."""
    if isinstance(value, str):
        value = _parsed(value)
    if isinstance(value, list):
        return _from_list(value)
    if not isinstance(value, dict):
        raise MalformedError(f"a {type(value).__name__} is no conversation")
    check_row(value)
    system = _system(value)
    key = _key(value, _LISTS)
    if key is not None and (not isinstance(value[key], str) or value[key].lstrip().startswith("[")):
        return system + _messages(value[key])
    if "instruction" in value and ("output" in value or "response" in value):
        return system + _alpaca(value)
    for asked, answered in _PAIRS:
        question, answer = _key(value, asked), _key(value, answered)
        if question is not None and answer is not None:
            return system + _side(value[question], "user") + _side(value[answer], "assistant")
    raise MalformedError(f"no conversation among {', '.join(map(str, list(value)[:8])) or 'no keys at all'}")


def _system(value: dict[str, Any]) -> list[Message]:
    text = value.get("system") or value.get("system_prompt")
    return [{"role": "system", "content": text}] if isinstance(text, str) and text.strip() else []


def _from_list(turns: Sequence[Any]) -> list[Message]:
    if turns and all(isinstance(turn, str) for turn in turns):
        return [{"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(turns)]
    found = []
    names: dict[str, str] = {}
    for turn in turns:
        if not isinstance(turn, dict):
            raise MalformedError(f"a turn that is a {type(turn).__name__}")
        role, text = _key(turn, _ROLE_KEYS), _key(turn, _TEXT_KEYS)
        if role is None:
            raise MalformedError(f"a turn without a role: {', '.join(map(str, list(turn)[:8]))}")
        found.append({"role": _role(turn[role]), "content": _content(turn[text] if text else None)})
        check_turn(turn, found[-1]["role"])
        name = turn.get("name")
        if (
            found[-1]["role"] in ("user", "assistant")
            and isinstance(name, str)
            and names.setdefault(found[-1]["role"], name) != name
        ):
            raise MalformedError(
                f"several people speak as {found[-1]['role']} (`name`); say in `prepare.conversation` who is who"
            )
    return found


def _role(name: Any) -> str:
    role = ROLES.get(str(name).strip().lower())
    if role is None and str(name).lower() in CALLS:
        raise MalformedError("a call of a tool, which can't be learned from", "unsupported")
    if role is None:
        raise MalformedError(f"the role {str(name)[:40]!r} is not known; say in `prepare.conversation` who is who")
    return role


def _content(content: Any) -> str:
    """The text of a message; parts of text are joined, and pictures or calls of tools can't be learned from."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [
            part if isinstance(part, str) else _text_of(part) if isinstance(part, dict) else None for part in content
        ]
        if all(isinstance(text, str) for text in texts):
            return "".join(map(str, texts))
        raise MalformedError("a message with a part that is not text", "wrong_medium")
    if isinstance(content, float) and not math.isfinite(content):
        return ""
    if isinstance(content, int | float) and not isinstance(content, bool):
        return str(content)
    raise MalformedError(f"a message whose content is a {type(content).__name__}")


def _text_of(part: dict[str, Any]) -> Any:
    return part.get("text") if part.get("type") in _TEXT_PARTS else None


def _alpaca(value: dict[str, Any]) -> list[Message]:
    asked, more = _content(value["instruction"]), _content(value.get("input"))
    answer = value["output"] if "output" in value else value["response"]
    earlier: list[Message] = []
    history = value.get("history") or []
    history = [] if isinstance(history, float) else _parsed(history) if isinstance(history, str) else history
    for pair in history:
        if not isinstance(pair, list) or len(pair) != 2:
            raise MalformedError("a history that is not made of pairs")
        earlier += _side(pair[0], "user") + _side(pair[1], "assistant")
    question = f"{asked}\n\n{more}" if more.strip() else asked
    return [*earlier, *_side(question, "user"), *_side(answer, "assistant")]


def _side(value: Any, role: str) -> list[Message]:
    """One side of a pair: a text, or messages of their own."""
    if isinstance(value, list) and value and isinstance(value[0], dict) and _key(value[0], _ROLE_KEYS):
        return _from_list(value)
    return [{"role": role, "content": _content(value)}]


def _mapped(value: Any, mapping: Mapping) -> list[list[Message]]:
    turns = _reach(value, mapping.turns)
    if isinstance(turns, str):
        turns = _parsed(turns)
    if not isinstance(turns, list):
        raise MalformedError(f"`{mapping.turns}` is no list", "missing_text" if turns is None else "malformed")
    flat = [part for turn in turns for part in (turn if isinstance(turn, list) else [turn])]
    spoken = [(str(_reach(turn, mapping.role)), _content(_reach(turn, mapping.text))) for turn in flat]
    roles = _who_is_who([speaker for speaker, _ in spoken], mapping)
    for turn, (speaker, _) in zip(flat, spoken, strict=True):
        if isinstance(turn, dict):
            check_turn(
                {key: said for key, said in turn.items() if key not in (mapping.role, mapping.text)}, roles[speaker]
            )
    told = _content(_reach(value, mapping.system)) if mapping.system else ""
    system = [{"role": "system", "content": told}] if told.strip() else []
    sides = [system + [{"role": roles[speaker], "content": text} for speaker, text in spoken]]
    if mapping.both:
        exchanged = {"user": "assistant", "assistant": "user"}
        sides.append([{**message, "role": exchanged.get(message["role"], message["role"])} for message in sides[0]])
    return sides


def _who_is_who(speakers: Sequence[str], mapping: Mapping) -> dict[str, str]:
    """The role of each speaker of a conversation."""
    order = list(dict.fromkeys(speakers))
    if mapping.user or mapping.assistant:
        roles = dict.fromkeys(mapping.user, "user") | dict.fromkeys(mapping.assistant, "assistant")
        other = "user" if not mapping.user else "assistant" if not mapping.assistant else None
        unknown = [name for name in order if name not in roles and (ROLES.get(name.lower()) or other) is None]
        if unknown:
            raise MalformedError(f"{unknown[0][:40]!r} is neither the user nor the assistant of `prepare.conversation`")
        return {name: roles.get(name) or other or ROLES[name.lower()] for name in order}
    if all(name.lower() in ROLES for name in order):
        return {name: ROLES[name.lower()] for name in order}
    if len(order) > 2:
        raise MalformedError(f"{len(order)} people speak; say in `prepare.conversation` who is the assistant")
    return dict(zip(order, ("user", "assistant"), strict=False))


def _reach(value: Any, path: str) -> Any:
    for key in path.split("."):
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _preference(value: Any) -> Dialogue:
    """A prompt and two answers, the first one preferred (the shapes of TRL: texts, messages, or whole conversations)."""
    if not isinstance(value, dict) or "chosen" not in value or "rejected" not in value:
        raise MalformedError("no `chosen` and `rejected` in it")
    check_row(value)
    asked = next((value[key] for key in ("messages", "prompt", "question", "instruction") if value.get(key)), None)
    prompt = [] if asked is None else _side(_parsed_list(asked), "user")
    chosen, rejected = (_side(_parsed_list(value[name]), "assistant") for name in ("chosen", "rejected"))
    # Whole conversations on both sides: what they have in common is the prompt.
    common = 0
    while common < min(len(chosen), len(rejected)) - 1 and chosen[common] == rejected[common]:
        common += 1
    if common and not (prompt and chosen[:common] == prompt):
        prompt = prompt + chosen[:common]
    prompt, chosen, rejected = (
        _tidy(part, cut=False) for part in (_system(value) + prompt, chosen[common:], rejected[common:])
    )
    if not prompt or any(m["role"] != "assistant" for m in chosen + rejected) or not (chosen and rejected):
        raise MalformedError("a preference needs a prompt and two different answers of the assistant")
    if chosen == rejected:
        raise MalformedError("both answers are the same", "duplicate")
    return Dialogue(prompt, chosen, rejected)


def _tidy(messages: Sequence[Message], cut: bool = True) -> list[Message]:
    """Messages without empty ones, those of one speaker that follow each other joined by a line end, and (`cut`) nothing behind
    the last reply: many templates want speakers to take turns, and there is nothing to learn from an open question."""
    tidy: list[Message] = []
    for message in messages:
        if not message["content"].strip():
            continue
        if not _encodable(message["content"]):
            raise MalformedError("a message with half a character (a lone surrogate)")
        if tidy and tidy[-1]["role"] == message["role"] != "tool":
            tidy[-1] = {**message, "content": f"{tidy[-1]['content']}\n{message['content']}"}
        else:
            tidy.append(message)
    while cut and tidy and tidy[-1]["role"] != "assistant":
        tidy.pop()
    return tidy


def _encodable(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _key(value: dict[str, Any], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in value), None)


def _parsed(text: str) -> Any:
    """A table of text (csv) holds lists as JSON."""
    try:
        return loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"a text that is no JSON: {text[:60]!r}") from error


def _parsed_list(value: Any) -> Any:
    return _parsed(value) if isinstance(value, str) and value.lstrip().startswith('[{"') else value
