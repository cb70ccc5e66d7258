"""Which tokens a text is cut into: chosen by how much text there is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from genwright.tokens.tokenizer import Tokenizer, build_characters, pieces, train_bpe

_LEARN_FROM_BYTES = 64 << 20
"""A vocabulary is learned from at most about this much text, taken evenly from all of it."""

_VOCABULARIES = ((300_000, None), (2_000_000, 512), (20_000_000, 2048), (100_000_000, 8192), (1_000_000_000, 16_384))
"""Up to so many bytes of text, so many tokens; None: characters."""

_LARGEST_VOCABULARY = 32_768


def fit_tokenizer(
    texts: Iterable[str],
    kind: Literal["auto", "bpe", "characters"],
    vocabulary: int | None,
    special: Sequence[str] = (),
) -> Tokenizer:
    """A tokenizer of a kind with so many tokens, or as suits the amount of text; `special` names tokens that stand for no text."""
    kept, size_bytes = _sample(texts)
    suits = vocabulary or vocabulary_for(size_bytes)
    if kind == "auto":
        kind = "bpe" if suits else "characters"
    if kind == "characters":
        return build_characters(kept, special, vocabulary)
    return train_bpe(kept, suits or 512, special)


def vocabulary_for(size_bytes: int) -> int | None:
    """How many BPE tokens suit so many bytes of text; None where characters do better."""
    return next((tokens for limit, tokens in _VOCABULARIES if size_bytes <= limit), _LARGEST_VOCABULARY)


def _sample(texts: Iterable[str]) -> tuple[list[str], int]:
    """Every n-th text (long ones in pieces), n doubled as often as needed to stay small; and the bytes of all of them."""
    kept: list[tuple[str, int]] = []
    every, total_bytes, kept_bytes = 1, 0, 0
    for number, text in enumerate(piece for whole in texts for piece in pieces(whole)):
        size = len(text.encode("utf-8", "replace"))
        total_bytes += size
        if number % every == 0:
            kept.append((text, size))
            kept_bytes += size
        while len(kept) > 1 and kept_bytes > _LEARN_FROM_BYTES:
            kept, every = kept[::2], 2 * every
            kept_bytes = sum(size for _, size in kept)
    return [text for text, _ in kept], total_bytes
