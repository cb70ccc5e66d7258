"""The Modelfile, and the shape of chat templates that Ollama's language can say."""

from __future__ import annotations

from pathlib import Path

import pytest

from genwright.exporters.chat import render, shape_of
from genwright.exporters.gguf.ollama import modelfile, template_of
from genwright.exporters.gguf.tokenizer import Vocabulary, read_vocabulary
from genwright.tokens.chat_template import CHATML
from helpers.random_models import text_folder, tokenizer

LLAMA_3 = (
    "{% for m in messages %}{% set c = '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set c = bos_token + c %}{% endif %}{{ c }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
SMOLLM_2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TRIMS = (
    "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] | trim }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
SYSTEM_INSIDE = (
    "{% for m in messages %}{% if m['role'] == 'user' %}[INST] {% if loop.index0 == 1 %}{{ messages[0]['content'] }}\n\n{% endif %}"
    "{{ m['content'] }} [/INST]{% elif m['role'] == 'assistant' %}{{ m['content'] }}</s>{% endif %}{% endfor %}"
)
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
CONVERSATION = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "U"},
    {"role": "assistant", "content": "A"},
    {"role": "user", "content": "W"},
]


def vocabulary(folder: Path, template: str | None = None, special: tuple[str, ...] = ()) -> Vocabulary:
    facts = tokenizer(special=special)
    facts.chat_template = template
    return read_vocabulary(text_folder(folder, facts=facts), facts.size)


def test_a_template_that_puts_text_around_messages_has_a_shape():
    shape = shape_of(CHATML, {})
    assert shape is not None
    assert (shape.start, shape.answer) == ("", "<|im_start|>assistant\n")
    assert shape.around["user"] == ("<|im_start|>user\n", "<|im_end|>\n")


@pytest.mark.parametrize("template", [CHATML, LLAMA_3, SMOLLM_2])
def test_a_shape_writes_what_the_template_writes(template: str):
    shape = shape_of(template, SPECIAL)
    assert shape is not None
    for messages in (CONVERSATION, CONVERSATION[1:], CONVERSATION[:2]):
        assert shape.render(messages) == render(template, messages, SPECIAL)


@pytest.mark.parametrize("template", [TRIMS, SYSTEM_INSIDE, "{{ messages[3]['content'] }}", "{% for %}"])
def test_a_template_that_does_more_has_none(template: str):
    assert shape_of(template, SPECIAL) is None


def test_a_modelfile_for_text(tmp_path: Path):
    made = modelfile("x-f32.gguf", vocabulary(tmp_path), 128, {"temperature": 0.7, "top_k": 0, "max_tokens": 9})
    assert made.splitlines() == [
        "FROM ./x-f32.gguf",
        'TEMPLATE """{{ .Prompt }}"""',
        "PARAMETER temperature 0.7",
        "PARAMETER top_k 0",
        "PARAMETER repeat_penalty 1.0",
        "PARAMETER num_ctx 128",
        'PARAMETER stop "<|endoftext|>"',
    ]


def test_a_modelfile_for_filling_in(tmp_path: Path):
    made = vocabulary(tmp_path, special=("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"))
    assert template_of(made) == (
        "{{ if .Suffix }}<|fim_prefix|>{{ .Prompt }}<|fim_suffix|>{{ .Suffix }}<|fim_middle|>{{ else }}{{ .Prompt }}{{ end }}"
    )


def test_a_modelfile_for_chat(tmp_path: Path):
    template = template_of(vocabulary(tmp_path, SMOLLM_2))
    assert template is not None
    assert template.startswith(
        '{{ if or (not .Messages) (ne (index .Messages 0).Role "system") }}<|im_start|>system\nYou'
    )
    assert '{{ else if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n' in template
    assert template.endswith('{{ if and $last (ne .Role "assistant") }}<|im_start|>assistant\n{{ end }}{{ end }}')


def test_a_template_that_can_not_be_said_stays_in_the_gguf_file(tmp_path: Path):
    made = modelfile("x.gguf", vocabulary(tmp_path, TRIMS), 128, {})
    assert "TEMPLATE" not in made
    assert made.splitlines()[1].startswith("# The chat template stands in the GGUF file")
