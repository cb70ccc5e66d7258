"""Text to token ids and back, without loss: byte-level BPE, or characters; or the tokenizer that came with somebody's weights.

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
from dataclasses import asdict, dataclass
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
_LINE_END = re.compile(r"(?<=\S)\n(?=\S)")
_SPACE = "\u2581"
"""What stands for a space in a sentencepiece vocabulary."""
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


@dataclass(frozen=True)
class Foreign:
    """What a tokenizer that came with weights has beside its vocabulary."""

    end_token: int
    """Ends a document, and leads the first one in."""
    begin_tokens: tuple[int, ...]
    """Stand before every text, where the model was trained so; else ()."""
    size: int
    """Rows of the model's embedding, which may be more than the tokens that have a name."""
    settings: dict[str, Any]
    """Its tokenizer_config.json, kept as it is."""
    generation: dict[str, Any]
    """Its generation_config.json."""
    origin: dict[str, Any]
    """Where it comes from: weights.Origin as JSON."""


class Tokenizer:
    """Facts of a text task. `kind` is "bpe" or "characters", whose token 0 ends a text; or of a tokenizer that came with weights
    (`foreign`), "byte_level" or "sentencepiece".

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
        foreign: Foreign | None = None,
    ):
        # What looks like a special token inside a text is text.
        backend.encode_special_tokens = True
        backend.no_truncation()
        backend.no_padding()
        self.backend, self.kind, self.foreign = backend, kind, foreign
        self.chat_template, self.end_tokens = chat_template, end_tokens
        self.special = {
            token.content: index for index, token in backend.get_added_tokens_decoder().items() if token.special
        }
        self.end_token = foreign.end_token if foreign else END_ID
        self.begin_tokens = foreign.begin_tokens if foreign else ()
        self.size = foreign.size if foreign else backend.get_vocab_size()
        self.dtype = np.dtype(np.uint16 if self.size <= 1 << 16 else np.uint32)

    @property
    def token_ids(self) -> dict[str, Any]:
        """The ids that other libraries read from a model's config.json."""
        ends = list(self.end_tokens)
        names = self.foreign.settings if self.foreign else {}
        begin, pad = (self._id(names.get(name)) for name in ("bos_token", "pad_token"))
        return {
            "bos_token_id": self.end_token if self.foreign is None else begin,
            "eos_token_id": ends[0] if len(ends) == 1 else ends,
            "pad_token_id": self.end_token if pad is None else pad,
        }

    def _id(self, token: Any) -> int | None:
        name = token.get("content") if isinstance(token, dict) else token
        return self.backend.token_to_id(name) if isinstance(name, str) else None

    def encode(self, text: str) -> np.ndarray:
        # In pieces, because the library keeps about a hundred bytes for each token until it is done. Sentencepiece would put a
        # space before each of them.
        parts = [text] if self.kind == "sentencepiece" else pieces(text)
        ids = [self.backend.encode(piece, add_special_tokens=False).ids for piece in parts]
        return np.concatenate([np.array(part, dtype=self.dtype) for part in ids] or [np.empty(0, self.dtype)])

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of some tokens; special tokens say nothing, half characters become U+FFFD."""
        text = self.to_bytes(tokens).decode("utf-8", "replace")
        return text[1:] if self.adds_space and text.startswith(" ") else text

    def spelled(self, tokens: Iterable[int]) -> str:
        """The text of some tokens with special ones by their names, for people."""
        names = {index: name.encode() for name, index in self.special.items()}
        table = self.token_bytes
        return b"".join([names.get(int(token)) or table[int(token)] for token in tokens]).decode("utf-8", "replace")

    def to_bytes(self, tokens: Iterable[int]) -> bytes:
        table = self.token_bytes
        return b"".join([table[int(token)] for token in tokens])

    @cached_property
    def token_bytes(self) -> list[bytes]:
        """The bytes that each token stands for; none for special ones, and for those without a name."""
        added = self.backend.get_added_tokens_decoder()
        table = [b""] * self.size
        bytes_of = _sentencepiece_bytes if self.kind == "sentencepiece" else _byte_level_bytes
        for name, index in self.backend.get_vocab().items():
            if index in added:
                table[index] = b"" if added[index].special else name.encode()
            else:
                table[index] = bytes_of(name)
        return table

    @cached_property
    def adds_space(self) -> bool:
        """Whether encoding puts a space before a text, which decoding takes away: sentencepiece's way."""
        if self.kind != "sentencepiece":
            return False
        return self.backend.encode("a", add_special_tokens=False).tokens[0].startswith(_SPACE)

    @cached_property
    def byte_lengths(self) -> np.ndarray:
        """How many bytes of text each token stands for."""
        return np.array([len(piece) for piece in self.token_bytes], dtype=np.int64)

    def stream(self) -> TextStream:
        return TextStream(self)

    def save(self, folder: Path) -> None:
        """Write what `AutoTokenizer.from_pretrained(folder)` reads."""
        self.backend.save(str(folder / "tokenizer.json"))
        if self.chat_template is not None:
            (folder / "chat_template.jinja").write_text(self.chat_template, encoding="utf-8")
        if self.foreign is not None:
            kept = {key: value for key, value in asdict(self.foreign).items() if key not in ("settings", "generation")}
            settings = self.foreign.settings | {"genwright_kind": self.kind, "genwright_foreign": kept}
            _write(folder / "tokenizer_config.json", settings)
            _write(
                folder / "generation_config.json",
                self.foreign.generation | self.token_ids,
            )
            return
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": END,
            "eos_token": next(name for name, index in self.special.items() if index == self.end_tokens[0]),
            "pad_token": END,
            # A conversation or a hole is written with its marks spelled out; in any other text what looks like a mark is text.
            "split_special_tokens": self.chat_template is None and set(self.special) == {END},
            "clean_up_tokenization_spaces": False,
            "additional_special_tokens": [name for name in self.special if name != END],
            "genwright_kind": self.kind,
        }
        _write(folder / "tokenizer_config.json", config)
        _write(folder / "generation_config.json", self.token_ids)

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Raises RequestError naming the file that can't be read."""
        file = folder / "tokenizer.json"
        try:
            config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
            generation = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
            ends = generation["eos_token_id"]
            template = folder / "chat_template.jinja"
            return cls(
                Backend.from_file(str(file)),
                config["genwright_kind"],
                chat_template=template.read_text(encoding="utf-8") if template.exists() else None,
                end_tokens=tuple(ends) if isinstance(ends, list) else (ends,),
                foreign=_foreign(config, generation),
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


def build_characters(texts: Iterable[str], special: Sequence[str] = (), most: int | None = None) -> Tokenizer:
    """One token for each character of the texts: the most frequent ones, where there are more than `most` tokens can be.

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
        if len(vocabulary) >= (most or _MOST_CHARACTERS):
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


_BYTE_OF = {character: byte for byte, character in _alphabet().items()}


def _byte_level_bytes(name: str) -> bytes:
    # Some foreign vocabularies hold a few names that are no bytes; those stand for themselves.
    return b"".join(bytes((_BYTE_OF[c],)) if c in _BYTE_OF else c.encode() for c in name)


def _sentencepiece_bytes(name: str) -> bytes:
    byte = _BYTE.fullmatch(name)
    return bytes([int(byte[1], 16)]) if byte else name.replace(_SPACE, " ").encode()


def _foreign(config: dict[str, Any], generation: dict[str, Any]) -> Foreign | None:
    kept = config.pop("genwright_foreign", None)
    if kept is None:
        return None
    settings = {key: value for key, value in config.items() if key != "genwright_kind"}
    begin = tuple(kept.pop("begin_tokens"))
    return Foreign(**kept, begin_tokens=begin, settings=settings, generation=generation)


def _write(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
