"""Guided output with tokenizers that came with weights: whatever is drawn of what is allowed follows the schema."""

import json
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest

from genwright.errors import RequestError
from genwright.tasks.text.guided import constraint
from genwright.tokens.tokenizer import Tokenizer
from helpers.weights_samples import ours_of, theirs_of

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "kind": {"enum": ["fox", "月", "naïve"]},
        "sizes": {"type": "array", "items": {"type": "integer", "minimum": -9, "maximum": 99}, "maxItems": 3},
    },
    "required": ["name", "kind", "sizes"],
    "additionalProperties": False,
}


def drawn(facts: Tokenizer, seed: int, **wish: str) -> str:
    """A text of tokens drawn evenly from what is allowed, until it ends."""
    rng = np.random.default_rng(seed)
    request = SimpleNamespace(**{"json_schema": None, "regex": None, "logit_bias": [], **wish})
    guide, tokens = constraint(request, facts, facts.size + 3), []
    assert guide is not None
    while len(tokens) < 400:
        allowed = np.flatnonzero(np.isfinite(guide(tokens).numpy()))
        assert len(allowed)
        token = int(rng.choice(allowed))
        if token in facts.end_tokens:
            return facts.to_bytes(tokens).decode()
        tokens.append(token)
    raise AssertionError(f"{facts.to_bytes(tokens)!r} never ends")


@pytest.mark.parametrize("kind", ["smollm", "llama-bpe", "sentencepiece"])
def test_any_allowed_text_validates(kind, tmp_path):
    facts = ours_of(tmp_path, theirs_of(kind, tmp_path))
    for seed in range(60):
        jsonschema.validate(json.loads(drawn(facts, seed, json_schema=json.dumps(SCHEMA))), SCHEMA)
    assert drawn(facts, 0, regex="(fox|月){2}") in ("foxfox", "fox月", "月fox", "月月")


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
        {"anyOf": [{"$ref": "#/$defs/x"}], "$defs": {"x": {"$ref": "#/$defs/y"}, "y": {"$ref": "#/$defs/x"}}},
    ],
)
def test_a_schema_that_holds_itself_without_end_is_refused(schema, tmp_path):
    facts = ours_of(tmp_path, theirs_of("smollm", tmp_path))
    with pytest.raises(RequestError, match=r"^--json-schema: no text can follow it, because `#.*` holds itself"):
        drawn(facts, 0, json_schema=json.dumps(schema))


def test_a_schema_that_holds_itself_and_can_end_is_followed(tmp_path):
    facts = ours_of(tmp_path, theirs_of("smollm", tmp_path))
    tree = {"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#"}, "minItems": 1, "maxItems": 1}]}
    jsonschema.validate(json.loads(drawn(facts, 1, json_schema=json.dumps(tree))), tree)


def test_an_expression_that_nothing_follows_is_refused(tmp_path):
    facts = ours_of(tmp_path, theirs_of("smollm", tmp_path))
    with pytest.raises(RequestError, match=r"^--regex: no text can follow it"):
        drawn(facts, 0, regex=r"[^\s\S]")
