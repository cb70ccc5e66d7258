"""Documents of any length packed into rows of one length: what text models learn from and are measured on.

A document longer than a row is cut into pieces, each led in by the token before it; what is shorter shares a row with others, and
`segments` tells the model which tokens belong together, so that no document sees another. Packing is best-fit decreasing, which
cuts nothing that fits and leaves almost no row unfilled (arXiv:2404.10830).

B rows, T tokens that are read (the row has one more: the last one that is predicted)
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import gcd
from typing import NamedTuple, Protocol

import numpy as np
import torch

from genwright.families.base import Batch
from genwright.seeds import stream
from genwright.shards import Example

_GOLDEN = (5**0.5 - 1) / 2
_FEW = 0.02
"""Share of the rows that may be left out of a pass to spare all others a mask."""


class Documents(Protocol):
    """What is packed: an `ExampleStore`, or anything like it. Examples have "tokens", and may have "weight" (uint8, as long)."""

    def lengths(self, name: str) -> np.ndarray: ...

    def last(self, name: str) -> np.ndarray:
        """The last value of each, whatever for one that is empty."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...


Augment = Callable[[Example, np.random.Generator], Example]


class Piece(NamedTuple):
    """The tokens `start` to `stop` of a document."""

    document: int
    start: int
    stop: int
    ends: bool
    """Its last token is the one that ends a text, which leads in the next text too."""


class Packed:
    """`Batches` of rows of `context` + 1 tokens, a pure function of the position.

    Training: every pass cuts long documents at an offset of its own, packs anew and visits the rows in an order of its own, so
    that each token is predicted once a pass, and none always stands at the start of a piece. `augment` changes a piece each time
    it is read; it may make it up to `growth` tokens longer. Where all but a few rows are one piece of a long document, those few are
    left out (another pass has them in others), so that every batch is plain: no mask, no segments, one compilation.

    Held-out: no offset and no change; the order strides over the rows, so that the first few, which are measured where a budget is
    short, come from all of them.

    A document is led in by the end of a text, as after another one; without `led_in` by its own first token, which then is not
    predicted (a conversation always begins in the same way).
    """

    def __init__(
        self,
        documents: Documents,
        context: int,
        end_token: int,
        seed: int,
        part: str,
        training: bool,
        *,
        augment: Augment | None = None,
        growth: int = 0,
        led_in: bool = True,
    ):
        self.documents, self.context, self.end_token = documents, context, end_token
        self.seed, self.part, self.training = seed, part, training
        self.augment, self.growth, self.led_in = augment, growth, led_in
        self.plain = False
        self._lengths = np.asarray(documents.lengths("tokens"), dtype=np.int64)
        self._ends = np.asarray(documents.last("tokens")) == end_token
        if not self._lengths.sum():
            raise ValueError("no tokens to learn from")
        if context <= growth:
            raise ValueError(f"a context of {context} has no room for {growth} tokens more")
        rows = self._rows(0)
        if training and self._mostly_whole(rows):
            self.plain, rows = True, [row for row in rows if self._whole(row)]
        self._pass: tuple[int, list[list[Piece]]] = (0, rows)
        self.pass_examples = len(self._pass[1])
        self._stride = coprime(round(self.pass_examples * _GOLDEN), self.pass_examples)

    def batch(self, position: int, size: int) -> Batch:
        """ "tokens" int64[B, T+1], and unless the rows are plain "mask" float32[B, T], the weight of each predicted token, and
        "segments" int32[B, T], the document within the row of each token that is read."""
        return self.stack(self.examples(position, size))

    def examples(self, position: int, size: int) -> list[Example]:
        """Rows; plain ones have tokens alone."""
        return [self._filled(slot) for slot in range(position, position + size)]

    def stack(self, examples: list[Example]) -> Batch:
        names = dict.fromkeys(name for example in examples for name in example)
        rows = {name: [example.get(name, self._same_everywhere(name)) for example in examples] for name in names}
        return {name: torch.from_numpy(np.stack(values)) for name, values in rows.items()}

    def _same_everywhere(self, name: str) -> np.ndarray:
        """What a plain row leaves out."""
        return np.ones(self.context, np.float32) if name == "mask" else np.zeros(self.context, np.int32)

    def _filled(self, slot: int) -> Example:
        tokens = np.full(self.context + 1, self.end_token, dtype=np.int64)
        mask, segments = np.zeros(self.context, np.float32), np.zeros(self.context, np.int32)
        self._fill(slot, tokens, mask, segments)
        return {"tokens": tokens} if self.plain else {"tokens": tokens, "mask": mask, "segments": segments}

    def _fill(self, slot: int, tokens: np.ndarray, mask: np.ndarray, segments: np.ndarray) -> None:
        place, number = 0, -1
        for number, piece in enumerate(self._row(slot)):
            example, lead = self._read(piece, slot, number)
            values = example["tokens"]
            if place and tokens[place] != lead:
                place += 1
            tokens[place] = lead
            count = min(len(values), self.context - place)
            tokens[place + 1 : place + 1 + count] = values[:count]
            mask[place : place + count] = example["weight"][:count] if "weight" in example else 1
            segments[place : place + count] = number
            place += count
        # What is left is read by nobody: a segment of its own that predicts nothing.
        segments[place:] = number + 1

    def _read(self, piece: Piece, slot: int, number: int) -> tuple[Example, int]:
        """A piece as the model gets it, and the token that leads it in."""
        whole = self.documents[piece.document]
        example = {name: values[piece.start : piece.stop] for name, values in whole.items()}
        lead = int(whole["tokens"][piece.start - 1]) if piece.start else self.end_token
        if not piece.start and not self.led_in:
            lead = int(example["tokens"][0])
            example = {name: values[1:] for name, values in example.items()}
        if self.augment is not None and self.training:
            example = self.augment(example, stream(self.seed, self.part, "augment", slot, number))
        return example, lead

    def _row(self, slot: int) -> list[Piece]:
        number, place = divmod(slot, self.pass_examples)
        if not self.training:
            return self._pass[1][place * self._stride % self.pass_examples]
        if self._pass[0] != number:
            self._pass = (number, self._rows(number))
        rows = self._pass[1]
        return rows[place % len(rows)]

    def _rows(self, number: int) -> list[list[Piece]]:
        """The rows of a pass, in the order in which it visits them."""
        rng = stream(self.seed, self.part, "order", number)
        room = self.context - (self.growth if self.augment is not None else 0)
        offset = int(rng.integers(room)) if self.training else 0
        pieces = cut(self._lengths, self._ends, room, offset)
        if not self.training:
            return pack(pieces, room)
        rows = pack([pieces[i] for i in rng.permutation(len(pieces))], room)
        if self.plain:
            rows = [row for row in rows if self._whole(row)]
        return [rows[i] for i in rng.permutation(len(rows))]

    def _mostly_whole(self, rows: list[list[Piece]]) -> bool:
        weighted = "weight" in self.documents[int(self._lengths.argmax())]
        return not weighted and sum(map(self._whole, rows)) > (1 - _FEW) * len(rows)

    def _whole(self, row: list[Piece]) -> bool:
        return len(row) == 1 and row[0].stop - row[0].start == self.context


