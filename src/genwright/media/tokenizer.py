"""Text to token ids and back, without loss: byte-level BPE, or characters.

Both are byte-level tokenizers of the `tokenizers` library: every byte is a token, so whatever text comes in comes out again,
letter by letter, and both load in `transformers` as they are. They differ in their merges: those of BPE were learned from the
text (arXiv:1508.07909), those of characters only put the bytes of one character together, so that a character of the training
text is one token and any other character is spelled by its bytes.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from genwright.errors import RequestError

END = "<|endoftext|>"
END_ID = 0

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Where BPE may not merge across: the pattern of Qwen2 and Qwen3, which other runtimes know by name."""

_MOST_CHARACTERS = 60_000
_PIECE_CHARACTERS = 1 << 20
_LINE_END = re.compile(r"\n(?=\S)")


class Tokenizer:
    """Facts of a text task. `kind` is "bpe" or "characters"; token 0 ends a text.

    `special` are the ids of the tokens that no text ever becomes, by name: the end of a text and what a task asked for. `end_tokens`
    end an answer. `chat_template` is a Jinja template, as Hugging Face keeps it beside a tokenizer.
    """

    def __init__(
        self,
        backend: Backend,
        kind: str,
        *,
        chat_template: str | None = None,
        end_tokens: tuple[int, ...] = (END_ID,),
    ):
        # What looks like a special token inside a text is text.
        backend.encode_special_tokens = True
        self.backend, self.kind = backend, kind
        self.chat_template, self.end_tokens = chat_template, end_tokens
        self.special = {
            token.content: index for index, token in backend.get_added_tokens_decoder().items() if token.special
        }
        self.end_token = END_ID
        self.size = backend.get_vocab_size()
        self.dtype = np.dtype(np.uint16 if self.size <= 1 << 16 else np.uint32)

    def encode(self, text: str) -> np.ndarray:
        # In pieces, because the library keeps about a hundred bytes for each token until it is done.
        ids = [self.backend.encode(piece, add_special_tokens=False).ids for piece in pieces(text)]
        return np.concatenate([np.array(part, dtype=self.dtype) for part in ids] or [np.empty(0, self.dtype)])

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of some tokens; end-of-text tokens say nothing, half characters become U+FFFD."""
        return self.to_bytes(tokens).decode("utf-8", "replace")

    def to_bytes(self, tokens: Iterable[int]) -> bytes:
        table = self.token_bytes
        return b"".join([table[int(token)] for token in tokens])

    @cached_property
    def token_bytes(self) -> list[bytes]:
        """The bytes that each token stands for; none for special ones."""
        special = set(self.special.values())
        to_byte = {character: byte for byte, character in _alphabet().items()}
        names = {index: name for name, index in self.backend.get_vocab().items()}
        return [
            b"" if index in special else bytes(to_byte[character] for character in names[index])
            for index in range(self.size)
        ]

    @cached_property
    def byte_lengths(self) -> np.ndarray:
        """How many bytes of text each token stands for."""
        return np.array([len(piece) for piece in self.token_bytes], dtype=np.int64)

    def stream(self) -> TextStream:
        return TextStream(self)

    def save(self, folder: Path) -> None:
        """Write what `AutoTokenizer.from_pretrained(folder)` reads."""
        self.backend.save(str(folder / "tokenizer.json"))
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": END,
            "eos_token": END,
            "pad_token": END,
            "split_special_tokens": True,
            "clean_up_tokenization_spaces": False,
            "additional_special_tokens": [name for name in self.special if name != END],
            "genwright_kind": self.kind,
        }
        _write(folder / "tokenizer_config.json", config)
        if self.chat_template is not None:
            (folder / "chat_template.jinja").write_text(self.chat_template, encoding="utf-8")
        ends: dict[str, Any] = dict.fromkeys(("bos_token_id", "pad_token_id"), self.end_token)
        ends["eos_token_id"] = next(iter(self.end_tokens)) if len(self.end_tokens) == 1 else list(self.end_tokens)
        _write(folder / "generation_config.json", ends)

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Raises RequestError naming the file that can't be read."""
        file = folder / "tokenizer.json"
        try:
            config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
            ends = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))["eos_token_id"]
            template = folder / "chat_template.jinja"
            return cls(
                Backend.from_file(str(file)),
                config["genwright_kind"],
                chat_template=template.read_text(encoding="utf-8") if template.exists() else None,
                end_tokens=tuple(ends) if isinstance(ends, list) else (ends,),
            )
        except Exception as error:  # the library raises bare Exception
            raise RequestError(f"{file}: not a tokenizer that Genwright wrote ({error}); prepare again.") from error


class TextStream:
    """Tokens in one by one, text out as soon as its characters are whole."""

    def __init__(self, tokenizer: Tokenizer):
        self._bytes = tokenizer.token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        return self._decoder.decode(self._bytes[token])

    def close(self) -> str:
        """What was left of a character that never became whole."""
        return self._decoder.decode(b"", final=True)


def train_bpe(texts: Iterable[str], vocabulary: int, special: Sequence[str] = ()) -> Tokenizer:
    """Learn a byte-level BPE vocabulary of at most `vocabulary` tokens; the same for the same texts, whatever the threads.

    `special` names tokens beside the end of a text that stand for no text.
    """
    backend = Backend(models.BPE())
    words = pre_tokenizers.Split(Regex(_WORDS), behavior="isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=_special(special),
        initial_alphabet=sorted(_alphabet().values()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return Tokenizer(backend, "bpe")


def build_characters(texts: Iterable[str], special: Sequence[str] = ()) -> Tokenizer:
    """One token for each character of the texts (the most frequent ones, where there are more than a vocabulary holds).

    The merges put a character's bytes together from the left. UTF-8 tells a first byte from a following one, so none of them
    can reach into the next character, and no splitting is needed before.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    alphabet = _alphabet()
    vocabulary = {name: index for index, name in enumerate((END, *special))}
    for character in sorted(alphabet.values()):
        vocabulary[character] = len(vocabulary)
    merges: list[tuple[str, str]] = []
    for character in sorted(counts, key=lambda c: (-counts[c], c)):
        if len(vocabulary) >= _MOST_CHARACTERS:
            break
        if character.isascii() or "\ud800" <= character <= "\udfff":
            continue
        pieces = [alphabet[byte] for byte in character.encode()]
        left = pieces[0]
        for piece in pieces[1:]:
            if left + piece not in vocabulary:
                vocabulary[left + piece] = len(vocabulary)
                merges.append((left, piece))
            left += piece
    backend = Backend(models.BPE(vocab=vocabulary, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(_special(special))
    return Tokenizer(backend, "characters")


def _special(names: Sequence[str]) -> list[AddedToken]:
    return [AddedToken(name, normalized=False, special=True) for name in (END, *names)]


def pieces(text: str) -> Iterator[str]:
    """A long text in pieces of about a million characters, cut where no token reaches across: behind the end of a line that is
    followed by anything but white space. A text without such a place is cut all the same.
    """
    start = 0
    while len(text) - start > _PIECE_CHARACTERS:
        target = start + _PIECE_CHARACTERS
        ends = [match.start() + 1 for match in _LINE_END.finditer(text, target - _PIECE_CHARACTERS // 4, target)]
        stop = ends[-1] if ends else target
        yield text[start:stop]
        start = stop
    if start < len(text):
        yield text[start:]


def _alphabet() -> dict[int, str]:
    """The printable character that stands for each byte in a byte-level vocabulary, as GPT-2 introduced it."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def _write(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
