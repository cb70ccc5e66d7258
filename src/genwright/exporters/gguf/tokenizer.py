"""A Hugging Face tokenizer.json as the keys of a GGUF file: `tokenizer.ggml.*`, which llama.cpp and its kin read.

GGUF names how a text is split before merging instead of holding the pattern, so only the patterns below can go into one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf import GGUFWriter, TokenType

from genwright.errors import RequestError
from genwright.exporters.source import end_tokens, read_chat_template, read_json
from genwright.weights.gguf_tokenizer import SPLITS

_NO_MERGE = "\u00ff \u00ff"
"""A merge of two bytes that no UTF-8 text has: llama.cpp refuses a file without merges, which is what characters of ASCII need."""

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
"""How sentencepiece names a byte."""

PRE_TOKENIZERS = {
    **{pattern: name for name, pattern in SPLITS.items()},
    "gpt-2": "gpt-2",
    "digits gpt-2": "smollm",
    "": "gpt-2",
}
"""From how tokenizer.json splits (a pattern; "gpt-2" for the byte level's own; "digits" first, each alone; "" not at all) to
llama.cpp's name for it. Not to split at all has no name there; a tokenizer of characters never merges across two of them, so
that it makes the same tokens however its text is split between characters."""


@dataclass
class Vocabulary:
    """What a GGUF file says of a tokenizer. `tokens[i]` is the token of id i in the byte-level alphabet, special ones as they are."""

    kind: str
    """llama.cpp's: "gpt2" for byte-level BPE, "llama" for sentencepiece's with byte fallback."""
    tokens: list[str]
    types: list[int]
    merges: list[str]
    scores: list[float]
    """Of sentencepiece's tokens: of any two neighbours those become one whose whole has the highest."""
    pre: str
    bos: int | None
    ends: list[int]
    """The tokens that end an answer, that of a whole text first."""
    pad: int | None
    unknown: int | None
    add_bos: bool
    add_space: bool
    """Whether a text is read as if a space stood before it."""
    chat_template: str | None


def read_vocabulary(folder: Path, size: int) -> Vocabulary:
    """Read a model folder's tokenizer for a model of `size` tokens; ids without a token are marked unused.

    Raises RequestError where the tokenizer is of a kind that GGUF has no words for.
    """
    file = folder / "tokenizer.json"
    content, settings = read_json(file), read_json(folder / "tokenizer_config.json")
    model = content.get("model") or {}
    if model.get("type") != "BPE":
        raise RequestError(
            f"{file}: a tokenizer that is not BPE can't be written to GGUF; export as hf or onnx instead."
        )
    added = {token["id"]: token for token in content.get("added_tokens") or []}
    names = {index: token for token, index in model["vocab"].items()} | {i: t["content"] for i, t in added.items()}
    if max(names) >= size:
        raise RequestError(
            f"{file}: has token {max(names)}, but config.json's vocab_size is {size}; the two belong to different models."
        )
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    pieces = bool(model.get("byte_fallback"))
    ends = end_tokens(folder)
    return Vocabulary(
        kind="llama" if pieces else "gpt2",
        tokens=[names.get(index, f"[PAD{index}]") for index in range(size)],
        types=[_type(index, names, added, model.get("unk_token"), pieces) for index in range(size)],
        merges=[] if pieces else merges or [_NO_MERGE],
        scores=_scores(names, merges, size) if pieces else [],
        pre="default"
        if pieces
        else _pre_tokenizer(content.get("pre_tokenizer"), settings.get("genwright_kind") == "characters", file),
        bos=_special(settings, "bos_token", added),
        ends=ends if ends else [index for index in [_special(settings, "eos_token", added)] if index is not None],
        pad=_special(settings, "pad_token", added),
        unknown=_special(settings, "unk_token", added),
        add_bos=_adds_bos(content.get("post_processor"), settings),
        add_space=pieces and _adds_space(content),
        chat_template=read_chat_template(folder, settings),
    )


def add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model(vocabulary.kind)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.kind == "gpt2":
        writer.add_token_merges(vocabulary.merges)
    else:
        writer.add_token_scores(vocabulary.scores)
        writer.add_add_space_prefix(vocabulary.add_space)
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_eos_token(False)
    for value, add in (
        (vocabulary.bos, writer.add_bos_token_id),
        *zip(
            vocabulary.ends, (writer.add_eos_token_id, writer.add_eot_token_id, writer.add_eom_token_id), strict=False
        ),
        (vocabulary.pad, writer.add_pad_token_id),
        (vocabulary.unknown, writer.add_unk_token_id),
    ):
        if value is not None:
            add(value)
    if vocabulary.chat_template:
        writer.add_chat_template(vocabulary.chat_template)


def _type(
    index: int, names: dict[int, str], added: dict[int, dict[str, Any]], unknown: str | None, pieces: bool
) -> int:
    if index not in names:
        return TokenType.UNUSED
    if pieces and names[index] == unknown:
        return TokenType.UNKNOWN
    if pieces and _BYTE.fullmatch(names[index]):
        return TokenType.BYTE
    if index not in added:
        return TokenType.NORMAL
    return TokenType.CONTROL if added[index].get("special") else TokenType.USER_DEFINED


def _scores(names: dict[int, str], merges: list[str], size: int) -> list[float]:
    """sentencepiece's scores from the order of merges: a token is worth the more, the earlier its first merge stands."""
    ids = {name: index for index, name in names.items()}
    scores = [0.0] * size
    for rank, merge in enumerate(merges):
        whole = ids.get(merge.replace(" ", ""))
        if whole is not None and scores[whole] == 0.0:
            scores[whole] = -1.0 - rank
    return scores


def _pre_tokenizer(content: dict[str, Any] | None, characters: bool, file: Path) -> str:
    steps = (content.get("pretokenizers") or [content]) if content else []
    described: list[str] = []
    for step in steps:
        kind = step["type"]
        if kind == "Split" and step.get("behavior") == "Isolated" and not step.get("invert"):
            described.append(step["pattern"].get("Regex") or "?")
        elif kind == "Digits" and step.get("individual_digits"):
            described.append("digits")
        elif kind == "ByteLevel" and not step.get("add_prefix_space"):
            described += ["gpt-2"] if step.get("use_regex", True) else []
        else:
            described.append("?")
    name = PRE_TOKENIZERS.get(" ".join(described))
    if name is None or (not described and not characters):
        raise RequestError(
            f"{file}: splits text in a way that llama.cpp has no name for ({json.dumps(content)[:200]}); export as hf or onnx instead."
        )
    return name


def _special(settings: dict[str, Any], name: str, added: dict[int, dict[str, Any]]) -> int | None:
    value = settings.get(name)
    text = value.get("content") if isinstance(value, dict) else value
    return next((index for index, token in added.items() if token["content"] == text), None)


def _adds_space(content: dict[str, Any]) -> bool:
    normalizer, splitter = content.get("normalizer") or {}, content.get("pre_tokenizer") or {}
    steps = normalizer.get("normalizers") or [normalizer]
    prepended = any(step.get("type") == "Prepend" for step in steps)
    return prepended or (splitter.get("type") == "Metaspace" and splitter.get("prepend_scheme") != "never")


def _adds_bos(post_processor: dict[str, Any] | None, settings: dict[str, Any]) -> bool:
    """Whether Hugging Face's tokenizer begins every text with its first special token."""
    steps = (post_processor or {}).get("processors") or [post_processor or {}]
    for step in steps:
        if step.get("type") == "TemplateProcessing" and step.get("single"):
            return "SpecialToken" in step["single"][0]
    return bool(settings.get("add_bos_token")) and settings.get("tokenizer_class") == "LlamaTokenizer"
