"""What `draw` knows of its data: how captions become tokens, which labels there are, and what pictures are drawn from."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from genwright.console import say
from genwright.errors import RequestError
from genwright.ledger import Item
from genwright.networks.text_encoder import PAD, START
from genwright.seeds import stream

LEAST_TOKENS, MAX_TOKENS = 24, 96
"""So many of a caption's tokens are read, `START` included: as many as the longest training caption has, within these. Longer ones are cut."""
_VOCABULARY = 2048
_SOME = 200
_DENSE = "\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff"
_WORD_ALONE = re.compile(f"[{_DENSE}]")
_WORD = re.compile(rf"[{_DENSE}]|(?:(?![{_DENSE}])\w)+")
_FACTS, _CAPTIONS = "draw.json", "captions.json"


@dataclass
class DrawFacts:
    """Frozen facts of a set of pictures. `condition` is "text", "label" or "none"."""

    condition: str
    labels: list[str]
    captions: Tokenizer
    pictures: int
    """How many training items the facts were measured on."""
    known_words: list[str] = field(default_factory=list)
    """Every word of the training captions, the most frequent first; none where the facts were measured by an older Genwright."""
    some_captions: list[str] = field(default_factory=list)
    """Training captions evenly taken: what is drawn where nothing is asked for."""
    tokens: int = LEAST_TOKENS
    """Of a caption, that are read."""
    two_captions: bool = False
    """Whether pictures have a long caption beside the short one; both are learned from."""

    @property
    def condition_count(self) -> int:
        """How many different ids the condition encoder must know."""
        return {"text": self.captions.get_vocab_size(), "label": max(1, len(self.labels))}.get(self.condition, 1)

    def encode(self, text: str, label: str) -> np.ndarray:
        """What the networks are told of a picture, int32: a caption's tokens padded at the end, a label's id, or 0."""
        if self.condition == "text":
            ids = [START, *self.captions.encode(text).ids][: self.tokens]
            return np.array(ids + [PAD] * (self.tokens - len(ids)), np.int32)
        return np.array([self.label_id(label) if self.condition == "label" else 0], np.int32)

    def is_cut(self, text: str) -> bool:
        """Whether a caption has more tokens than are read."""
        return len(self.captions.encode(text).ids) >= self.tokens

    def label_id(self, label: str) -> int:
        """-1 for a label that the training pictures do not have."""
        wanted = unicodedata.normalize("NFC", label)
        return next((i for i, name in enumerate(self.labels) if unicodedata.normalize("NFC", name) == wanted), -1)

    def prompt(self, prompt: str) -> np.ndarray:
        """A request's words as the networks are told them; says which of them mean nothing to the model.

        Raises RequestError when the model can't take them.
        """
        if self.condition == "label" and self.label_id(prompt) < 0:
            near = get_close_matches(prompt.lower(), {label.lower(): label for label in self.labels}, n=1)
            if near:
                like = next(label for label in self.labels if label.lower() == near[0])
                raise RequestError(f"The prompt {prompt!r} is no label of this model; did you mean {like!r}?")
            shown = ", ".join(self.labels[:20]) + (", ..." if len(self.labels) > 20 else "")
            raise RequestError(f"The prompt {prompt!r} is no label of this model; choose from {shown}.")
        if self.condition == "none" and prompt.strip():
            raise RequestError("This model draws without words; leave the prompt out.")
        if self.condition == "text":
            self._tell(prompt)
        return self.encode(prompt, prompt)

    def _tell(self, prompt: str) -> None:
        if self.is_cut(prompt):
            say(
                f'The prompt is longer than the {self.tokens - 1} tokens that the model reads: what is drawn is "{self.read(prompt)}".'
            )
        if unknown := self.unseen(prompt):
            rest = "goes by the rest" if len(unknown) < len(self._asked(prompt)) else "may be anything"
            say(f"Never seen in training: {', '.join(map(self._with_near, unknown[:5]))}; what is drawn {rest}.")

    def unseen(self, prompt: str) -> list[str]:
        """The words of a prompt that no training caption has, but for single letters like "a" of scripts that have words."""
        known = set(self.known_words)
        return [word for word in self._asked(prompt) if word not in known] if known else []

    def _asked(self, prompt: str) -> list[str]:
        return [word for word in dict.fromkeys(words_of(prompt)) if len(word) > 1 or _WORD_ALONE.match(word)]

    def _with_near(self, word: str) -> str:
        near = get_close_matches(word, self.known_words, n=1, cutoff=0.75)
        return f"{word} (did you mean {near[0]}?)" if near else word

    def read(self, text: str) -> str:
        """What is read of a caption."""
        return self.words(self.encode(text, text))

    def mix(self, n: int, seed: int) -> list[str]:
        """Words for `n` pictures where none are asked for: labels or training captions in an order of the seed's; the i-th is the same
        for every `n`."""
        known = {"label": self.labels, "text": self.some_captions}.get(self.condition) or [""]
        order = stream(seed, "mix").permutation(len(known))
        return [known[order[index % len(known)]] for index in range(n)]

    def words(self, condition: np.ndarray) -> str:
        """The caption (lower-cased, as the model reads it) or the label behind an example's condition."""
        if self.condition == "text":
            return self.captions.decode([int(token) for token in condition if token not in (PAD, START)]).strip()
        return self.labels[int(condition[0])] if self.condition == "label" else ""

    def save(self, folder: Path) -> None:
        facts = {
            "condition": self.condition,
            "labels": self.labels,
            "pictures": self.pictures,
            "words": self.known_words,
            "captions": self.some_captions,
            "tokens": self.tokens,
            "two_captions": self.two_captions,
        }
        (folder / _FACTS).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        self.captions.save(str(folder / _CAPTIONS))

    @classmethod
    def load(cls, folder: Path) -> DrawFacts:
        """Raises RequestError naming the file that can't be read."""
        try:
            facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
            captions = Tokenizer.from_file(str(folder / _CAPTIONS))
            lists = facts.get("words", []), facts.get("captions", [])
            read = facts.get("tokens", LEAST_TOKENS), facts.get("two_captions", False)
            return cls(facts["condition"], facts["labels"], captions, facts["pictures"], *lists, *read)
        except Exception as error:  # the tokenizers library raises bare Exception
            raise RequestError(
                f"{folder}: {_FACTS} or {_CAPTIONS} can't be read ({error}); prepare or export again."
            ) from error


