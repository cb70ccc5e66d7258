"""The tokenizer that stands beside weights: tokenizer.json of the byte-level kind (Llama 3, Qwen, SmolLM2) or of sentencepiece's
(Llama 2, Mistral), its end tokens and its chat template.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from genwright.errors import RequestError
from genwright.tokens.tokenizer import Foreign, Tokenizer
from genwright.weights.base import Origin

_ENDS_OF_TEXT = ("<|endoftext|>", "<|end_of_text|>", "</s>")
_ENDS_OF_TURN = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>")
"""Names under which the known architectures end a document and a turn of a chat."""


def read_tokenizer(
    folder: Path, shown: str, config: dict[str, Any], generation: dict[str, Any], size: int
) -> Tokenizer:
    """The tokenizer of a Hugging Face folder. Raises RequestError naming the file that is missing or not understood."""
    file = folder / "tokenizer.json"
    if not file.exists():
        raise RequestError(
            f"{shown}: the folder has no tokenizer.json; save its tokenizer as a fast one (transformers' save_pretrained)."
        )
    try:
        backend = Backend.from_str(file.read_text(encoding="utf-8-sig"))
    except Exception as error:  # the library raises bare Exception
        raise RequestError(f"{shown}/tokenizer.json: can't be read ({error}); get the file again.") from error
    settings = _settings(folder / "tokenizer_config.json", shown)
    _add_named(backend, settings, size, f"{shown}/tokenizer_config.json")
    template = _template(folder, settings)
    settings.pop("chat_template", None)
    ids = [
        *_as_list(generation.get("eos_token_id")),
        *_as_list(config.get("eos_token_id")),
        *(i for i in [_id_of(backend, settings.get("eos_token"))] if i is not None),
    ]
    return assemble(
        backend, kind_of(backend, f"{shown}/tokenizer.json"), settings, generation, template, ids, size, shown
    )


def assemble(
    backend: Backend,
    kind: str,
    settings: dict[str, Any],
    generation: dict[str, Any],
    chat_template: str | None,
    ends: Iterable[int],
    size: int,
    shown: str,
) -> Tokenizer:
    """A tokenizer from its parts. `ends` are the ids that the source says end a text or an answer, the likeliest first."""
    special = {token.content: index for index, token in backend.get_added_tokens_decoder().items() if token.special}
    known = [special[name] for name in (*_ENDS_OF_TURN, *_ENDS_OF_TEXT) if name in special]
    end_tokens = tuple(dict.fromkeys([*ends, *known]))
    if not end_tokens:
        raise RequestError(
            f"{shown}: nothing says which token ends a text; add eos_token_id to its generation_config.json."
        )
    largest = max(backend.get_vocab().values(), default=-1)
    if largest >= size:
        raise RequestError(
            f"{shown}: the tokenizer has token {largest} and the model only {size} rows for tokens; get the tokenizer that belongs to it."
        )
    end_token = next((special[name] for name in _ENDS_OF_TEXT if name in special), end_tokens[0])
    foreign = Foreign(end_token, _begin(backend), size, settings, generation, {})
    return Tokenizer(backend, kind, chat_template=chat_template, end_tokens=end_tokens, foreign=foreign)


def with_origin(tokenizer: Tokenizer, origin: Origin) -> Tokenizer:
    """The same tokenizer, which remembers whose weights it came with: facts of other weights are other facts."""
    return _changed(tokenizer, origin=origin.to_json())


def with_special(tokenizer: Tokenizer, names: Iterable[str]) -> Tokenizer:
    """The tokenizer with the special tokens that a task needs and it does not have; they get the next free rows."""
    missing = [name for name in names if name not in tokenizer.special]
    if not missing:
        return tokenizer
    tokenizer.backend.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in missing])
    return _changed(tokenizer, size=max(tokenizer.size, 1 + max(tokenizer.backend.get_vocab().values())))


def _changed(tokenizer: Tokenizer, **changes: Any) -> Tokenizer:
    assert tokenizer.foreign is not None
    return Tokenizer(
        tokenizer.backend,
        tokenizer.kind,
        chat_template=tokenizer.chat_template,
        end_tokens=tokenizer.end_tokens,
        foreign=replace(tokenizer.foreign, **changes),
    )


def _add_named(backend: Backend, settings: dict[str, Any], size: int, shown: str) -> None:
    """The tokens that only tokenizer_config.json names, as transformers adds them: with their ids where it gives them, else the next
    free one, as far as the model has rows. Raises RequestError where the two files give a token different ids."""
    for index, entry in sorted((settings.get("added_tokens_decoder") or {}).items(), key=lambda pair: int(pair[0])):
        flags = {name: bool(entry.get(name)) for name in ("special", "normalized", "lstrip", "rstrip", "single_word")}
        backend.add_tokens([AddedToken(entry["content"], **flags)])
        if (found := backend.token_to_id(entry["content"])) != int(index):
            raise RequestError(
                f"{shown}: {entry['content']} is token {index} there and {found} in tokenizer.json; get both files again."
            )
    named = [settings.get(f"{name}_token") for name in ("bos", "eos", "unk", "pad")]
    for token in [*named, *(settings.get("additional_special_tokens") or [])]:
        name = token.get("content") if isinstance(token, dict) else token
        known = isinstance(name, str) and backend.token_to_id(name) is not None
        if name and (known or max(backend.get_vocab().values(), default=-1) + 1 < size):
            backend.add_special_tokens([AddedToken(name, normalized=False, special=True)])


def kind_of(backend: Backend, shown: str) -> str:
    """ "byte_level" or "sentencepiece". Raises RequestError for other kinds: they lose letters."""
    content = json.loads(backend.to_str())
    if _has(content.get("pre_tokenizer"), "ByteLevel") or _has(content.get("decoder"), "ByteLevel"):
        return "byte_level"
    if content["model"].get("byte_fallback"):
        return "sentencepiece"
    raise RequestError(
        f"{shown}: a tokenizer that is neither byte-level nor sentencepiece with byte fallback, so it would lose letters; "
        "choose weights with one of those."
    )


def _has(node: Any, kind: str) -> bool:
    if isinstance(node, dict):
        return node.get("type") == kind or any(_has(value, kind) for value in node.values())
    return isinstance(node, list) and any(_has(value, kind) for value in node)


def _begin(backend: Backend) -> tuple[int, ...]:
    """The special tokens that the tokenizer puts before every text."""
    special = {index for index, token in backend.get_added_tokens_decoder().items() if token.special}
    found: list[int] = []
    for index in backend.encode("a").ids:
        if index not in special:
            break
        found.append(index)
    return tuple(found)


def _settings(file: Path, shown: str) -> dict[str, Any]:
    if not file.exists():
        return {"tokenizer_class": "PreTrainedTokenizerFast"}
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
        return dict(content)
    except (OSError, ValueError, TypeError) as error:
        raise RequestError(f"{shown}/{file.name}: can't be read as JSON ({error}); get the file again.") from error


def _template(folder: Path, settings: dict[str, Any]) -> str | None:
    """The chat template: a file of its own, or as it stood in the settings before; of several the one called default."""
    file = folder / "chat_template.jinja"
    if file.exists():
        return file.read_text(encoding="utf-8-sig")
    template = settings.get("chat_template")
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default", next(iter(named.values()), None))
    return template if isinstance(template, str) else None


def _as_list(value: Any) -> list[int]:
    return [int(v) for v in value] if isinstance(value, list) else [] if value is None else [int(value)]


def _id_of(backend: Backend, token: Any) -> int | None:
    name = token.get("content") if isinstance(token, dict) else token
    return backend.token_to_id(name) if isinstance(name, str) else None
