"""Guided output: answers that follow a JSON schema or a regular expression, and tokens made likelier or less.

What may come next is computed by `llguidance` (a parser over the bytes of the tokens) for any tokenizer whose tokens are bytes. The
result is a constraint of the text sampler: from the tokens generated so far to what is added to the logits, -inf where a token
would leave the grammar. A complete text whose grammar allows nothing more is ended.

V vocabulary
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from genwright.errors import RequestError, WorkError
from genwright.tasks.text.endless import endless_part
from genwright.tokens.tokenizer import Tokenizer

Constraint = Callable[[Sequence[int]], Tensor]

_LAYOUT: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_WHOLE = ("NoExtension", "EndOfSentence")
"""Why the library stops where the text is whole; it stops too where nothing can follow and it is not."""
_readers: WeakKeyDictionary[Tokenizer, Any] = WeakKeyDictionary()


def constraint(request: Any, facts: Tokenizer, vocabulary: int) -> Constraint | None:
    """What a request's `json_schema`, `regex` and `logit_bias` ask of its answer, or None when it asks for nothing.

    One for each answer: it remembers where in the grammar the answer is. `vocabulary` is the length of the logits. Raises
    RequestError where the schema, the expression or a bias can't be understood, or the library is not installed.
    """
    bias_V = _bias(request.logit_bias, facts, vocabulary)
    grammar = _grammar(request, facts)
    if grammar is None:
        return None if bias_V is None else lambda generated: bias_V
    guide = _Guide(grammar, facts, vocabulary, bias_V)
    if not guide.allowed().any():
        option = "--regex" if request.json_schema is None else "--json-schema"
        raise RequestError(f"{option}: no text can follow it; look for a part of it that rules out all there is.")
    return guide


class _Guide:
    """A grammar at work on one answer."""

    def __init__(self, grammar: str, facts: Tokenizer, vocabulary: int, bias_V: Tensor | None):
        from llguidance import LLMatcher

        self.matcher = LLMatcher(_reader(facts), grammar, log_level=0)
        self.vocabulary, self.bias_V = vocabulary, bias_V
        self.ends = [token for token in facts.end_tokens if token < vocabulary]
        self.consumed: list[int] = []

    def __call__(self, generated: Sequence[int]) -> Tensor:
        self._follow(generated)
        allowed_V = self.allowed()
        if not allowed_V.any():
            raise WorkError(
                "the answer can't be kept to its schema or expression: nothing that may follow leads to an end."
            )
        added_V = torch.zeros(self.vocabulary) if self.bias_V is None else self.bias_V.clone()
        return added_V.masked_fill_(~allowed_V, -torch.inf)

    def _follow(self, generated: Sequence[int]) -> None:
        """Read what is new; a sampler that drafts tokens may also have taken some back."""
        same = 0
        limit = min(len(generated), len(self.consumed))
        while same < limit and generated[same] == self.consumed[same]:
            same += 1
        if same < len(self.consumed):
            self.matcher.rollback(len(self.consumed) - same)
            del self.consumed[same:]
        for token in generated[same:]:
            self.matcher.consume_token(token)
            self.consumed.append(token)
        if self.matcher.is_error():
            raise WorkError(
                f"the answer can't be kept to its schema or expression: {_plain(self.matcher.get_error())}."
            )

    def allowed(self) -> Tensor:
        """bool[V]: the tokens that may come next; none where the grammar leads nowhere from here."""
        allowed_V = np.zeros(self.vocabulary, dtype=bool)
        if not self.matcher.is_stopped():
            bits = np.frombuffer(self.matcher.compute_bitmask(), dtype=np.uint8)
            known = np.unpackbits(bits, bitorder="little")[: self.vocabulary].astype(bool)
            allowed_V[: len(known)] = known
        allowed_V[self.ends] = self.matcher.is_accepting() or self.matcher.stop_reason() in _WHOLE
        return torch.from_numpy(allowed_V)


def _grammar(request: Any, facts: Tokenizer) -> str | None:
    schema, regex = request.json_schema, request.regex
    if schema is None and regex is None:
        return None
    if schema is not None and regex is not None:
        raise RequestError("--json-schema and --regex can't both be followed; give one of them.")
    try:
        from llguidance import LLMatcher
    except ImportError as error:
        raise RequestError(
            "--json-schema and --regex need the package llguidance; install it with `pip install llguidance`."
        ) from error
    if regex is not None:
        option, grammar = "--regex", LLMatcher.grammar_from_regex(regex)
    else:
        option, grammar = "--json-schema", _schema_grammar(str(schema))
    wrong, messages = LLMatcher.validate_grammar_with_warnings(grammar, _reader(facts))
    if wrong:
        raise RequestError(f"{option}: it can't be followed ({_plain(messages[0])}).")
    return grammar


def _schema_grammar(given: str) -> str:
    from llguidance import LLMatcher

    try:
        schema = json.loads(given)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"--json-schema: not valid JSON ({error}); give a schema.") from error
    if not isinstance(schema, dict):
        raise RequestError('--json-schema: a schema is a JSON object, like {"type": "object"}.')
    if (endless := endless_part(schema)) is not None:
        raise RequestError(
            f"--json-schema: no text can follow it, because `{endless}` holds itself without end; let it be left out somewhere (a "
            "property that is not required, a list that may be empty, or null)."
        )
    # Free white space would let an answer go on for ever without saying anything.
    return LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_LAYOUT)


def _plain(message: str) -> str:
    """The library's message in one line, without the state that it was in."""
    lines = [
        line.strip()
        for line in message.partition("<state>")[0].strip().split("\n")
        if line.strip() and set(line.strip()) - set("^~")
    ]
    return "; ".join(lines)[:300].rstrip(".") or "the library does not say why"