def group_of(item: Item) -> str:
    """What pictures of one thing have in common where a table or a caption tells: its `group`, or the words; "" where neither does."""
    return item.fields.get("group") or " ".join(item.fields.get("text", "").lower().split())


def words_of(text: str) -> list[str]:
    """The words of a caption as the model tells them apart; of a script without spaces, the letters."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def words_by_count(captions: Iterable[str]) -> list[str]:
    counts = Counter(word for caption in captions for word in words_of(caption))
    return sorted(counts, key=lambda word: (-counts[word], word))


def evenly_captions(captions: Sequence[str]) -> list[str]:
    """Different captions spread over all, at most `_SOME`."""
    different = list(dict.fromkeys(captions))
    count = min(_SOME, len(different))
    return [different[number * len(different) // count] for number in range(count)]


def tokens_read(tokenizer: Tokenizer, captions: Sequence[str]) -> int:
    """How many tokens of a caption are read, so that none of these is cut if that can be."""
    longest = max((len(found.ids) for found in tokenizer.encode_batch(list(captions))), default=0)
    return min(max(1 + longest, LEAST_TOKENS), MAX_TOKENS)


def caption_tokenizer(captions: Sequence[str]) -> Tokenizer:
    """Byte-level BPE over lower-cased captions; a piece must occur twice. The same for the same captions."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])  # type: ignore[assignment]
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        min_frequency=2,
        special_tokens=["<pad>", "<start>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    return tokenizer
