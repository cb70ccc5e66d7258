"""Settings and request of the task `chat`: torch-free, so that recipes and help are quick."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import Field, field_validator

from genwright.about import FROM_WEIGHTS, About, Least, Survey, Verdict, on_scale
from genwright.console import count as number
from genwright.ledger import Drop
from genwright.request import AT_FILE, POSITIONAL
from genwright.settings import Section
from genwright.tasks.chat.formats import dialogues, read_values
from genwright.tasks.text import options as text_options

__all__ = ["ABOUT", "Model", "Prepare", "Request"]

CONTEXT = 512
"""Tokens of a conversation that a model sees, where the recipe does not say."""


_CONVERSATIONS = (
    (20, "too few to learn from"),
    (5_000, "enough to teach a model that can talk already how to answer; too few to learn talking from"),
    (None, "enough for a small model of their tone; better from weights that can talk already (`model.from`)"),
)
_WHY = (
    "So few conversations teach how to answer, not how to talk. So the model starts from weights that can talk, and learns a\n"
    "small change of them. To learn from nothing all the same, take `from` and `lora` out, and run it with --anyway."
)


def _is_conversation(row: dict[str, Any]) -> bool:
    return not isinstance(dialogues(row), Drop)


def _conversations(text: str, ending: str) -> int:
    """How many conversations a file holds, as the task reads it."""
    try:
        values = read_values(text, ending)
    except (ValueError, RecursionError):
        return 0
    return sum(not isinstance(dialogues(value), Drop) for value in values)


def _refused(text: str, ending: str) -> tuple[int, str]:
    """How many conversations of a file can't be learned, and why the first of them can't."""
    try:
        read = [dialogues(value) for value in read_values(text, ending)]
    except (ValueError, RecursionError):
        return 0, ""
    why = [one.detail for one in read if isinstance(one, Drop) and one.reason in ("unsupported", "wrong_medium")]
    return len(why), next(iter(why), "")


def _verdict(survey: Survey) -> Verdict:
    found = survey.whole("chat")
    count = sum(one.whole["chat"] for one in found)
    refused = [one for one in survey.refused if one.task == "chat"]
    lost = ""
    if refused:
        lost = f"{number(sum(one.items for one in refused), 'conversation')} that can't be learned ({refused[0].path}: {refused[0].why})"
    if not count and lost:
        return Verdict(0, False, f"{lost}; take out of them what can't be learned, and leave what is said")
    if not count:
        return Verdict(0, False, "no conversations, in tables, JSON or exports of messengers")
    own = sum(one.bytes for one in found)
    texts = survey.characters + sum(one.characters or one.bytes for one in survey.tables if not one.path)
    share = own / max(texts, own)
    text = f"{number(count, 'conversation')}: {on_scale(count, _CONVERSATIONS)}{f'; beside {lost}' if lost else ''}"
    few = count < _CONVERSATIONS[1][0]
    return Verdict(
        count,
        count >= _CONVERSATIONS[0][0],
        text,
        made_for=2 * share >= 1,
        settings=FROM_WEIGHTS if few else {},
        why=_WHY if few else "",
        share=share,
    )


ABOUT = About(
    medium="text",
    families=("transformer",),
    example={"prompt": "How was your day?"},
    use="print(made.text)",
    pipeline="text-generation",
    tags=("conversational",),
    limits="Answers in the manner of the conversations it learned from: practice, play, a tone of voice. It does not know whether what "
    "it says is true, agrees too readily, and should not be asked for facts, advice or decisions, nor taken for a person.",
    transformers="""\
