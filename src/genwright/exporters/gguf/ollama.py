"""A Modelfile beside a GGUF file: `ollama create NAME -f Modelfile` makes it a model of Ollama's."""

from __future__ import annotations

from typing import Any

from genwright.exporters.chat import ChatShape, shape_of
from genwright.exporters.gguf.tokenizer import Vocabulary

_CONTROLS = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
}
"""Our controls and Ollama's names for them."""

_FILL = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
)
"""What stands before, behind and in the hole that is to be filled; the second are StarCoder's and SmolLM's names."""

_KEPT = """# The chat template stands in the GGUF file and can't be said in Ollama's own language;
# Ollama uses it where it knows it, and passes the prompt on as it is where it does not.
"""


def modelfile(file_name: str, vocabulary: Vocabulary, context: int, controls: dict[str, Any]) -> str:
    """`controls`: our defaults, which Ollama is told, so that it draws as we do."""
    lines = [f"FROM ./{file_name}\n"]
    template = template_of(vocabulary)
    lines.append(f'TEMPLATE """{template}"""\n' if template is not None else _KEPT)
    # Ollama's own default is 1.1, which is not what any of our models was scored with.
    told = {"repetition_penalty": 1.0} | controls
    for ours, theirs in _CONTROLS.items():
        if told.get(ours) is not None:
            lines.append(f"PARAMETER {theirs} {told[ours]}\n")
    lines.append(f"PARAMETER num_ctx {context}\n")
    lines += [f'PARAMETER stop "{vocabulary.tokens[end]}"\n' for end in dict.fromkeys(vocabulary.ends)]
    return "".join(lines)


def template_of(vocabulary: Vocabulary) -> str | None:
    """Ollama's template (Go's text/template) of a model: its chat's, else the prompt alone; None where the chat's can't be said."""
    if vocabulary.chat_template:
        shape = shape_of(vocabulary.chat_template, special_names(vocabulary))
        return None if shape is None else _chat(shape, vocabulary)
    tokens = set(vocabulary.tokens)
    for prefix, suffix, middle in (names for names in _FILL if tokens.issuperset(names)):
        filled = f"{prefix}{{{{ .Prompt }}}}{suffix}{{{{ .Suffix }}}}{middle}"
        return f"{{{{ if .Suffix }}}}{filled}{{{{ else }}}}{{{{ .Prompt }}}}{{{{ end }}}}"
    return "{{ .Prompt }}"


def special_names(vocabulary: Vocabulary) -> dict[str, str]:
    """bos_token, eos_token and the like, as a chat template may name them."""
    ids = {
        "bos_token": vocabulary.bos,
        "eos_token": vocabulary.ends[0] if vocabulary.ends else None,
        "pad_token": vocabulary.pad,
        "unk_token": vocabulary.unknown,
    }
    return {name: vocabulary.tokens[index] for name, index in ids.items() if index is not None}


def _chat(shape: ChatShape, vocabulary: Vocabulary) -> str | None:
    start = shape.start
    if vocabulary.add_bos and vocabulary.bos is not None:
        # Ollama puts it there itself.
        start = start.removeprefix(vocabulary.tokens[vocabulary.bos])
    around = dict(shape.around)
    if vocabulary.add_bos and vocabulary.bos is not None:
        before, after = around["system"]
        around["system"] = before.removeprefix(vocabulary.tokens[vocabulary.bos]), after
    pieces = [start, shape.answer, *(text for pair in around.values() for text in pair)]
    if any(mark in text for text in pieces for mark in ("{{", "}}", '"""')):
        return None
    (s0, s1), (u0, u1), (a0, a1) = around["system"], around["user"], around["assistant"]
    first = (
        f'{{{{ if or (not .Messages) (ne (index .Messages 0).Role "system") }}}}{start}{{{{ end }}}}' if start else ""
    )
    return (
        f"{first}{{{{ range $i, $_ := .Messages }}}}{{{{ $last := eq (len (slice $.Messages $i)) 1 }}}}"
        f'{{{{ if eq .Role "system" }}}}{s0}{{{{ .Content }}}}{s1}'
        f'{{{{ else if eq .Role "user" }}}}{u0}{{{{ .Content }}}}{u1}'
        f'{{{{ else if eq .Role "assistant" }}}}{a0}{{{{ .Content }}}}{{{{ if not $last }}}}{a1}{{{{ end }}}}{{{{ end }}}}'
        f'{{{{ if and $last (ne .Role "assistant") }}}}{shape.answer}{{{{ end }}}}{{{{ end }}}}'
    )