def _reader(facts: Tokenizer) -> Any:
    """The library's own view of a tokenizer, made once."""
    if facts not in _readers:
        from llguidance import LLTokenizer, TokenizerWrapper

        _readers[facts] = LLTokenizer(TokenizerWrapper(_Bytes(facts)), eos_token=list(facts.end_tokens), slices=[])
    return _readers[facts]


class _Bytes:
    """A tokenizer as `llguidance.TokenizerWrapper` wants it."""

    def __init__(self, facts: Tokenizer):
        self.facts = facts
        special = {index: name for name, index in facts.special.items()}
        self.eos_token_id, self.bos_token_id = facts.end_tokens[0], None
        # Tokens of no bytes can't be told apart, so they go by names, behind the byte that marks what is no text.
        unnamed = {index: f"<|{index}|>" for index, piece in enumerate(facts.token_bytes) if not piece}
        names = {**unnamed, **special}
        self.tokens = [
            b"\xff" + names[index].encode() if index in names else piece
            for index, piece in enumerate(facts.token_bytes)
        ]
        self.special_token_ids = sorted(names)

    def __call__(self, text: str) -> list[int]:
        """Tokens of exactly the text's bytes; sentencepiece would put a space before them."""
        tokens = self.facts.encode(text).tolist()
        wanted = text.encode("utf-8", "surrogatepass")
        return tokens if self.facts.to_bytes(tokens) == wanted else self._greedily(wanted)

    def _greedily(self, text: bytes) -> list[int]:
        longest = max(map(len, self._by_bytes))
        tokens, place = [], 0
        while place < len(text):
            for length in range(min(longest, len(text) - place), 0, -1):
                token = self._by_bytes.get(text[place : place + length])
                if token is not None:
                    tokens.append(token)
                    place += length
                    break
            else:
                raise WorkError("the tokenizer has no token for some byte, so no grammar can be followed with it.")
        return tokens

    @cached_property
    def _by_bytes(self) -> dict[bytes, int]:
        return {piece: index for index, piece in enumerate(self.facts.token_bytes) if piece}


def _bias(given: Sequence[str], facts: Tokenizer, vocabulary: int) -> Tensor | None:
    """What is added to the logits: TEXT=VALUE for each token of a text, NUMBER=VALUE for the token of that number."""
    if not given:
        return None
    bias_V = torch.zeros(vocabulary)
    for pair in given:
        text, _, number = pair.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        if not text or not abs(value) <= 1000:
            raise RequestError(f"--logit-bias {pair}: write it as TEXT=VALUE or TOKEN_ID=VALUE, the value a number.")
        for token in _tokens(text, pair, facts, vocabulary):
            bias_V[token] += value
    return bias_V


def _tokens(text: str, pair: str, facts: Tokenizer, vocabulary: int) -> list[int]:
    if text.isdecimal() and text.isascii():
        if int(text) >= vocabulary:
            raise RequestError(
                f"--logit-bias {pair}: there is no token {text}; the model knows {vocabulary:,} of them."
            )
        return [int(text)]
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            text = json.loads(text)
        except ValueError as error:
            raise RequestError(f"--logit-bias {pair}: not a quoted text ({error}).") from error
    return sorted({int(token) for token in facts.encode(text)})