messages = [{"role": "user", "content": "How was your day?"}]
tokens = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
print(tokenizer.decode(model.generate(**tokens, max_new_tokens=100, do_sample=True)[0]))""",
    verdict=_verdict,
    least=Least.on("conversations", _CONVERSATIONS),
    whole_rows=_is_conversation,
    whole_file=_conversations,
    refused_file=_refused,
    echo=False,
    converses=True,
    traceable=True,
)


class Conversation(Section):
    """Where a conversation stands in rows of a shape of their own; paths go inside by dots: `author.name`."""

    turns: str = Field("messages", description="The list of turns; a turn that is a list counts as its messages.")
    role: str = Field("role", description="Who speaks, in a turn.")
    text: str = Field("content", description="What is said, in a turn.")
    user: list[str] = Field([], description="Values of `role` that are the user.")
    assistant: list[str] = Field(
        [],
        description="Values of `role` that are the assistant, whose turns are learned. With neither, who speaks first is the user and "
        "the other one the assistant.",
    )
    system: str | None = Field(None, description="A value of the row that becomes the system prompt.")
    both: bool = Field(False, description="Learn each conversation from both sides, the roles exchanged.")

    @field_validator("user", "assistant", mode="before")
    @classmethod
    def _one_will_do(cls, value: Any) -> Any:
        return value if isinstance(value, list) else [str(value)]


class Prepare(text_options.Prepare):
    conversation: Conversation | None = Field(
        None,
        description="Says how conversations of another shape are read; `messages`, ShareGPT, Alpaca and prompt/response pairs need "
        "nothing said.",
    )
    template: str | None = Field(
        None,
        description="A file with a Jinja chat template, from the recipe's folder; default: that of the weights started from, else ChatML.",
    )
    preference: bool = Field(
        False,
        description="Learn which of two answers is preferred (DPO), from rows with `prompt`, `chosen` and `rejected`; needs `model.from`.",
    )
    beta: float = Field(
        0.1, gt=0, description="With `preference`: how closely the model stays at what it was (beta of DPO)."
    )

    def relative_to(self, folder: Path) -> Self:
        if self.template is None:
            return self
        place = Path(self.template).expanduser()
        return self.model_copy(update={"template": str(place if place.is_absolute() else folder.absolute() / place)})


class Model(text_options.Model):
    context: int | None = Field(
        None,
        ge=16,
        description=f"Tokens of a conversation that the model sees at once; longer ones are cut by whole turns; default: {CONTEXT}, or what the weights started from can see, where that is less.",
    )


class Message(Section):
    role: Literal["system", "user", "assistant", "tool"]
    content: str


_OF_THE_WEIGHTS = "Weights started from may ask for another default."


class Request(text_options.Request):
    prompt: str = Field("", description="The message to answer.", json_schema_extra=POSITIONAL)
    system: str | None = Field(None, description="How the assistant is to behave, said before the conversation.")
    temperature: float = Field(
        0.7, ge=0, le=5, description="0 always takes the likeliest token; higher is wilder. " + _OF_THE_WEIGHTS
    )
    top_p: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Draw only from the likeliest tokens that add up to this probability. " + _OF_THE_WEIGHTS,
    )
    messages: str | list[Message] | None = Field(
        None,
        description='The conversation so far, before the prompt, as JSON: [{"role": "user", "content": "Hello"}].',
        json_schema_extra=AT_FILE,
    )

    @field_validator("messages", mode="before")
    @classmethod
    def _readable(cls, value: Any) -> Any:
        return value if value is None else _read_messages(value)


def _read_messages(given: Any) -> list[Message]:
    """Messages as they are, or from JSON. Raises ValueError, which says what is wrong with which one."""
    try:
        found = json.loads(given) if isinstance(given, str) else given
    except ValueError as error:
        raise ValueError(f"not valid JSON ({error})") from error
    if not isinstance(found, list):
        raise ValueError('must be a list of messages, like [{"role": "user", "content": "Hello"}]')
    return [_read_message(message, number) for number, message in enumerate(found, 1)]


def _read_message(given: Any, number: int) -> Message:
    if isinstance(given, Message):
        return given
    if not isinstance(given, dict) or not given.keys() == Message.model_fields.keys():
        raise ValueError(
            f'message {number} must be a mapping of `role` and `content`, like {{"role": "user", "content": "Hello"}}'
        )
    roles, role = get_args(Message.model_fields["role"].annotation), given["role"]
    if role not in roles:
        raise ValueError(f"the role of message {number} is {role!r}; it must be {', '.join(roles[:-1])} or {roles[-1]}")
    if not isinstance(given["content"], str):
        raise ValueError(f"the content of message {number} is no text")
    return Message.model_validate(given)
