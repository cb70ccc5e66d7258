"""Guided output: every answer of an untrained model follows its schema or expression; biases; errors of one sentence."""

import json
import re
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.model import Model, ModelConfig
from genwright.model_folder import build_parts
from genwright.recipe import recipe_class
from genwright.request import request_class
from genwright.tasks.text.guided import constraint
from genwright.tasks.text.sizes import network_for
from genwright.tasks.write.task import Write
from genwright.tokens.tokenizer import Tokenizer, build_characters, train_bpe

TEXT = "The quick brown fox, 24 years old, said: {}[]\"': 明月 🦊 jumps over lazy dogs.\n" * 20
Request = request_class("write", "transformer")
CPU = torch.device("cpu")

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["red", "blue", "月"]}, "minItems": 1, "maxItems": 3},
        "home": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"zip": {"type": "string", "pattern": "^[0-9]{5}$"}},
                 "required": ["zip"], "additionalProperties": False}]},
    },
    "required": ["name", "age", "tags", "home"],
    "additionalProperties": False,
}  # fmt: skip


def random_model(facts: Tokenizer) -> Model:
    schema = recipe_class("write", "transformer")
    task = Write(schema.model_fields["prepare"].annotation(), schema.model_fields["model"].annotation(), "transformer")
    network = network_for(1, 32, 256, facts.size)
    config = ModelConfig(family="transformer", network=network.model_dump(), batches={"model": 1}, title="random")
    torch.manual_seed(0)
    return Model(task, config, facts, build_parts(task, config, facts, CPU), CPU)


@pytest.fixture(scope="module", params=["characters", "bpe"])
def model(request) -> Model:
    return random_model(
        build_characters([TEXT], ("<|author|>", "<|text|>"))
        if request.param == "characters"
        else train_bpe([TEXT], 400, ("<|im_start|>",))
    )


def answers(model: Model, prompt: str = "", **options) -> list[str]:
    request = Request(prompt=prompt, temperature=1.0, max_tokens=250, **options)
    texts = [""] * request.n
    for piece in model.task.answer(model, request, Engine()):
        texts[piece.index] += piece.data
    return texts


def test_every_answer_of_a_random_model_validates(model):
    for text in answers(model, "Some prompt: ", n=40, seed=3, json_schema=json.dumps(SCHEMA)):
        jsonschema.validate(json.loads(text), SCHEMA)


@given(
    pattern=st.recursive(
        st.sampled_from(["a", "[0-9]", "fox", "明", "🦊", "[^a-z\\n]", "\\.", " "]),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map("".join),
            st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
            st.tuples(inner, st.integers(0, 2), st.integers(0, 2)).map(lambda t: f"({t[0]}){{{t[1]},{t[1] + t[2]}}}"),
        ),
        max_leaves=6,
    ),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_every_answer_matches_its_expression(model, pattern, seed):
    (text,) = answers(model, n=1, seed=seed, regex=pattern)
    assert re.fullmatch(pattern, text), (pattern, text)


def test_a_grammar_that_is_complete_ends_the_answer(model):
    assert answers(model, n=3, regex="fox") == ["fox"] * 3
    one = {"const": 1}
    pair = {"type": "array", "items": one, "minItems": 2, "maxItems": 2}
    schema = {"type": "object", "properties": {"a": pair}, "required": ["a"], "additionalProperties": False}
    assert answers(model, n=1, json_schema=json.dumps(schema)) == ['{"a": [1, 1]}']


def test_tokens_may_be_taken_back(model):
    """A sampler that drafts tokens asks about other continuations than the one it keeps."""
    request = Request(regex="(fox|dog)s?")
    facts = model.facts
    asked, plain = (constraint(request, facts, facts.size) for _ in range(2))
    assert asked is not None and plain is not None
    fox, dog = facts.encode("fox").tolist(), facts.encode("dog").tolist()
    for path in ([], fox, dog[:1], fox[:1], dog, []):
        expected = constraint(request, facts, facts.size)
        assert expected is not None
        assert torch.equal(asked(path), expected(path))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"json_schema": "{"}, r"--json-schema: not valid JSON"),
        ({"json_schema": "[1]"}, r"--json-schema: a schema is a JSON object"),
        ({"json_schema": '{"type": "strin"}'}, r"--json-schema: it can't be followed \("),
        ({"json_schema": "@x.json"}, r"--json-schema: not valid JSON"),
        ({"regex": "(a"}, r"--regex: it can't be followed \("),
        ({"regex": "a", "json_schema": "{}"}, r"can't both be followed"),
        ({"logit_bias": ["fox"]}, r"--logit-bias fox: write it as TEXT=VALUE"),
        ({"logit_bias": ["fox=nan"]}, r"--logit-bias fox=nan: write it as TEXT=VALUE"),
        ({"logit_bias": ["99999=1"]}, r"there is no token 99999"),
    ],
)
def test_what_cannot_be_followed_is_one_sentence(model, options, said):
    with pytest.raises(RequestError, match=said) as error:
        answers(model, **options)
    assert "\n" not in str(error.value)
    assert error.value.exit_status == 2


def test_a_bias_forces_and_forbids_tokens(model):
    (text,) = answers(model, logit_bias=["f=100"])
    assert set(text) == {"f"} and len(text) == 250
    forbidden = answers(model, n=4, logit_bias=["e=-100", f"{model.facts.encode('o')[0]}=-100", '"\\n"=-100'])
    letters = {"e", "o", "\n"}
    pure = [i for i, piece in enumerate(model.facts.token_bytes) if piece.decode("utf-8", "replace") in letters]
    tokens = np.concatenate([model.facts.encode(text) for text in forbidden])
    assert model.facts.kind == "bpe" or not np.isin(tokens, pure).any()


def test_without_a_wish_there_is_no_constraint(model):
    assert constraint(Request(), model.facts, model.facts.size) is None


def test_a_model_with_more_logits_than_tokens(model):
    """Vocabularies of foreign models are padded; what stands for nothing is never allowed."""
    facts = model.facts
    guide = constraint(SimpleNamespace(json_schema=None, regex="[a-z]+", logit_bias=["f=2"]), facts, facts.size + 7)
    assert guide is not None
    said = guide([])
    assert said.shape == (facts.size + 7,) and torch.isinf(said[-7:]).all()
    assert said[int(facts.encode("f")[0])] == 2
