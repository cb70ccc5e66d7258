"""The task `chat`: an assistant that answers, learned from conversations.

An example is a conversation, or as many whole exchanges of a long one as the context holds, written by a chat template. Only what
the assistant says counts in the loss: its words and the token that ends its turn.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ValidationError

from genwright.console import say
from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.families.transformer.family import Transformer
from genwright.ledger import WHOLE_ROW, Drop, Item
from genwright.media.base import Media
from genwright.model import Model, ModelConfig
from genwright.recipe import EvaluateSettings
from genwright.scores import Metric, Score, ScoreSheet, Verdict
from genwright.shards import Example, ExampleStore
from genwright.sources.exports import assistant_of, whatsapp
from genwright.sources.json_values import are_lines, loads
from genwright.tasks.base import Asked, Part, Splits, TrainJudge, can_be_typed, evenly
from genwright.tasks.chat import options as chat_options
from genwright.tasks.chat import preference as chat_preference
from genwright.tasks.chat import verdict as chat_verdict
from genwright.tasks.chat.formats import Dialogue, Mapping, Message, dialogues, read_values
from genwright.tasks.chat.rows import row_blocks, rows_between
from genwright.tasks.chat.turns import fit, windows
from genwright.tasks.text import from_weights as text_from
from genwright.tasks.text.blocks import BLOCKS
from genwright.tasks.text.task import TextTask, whole_text, window
from genwright.tasks.verdict import Training
from genwright.tokens.chat_template import CHATML, START, STOP, ChatTemplate, RefusedError
from genwright.tokens.tokenizer import Tokenizer
from genwright.training.base import Stackable

_PREVIEW_TOKENS = 80
_LOOKED_AT = 200
"""Held-out conversations among which one is looked for whose question is short enough to be shown."""


class Chat(TextTask):
    name: ClassVar[str] = "chat"
    Request = chat_options.Request

    marked: ClassVar[str] = "what is learned"
    led_in: ClassVar[bool] = False
    parts_groups: ClassVar[bool] = True

    prepare: chat_options.Prepare

    @property
    def context(self) -> int:
        return self.model.context or self._default_context

    @cached_property
    def _default_context(self) -> int:
        return min(chat_options.CONTEXT, text_from.positions(self.model) or chat_options.CONTEXT)

    def check(self) -> None:
        super().check()
        if self.prepare.preference and self.model.from_ is None:
            raise RequestError(
                "`prepare.preference` changes weights that can answer already; say where they are with `model.from`."
            )
        if self.prepare.template is not None:
            ChatTemplate(self._own_template() or "", (START, STOP), ends=(STOP,), where=self._template_name()).check()

    def encoding_settings(self) -> dict[str, Any]:
        """With the context, because conversations are cut to it, and with what the template's file says."""
        return {**super().encoding_settings(), "context": self.context, "template": self._own_template()}

    def group_key(self, item: Item) -> str:
        """What the user and the system say: the same question stays on one side, whatever the answers are."""
        asked = [
            " ".join(message["content"].lower().split())
            for dialogue in self._dialogues(item)
            for message in dialogue.messages
            if message["role"] != "assistant"
        ]
        return hashlib.sha256("\0".join(asked).encode()).hexdigest() if asked else super().group_key(item)

    def amount(self, item: Item) -> int:
        """Conversations."""
        return sum(1 for _ in self._dialogues(item))

    def divide(self, item: Item) -> list[tuple[int, int]]:
        """A file of JSON Lines is cut between lines, a list in JSON or a CSV between rows, an export of WhatsApp between conversations;
        any other one stays whole."""
        if WHOLE_ROW in item.fields or isinstance(text := whole_text(item), Drop):
            return []
        if (chat := whatsapp(text)) is not None:
            edges = sorted({0, len(text), *(one.start for one in chat[:: max(1, len(chat) // BLOCKS)])})
            return list(pairwise(edges)) if len(chat) > 2 else []
        suffix = _suffix(item)
        return _line_blocks(text) if are_lines(text, suffix) else row_blocks(text, suffix)

    def special_tokens(self) -> tuple[str, ...]:
        return (START, STOP)

    def missing_special_tokens(self, tokenizer: Tokenizer) -> tuple[str, ...]:
        """None where a template came with the weights: it is written in their own tokens."""
        return (
            ()
            if tokenizer.chat_template and self.prepare.template is None
            else super().missing_special_tokens(tokenizer)
        )

    def texts(self, item: Item) -> Iterable[str]:
        """Messages behind their role, as the template writes them, so that the vocabulary knows the roles."""
        for dialogue in self._dialogues(item):
            for message in [*dialogue.messages, *dialogue.chosen, *dialogue.rejected]:
                yield f"{message['role']}\n{message['content']}"

    def fit(self, sample: Iterable[Item]) -> Tokenizer:
        items = list(sample)
        self._tell_who(items)
        facts = super().fit(items)
        template = self._own_template()
        if facts.foreign is None:
            facts.end_tokens = (facts.special[STOP], facts.end_token)
            facts.chat_template = template or CHATML
        else:
            facts.chat_template = template or facts.chat_template or ChatTemplate.of(facts).source
            if STOP in facts.special and STOP in facts.chat_template and facts.special[STOP] not in facts.end_tokens:
                facts.end_tokens = (facts.special[STOP], *facts.end_tokens)
        ChatTemplate.of(facts, self._template_name()).check()
        return facts

    def encode(self, item: Item, facts: Tokenizer) -> Iterator[Example | Drop]:
        """Windows of a conversation: "tokens", and "weight", which is 1 where a token is the assistant's."""
        template = ChatTemplate.of(facts, self._template_name())
        drops: list[Drop] = []
        found = False
        for value in self._values(item):
            read = dialogues(value, _mapping(self.prepare.conversation), self.prepare.preference)
            if isinstance(read, Drop):
                drops.append(read)
                continue
            try:
                for dialogue in read:
                    for example in self._examples(dialogue, template, facts):
                        if isinstance(example, Drop):
                            drops.append(example)
                            continue
                        found = True
                        yield example
            except RefusedError as error:
                drops.append(Drop("malformed", f"the chat template refuses it: {error}"))
        yield from drops
        if not found and not drops and not item.start:
            yield Drop("too_large", f"no reply within the first {self.context:,} tokens; raise `model.context`")

    def _examples(self, dialogue: Dialogue, template: ChatTemplate, facts: Tokenizer) -> Iterator[Example | Drop]:
        if self.prepare.preference:
            yield from chat_preference.encode_pair(dialogue, template, facts, self.context)
            return
        for part in windows(dialogue.messages, template, facts, self.context):
            if part.weight.any():
                yield {"tokens": part.tokens, "weight": part.weight}
            if part.is_cut:
                yield Drop(
                    "too_large",
                    f"an exchange of {part.length:,} tokens, of which the first {self.context:,} are read; raise `model.context`",
                )

    def batches(
        self, store: ExampleStore, facts: Any, config: ModelConfig, seed: int, part: str, training: bool = True
    ) -> Stackable:
        if self.prepare.preference:
            return chat_preference.Pairs(self, store, seed, part, facts.end_token)
        return super().batches(store, facts, config, seed, part, training)

    def parts(self, config: ModelConfig, facts: Any) -> list[Part]:
        parts = super().parts(config, facts)
        return (
            [chat_preference.preferring(part, self.prepare.beta) for part in parts]
            if self.prepare.preference
            else parts
        )

    def held_out_scores(self, model: Model, store: ExampleStore, seed: int) -> list[tuple[Metric, Score]]:
        from genwright.tasks.chat.bits import HELD_OUT_TOKENS, bits_per_byte, held_out_examples
        from genwright.tasks.chat.scores import METRICS

        assert isinstance(model.family, Transformer)
        counted = held_out_examples(model, store, HELD_OUT_TOKENS)
        return [(METRICS[0], bits_per_byte(model, model.family, store, counted, seed))] if counted else []

    def prompt(self, model: Model, request: Any) -> list[int]:
        """The conversation so far, without its oldest exchanges where they leave too little room for an answer.

        Raises RequestError where there is nothing to answer, or the template can't write it.
        """
        return self.opening(model, asked_messages(request), request.max_tokens)[0]

    def opening(self, model: Model, messages: Sequence[Message], max_tokens: int) -> tuple[list[int], int]:
        """The tokens that an answer to some messages goes on from, and how many messages had to be left out."""
        context = window(model)
        room = context - min(max_tokens, context // 2)
        try:
            tokens, _, dropped = fit(messages, ChatTemplate.of(model.facts), model.facts, room)
        except RefusedError as error:
            raise RequestError(
                f"the chat template can't write this conversation ({error}); change the messages."
            ) from error
        if len(tokens) >= context:
            raise RequestError(
                f"the last message takes {len(tokens):,} tokens with what belongs to it, and the model sees {context:,}; shorten it."
            )
        return tokens.tolist(), dropped

    def answer(self, model: Model, request: Any, engine: Engine) -> Iterator[Media]:
        """The reply alone; it ends where the context does, because a conversation that lost its beginning is none.

        The last piece says how many of the oldest messages were left out for want of room.
        """
        prompt, left_out = self.opening(model, asked_messages(request), request.max_tokens)
        most = min(request.max_tokens, window(model) - len(prompt))
        pieces = super().answer(model, request.model_copy(update={"max_tokens": most}), engine)
        return _telling(pieces, left_out) if left_out else pieces

    def controls(self, model: Model, request: Any) -> Any:
        """What the request does not say is as the weights started from ask for it (generation_config.json)."""
        foreign = model.facts.foreign
        asked = {} if foreign is None else recommended(foreign.generation, model.family.Controls)
        unsaid = {name: value for name, value in asked.items() if name not in request.model_fields_set}
        return super().controls(model, request.model_copy(update=unsaid))

    def example(self, facts: Tokenizer, splits: Splits) -> Asked | None:
        """What a held-out conversation begins with."""
        from genwright.tasks.chat.samples import asked, turns_of

        store = splits.held_out()[1]
        for row in evenly(store, _LOOKED_AT):
            row = store.ids.index(store.ids[row])  # not in the middle of a conversation that was cut
            turns = turns_of(store, row)
            if turns and can_be_typed(question := " ".join(asked(turns[0], facts).split())):
                return Asked({"prompt": question}, store.ids[row])
        return None

    def preview(self, model: Model, engine: Engine, splits: Splits, file_stem: Path) -> Path:
        """Answers to the same few held-out conversations each time; the mark >>> stands before what the model made."""
        from genwright.tasks.chat.samples import answer_all, evenly_turns, room_for, shown

        store = splits["validation"] if len(splits["validation"]) else splits["train"]
        turns = evenly_turns(store, 3, room_for(model, _PREVIEW_TOKENS))
        answers = answer_all(model, engine, turns, "answers for a preview", max_tokens=_PREVIEW_TOKENS, seed=0)
        file = file_stem.with_name(f"{file_stem.name}.txt")
        passages = [shown(turn, model.facts, answer) for turn, answer in zip(turns, answers, strict=True)]
        file.write_text("\n\n----\n\n".join(passages) + "\n", encoding="utf-8")
        return file

    def score(
        self, model: Model, splits: Splits, settings: EvaluateSettings, train_judge: TrainJudge, folder: Path
    ) -> ScoreSheet:
        from genwright.tasks.chat.scores import score

        return score(model, splits, settings, folder)

    def verdict(self, sheet: ScoreSheet, training: Training) -> Verdict:
        return chat_verdict.verdict(sheet, training, not self.starts_from_weights)

    def _values(self, item: Item) -> list[Any]:
        """What an item holds: one conversation a table row, any number a file. A row that a split of characters cut stays whole,
        with its first part."""
        if WHOLE_ROW in item.fields or "text" in item.fields:
            return [] if item.start else [loads(item.fields.get(WHOLE_ROW) or item.fields["text"])]
        text = whole_text(item)
        if isinstance(text, Drop):
            return [text]
        if item.start is not None and item.stop is not None and (chat := whatsapp(text)) is not None:
            # Who is who is told by the whole chat.
            return [one.row for one in chat if item.start <= one.start < item.stop]
        if item.start is not None and item.stop is not None and not are_lines(text, _suffix(item)):
            rows = rows_between(text, _suffix(item), item.start, item.stop)
            if rows is not None:
                return rows
        return read_values(text[item.start : item.stop], _suffix(item))

    def _dialogues(self, item: Item) -> Iterator[Dialogue]:
        try:
            values = self._values(item)
        except (ValueError, RecursionError):
            return
        for value in values:
            read = dialogues(value, _mapping(self.prepare.conversation), self.prepare.preference)
            if not isinstance(read, Drop):
                yield from read

    def _tell_who(self, items: Iterable[Item]) -> None:
        """Who is learned as the assistant, where conversations between people with names were read."""
        if self.prepare.conversation is not None:
            return
        people: set[str] = set()
        for item in items:
            try:
                values = self._values(item)
            except (ValueError, RecursionError):
                continue
            people |= {name for value in values if isinstance(value, dict) and (name := assistant_of(value))}
        if people:
            shown = ", ".join(sorted(people)[:5]) + (", ..." if len(people) > 5 else "")
            say(f"prepare: {shown} is learned as the assistant; `prepare.conversation` can say otherwise.")

    def _own_template(self) -> str | None:
        if self.prepare.template is None:
            return None
        try:
            return Path(self.prepare.template).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError(
                f"{self.prepare.template}: the chat template can't be read ({error}); check `prepare.template` in the recipe."
            ) from error

    def _template_name(self) -> str:
        return self.prepare.template or "the chat template"


def asked_messages(request: Any) -> list[Message]:
    """The conversation that a request asks to go on with. Raises RequestError where there is nothing to answer."""
    messages: list[Message] = [{"role": "system", "content": request.system}] if request.system else []
    messages += [message.model_dump() for message in request.messages or []]
    if request.prompt:
        messages.append({"role": "user", "content": request.prompt})
    if not messages or messages[-1]["role"] in ("assistant", "system"):
        raise RequestError("there is nothing to answer; give a message, or `messages` that end with the user's.")
    return messages


def _telling(pieces: Iterator[Media], left_out: int) -> Iterator[Media]:
    for piece in pieces:
        if piece.final:
            piece.metadata["left_out_messages"] = left_out
        yield piece


_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


def recommended(generation: dict[str, Any], controls: type[BaseModel]) -> dict[str, Any]:
    """How tokens are to be drawn as a generation_config.json says it; {} where it says nothing of drawing, or what nobody could do."""
    said = {name: generation[name] for name in _SAMPLING if isinstance(generation.get(name), int | float)}
    if generation.get("do_sample") is False or not said:
        return {}
    try:
        controls.model_validate(said)
    except ValidationError:
        return {}
    return said


@lru_cache(maxsize=4)
def _mapped(settings: str) -> Mapping:
    content = json.loads(settings)
    return Mapping(**{**content, "user": tuple(content["user"]), "assistant": tuple(content["assistant"])})


def _mapping(conversation: chat_options.Conversation | None) -> Mapping | None:
    return None if conversation is None else _mapped(conversation.model_dump_json())


def _suffix(item: Item) -> str:
    return posixpath.splitext(item.path.partition("#")[0])[1].lower()


def _line_blocks(text: str) -> list[tuple[int, int]]:
    """At most so many spans of whole lines."""
    size = -(-len(text) // BLOCKS)
    edges = [0]
    while len(text) - edges[-1] > size:
        end = text.find("\n", edges[-1] + size - 1)
        if end < 0 or end + 1 >= len(text):
            break
        edges.append(end + 1)
    edges.append(len(text))
    return [(a, b) for a, b in pairwise(edges) if text[a:b].strip()] if len(edges) > 2 else []
