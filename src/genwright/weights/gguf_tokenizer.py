"""A tokenizer rebuilt from the keys of a GGUF file: `tokenizer.ggml.*`.

GGUF keeps the vocabulary whole, but of how a text is split and normalised only a name; what the names mean stands here, as the
models' own tokenizer.json have it.
"""

from __future__ import annotations

from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from genwright.errors import RequestError
from genwright.tokens.tokenizer import Tokenizer
from genwright.weights.tokenizers import assemble

_ORDINARY, _UNKNOWN, _CONTROL, _USER, _UNUSED = 1, 2, 3, 4, 5
"""llama.cpp's kinds of token; 6 is a byte."""

_TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
SPLITS = {
    "qwen2": rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_TAIL}",
    "llama-bpe": rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_TAIL}",
    "tekken": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
    rf"\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_TAIL}",
}
"""Patterns that a text is split by before merging, under llama.cpp's names for them."""
_SAME = {"llama3": "llama-bpe", "llama-v3": "llama-bpe", "default": "gpt-2"}
WHOLE_WORDS = ("llama-bpe", "tekken")
"""Where a word that is a token is taken as it is, however its merges would go."""


def rebuild(keys: dict[str, Any], size: int, shown: str) -> Tokenizer:
    """`keys`: those of the file that begin with `tokenizer.`. Raises RequestError where it is of an unknown kind."""
    tokens, kinds = keys.get("tokenizer.ggml.tokens"), keys.get("tokenizer.ggml.token_type")
    if not tokens:
        raise RequestError(f"{shown}: the file holds no tokenizer; get a GGUF file of a whole model.")
    kinds = kinds or [_ORDINARY] * len(tokens)
    model = keys.get("tokenizer.ggml.model")
    if model == "gpt2":
        backend = _byte_level(keys, tokens, kinds, shown)
    elif model == "llama":
        backend = _sentencepiece(keys, tokens, kinds)
    else:
        raise RequestError(f"{shown}: the tokenizer is of the kind {model!r}; known are gpt2 and llama.")
    _add(backend, tokens, kinds)
    begin = keys.get("tokenizer.ggml.bos_token_id")
    settings = _settings(keys, tokens)
    if keys.get("tokenizer.ggml.add_bos_token", model == "llama") and begin is not None:
        _begin_with(backend, tokens[begin], begin)
    names = ("eos_token_id", "eot_token_id", "eom_token_id")
    ends = [keys[f"tokenizer.ggml.{name}"] for name in names if keys.get(f"tokenizer.ggml.{name}") is not None]
    kind = "byte_level" if model == "gpt2" else "sentencepiece"
    return assemble(backend, kind, settings, {}, keys.get("tokenizer.chat_template"), ends, size, shown)


def _byte_level(keys: dict[str, Any], tokens: list[str], kinds: list[int], shown: str) -> Backend:
    pre = keys.get("tokenizer.ggml.pre", "default")
    pre = _SAME.get(pre, pre)
    merges = [tuple(pair.split(" ", 1)) for pair in keys.get("tokenizer.ggml.merges", [])]
    backend = Backend(models.BPE(vocab=_used(tokens, kinds), merges=merges, ignore_merges=pre in WHOLE_WORDS))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pre not in SPLITS)
    if pre in SPLITS:
        split = pre_tokenizers.Split(Regex(SPLITS[pre]), behavior="isolated")
        backend.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    elif pre == "smollm":
        backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    elif pre == "gpt-2":
        backend.pre_tokenizer = byte_level
    else:
        known = ", ".join(sorted({*SPLITS, *_SAME, "gpt-2", "smollm"}))
        raise RequestError(f"{shown}: the tokenizer splits text in the way {pre!r}; known are {known}.")
    if pre == "qwen2" and keys.get("general.architecture") in ("qwen2", "qwen3"):
        backend.normalizer = normalizers.NFC()
    backend.decoder = decoders.ByteLevel()
    return backend


def _sentencepiece(keys: dict[str, Any], tokens: list[str], kinds: list[int]) -> Backend:
    """BPE with byte fallback. The file has scores where tokenizer.json has merges: of any two neighbours those become one whose
    whole has the highest score."""
    vocabulary = _used(tokens, kinds)
    scores = keys.get("tokenizer.ggml.scores") or [-float(i) for i in range(len(tokens))]
    ranked: list[tuple[float, int, int, str, str]] = []
    for token, kind, score in zip(tokens, kinds, scores, strict=True):
        if kind != _ORDINARY:
            continue
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in vocabulary and right in vocabulary:
                ranked.append((-score, vocabulary[left], vocabulary[right], left, right))
    unknown = next((token for token, kind in zip(tokens, kinds, strict=True) if kind == _UNKNOWN), None)
    backend = Backend(
        models.BPE(
            vocab=vocabulary,
            merges=[(left, right) for *_, left, right in sorted(ranked)],
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    space = keys.get("tokenizer.ggml.add_space_prefix", True)
    steps = [normalizers.Prepend("▁")] if space else []
    backend.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    strip = [decoders.Strip(content=" ", left=1, right=0)] if space else []
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip])
    return backend


def _used(tokens: list[str], kinds: list[int]) -> dict[str, int]:
    return {token: index for index, (token, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind != _UNUSED}


def _add(backend: Backend, tokens: list[str], kinds: list[int]) -> None:
    """Mark control and user-defined tokens, which stand in the vocabulary already and so keep their ids."""
    backend.add_tokens(
        [
            AddedToken(token, normalized=False, special=kind != _USER)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind in (_UNKNOWN, _CONTROL, _USER) and token
        ]
    )


def _begin_with(backend: Backend, token: str, index: int) -> None:
    backend.post_processor = processors.TemplateProcessing(
        single=f"{token}:0 $A:0", pair=f"{token}:0 $A:0 {token}:1 $B:1", special_tokens=[(token, index)]
    )


def _settings(keys: dict[str, Any], tokens: list[str]) -> dict[str, Any]:
    """A tokenizer_config.json that transformers reads as it stands, and takes nothing from a class's own habits."""
    settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        index = keys.get(f"tokenizer.ggml.{key}_token_id")
        if index is not None and 0 <= index < len(tokens):
            settings[f"{name}_token"] = tokens[index]
    return settings