def cut(lengths: np.ndarray, ends: np.ndarray, room: int, offset: int = 0) -> list[Piece]:
    """Documents as pieces of at most `room` tokens; the first piece of a long one has `offset` tokens (0: `room`)."""
    pieces = []
    for document, (length, whole) in enumerate(zip(lengths.tolist(), ends.tolist(), strict=True)):
        if length <= room:
            if length:
                pieces.append(Piece(document, 0, length, whole))
            continue
        edges = [0, *range(offset or room, length, room), length]
        spans = pairwise(edges)
        pieces += [Piece(document, start, stop, whole and stop == length) for start, stop in spans]
    return pieces


def pack(pieces: list[Piece], room: int) -> list[list[Piece]]:
    """Best-fit decreasing: each piece, the longest first, into the fullest row that still takes it.

    The token that leads a piece in needs a place of its own unless it comes first in a row or is the last token of the piece before:
    a piece that does not end a text keeps one free behind it, one that does not begin a text takes one before it.
    """
    rows: list[list[Piece]] = []
    left: list[list[int]] = [[] for _ in range(room + 1)]
    some = 0
    """Bit n: there is a row with n places left."""
    for piece in sorted(pieces, key=lambda p: p.start - p.stop):
        length = piece.stop - piece.start + (piece.start > 0)
        fits = some >> length
        if fits:
            space = length + (fits & -fits).bit_length() - 1
            row = left[space].pop()
            if not left[space]:
                some &= ~(1 << space)
            rows[row].append(piece)
        else:
            row, space = len(rows), room + (piece.start > 0)
            rows.append([piece])
        space = max(space - length - (not piece.ends), 0)
        left[space].append(row)
        some |= 1 << space
    return rows


def coprime(near: int, number: int) -> int:
    """The first integer from `near` on that has no divisor in common with `number`, so that its multiples reach everything."""
    return next(stride for stride in range(max(near, 1), near + number + 2) if gcd(stride, number) == 1)
