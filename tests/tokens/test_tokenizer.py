"""Tokenizers lose nothing, whatever comes in, and are the same however many threads made them."""

import hashlib
import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.errors import RequestError
from genwright.tokens.tokenizer import END, Tokenizer, build_characters, pieces, train_bpe
from helpers import ASSETS

TEXT = ASSETS / "text"
TEXTS = [file.read_text(encoding="utf-8")[:60_000] for file in sorted(TEXT.glob("*.txt"))]
MIXED = [*TEXTS, "naïve café — 床前明月光,疑是地上霜。 مرحبا 👩‍🚀 " * 20]


@pytest.fixture(scope="module", params=["bpe", "characters"])
def tokenizer(request) -> Tokenizer:
    return train_bpe(MIXED, 600) if request.param == "bpe" else build_characters(MIXED)


@given(text=st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_comes_back_letter_by_letter(tokenizer, text):
    tokens = tokenizer.encode(text)
    assert tokenizer.decode(tokens) == text
    assert tokenizer.byte_lengths[tokens].sum() == len(text.encode())


@given(tokens=st.lists(st.integers(0, 599), max_size=60))
@settings(max_examples=300, deadline=None)
def test_a_stream_of_any_tokens_adds_up_to_their_text(tokenizer, tokens):
    tokens = [token % tokenizer.size for token in tokens]
    stream = tokenizer.stream()
    pieces = [stream.feed(token) for token in tokens] + [stream.close()]
    assert "".join(pieces) == tokenizer.decode(tokens)
    assert tokenizer.decode(tokens) == tokenizer.backend.decode(tokens)


def test_a_stream_never_shows_half_a_character(tokenizer):
    text = "🦊é漢" * 3 + "\U0001f9ff"
    stream = tokenizer.stream()
    pieces = [stream.feed(int(token)) for token in tokenizer.encode(text)]
    assert "".join(pieces) == text
    assert all("\ufffd" not in piece for piece in pieces)
    assert stream.close() == ""


def test_what_looks_like_an_end_of_text_is_text(tokenizer):
    tokens = tokenizer.encode(f"a{END}b")
    assert tokenizer.end_token not in tokens
    assert tokenizer.decode(tokens) == f"a{END}b"


def test_the_end_of_text_says_nothing(tokenizer):
    assert tokenizer.decode([tokenizer.end_token, *tokenizer.encode("so"), tokenizer.end_token]) == "so"


def test_characters_of_the_text_are_one_token_each():
    tokenizer = build_characters(["abc 漢字 🦊 é"])
    for character in "a漢字🦊é":
        assert len(tokenizer.encode(character)) == 1
    assert len(tokenizer.encode("語")) == 3  # never seen: its bytes
    assert list(tokenizer.encode("漢a字")) == [int(tokenizer.encode(c)[0]) for c in "漢a字"]


@given(text=st.text("ab é\n\t,", max_size=300))
@settings(max_examples=200, deadline=None)
def test_long_texts_are_cut_where_no_token_reaches_across(tokenizer, text):
    whole = tokenizer.encode(text + "\nx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genwright.tokens.tokenizer._PIECE_CHARACTERS", 32)
        cut = list(pieces(text + "\nx"))
        in_pieces = tokenizer.encode(text + "\nx")
    assert "".join(cut) == text + "\nx"
    assert tokenizer.decode(in_pieces) == text + "\nx"
    if all(a.endswith("\n") and not b[0].isspace() for a, b in pairwise(cut)):
        assert np.array_equal(in_pieces, whole)


def test_bpe_has_the_size_asked_for_and_shortens():
    tokenizer = train_bpe(TEXTS, 600)
    assert tokenizer.size == 600
    text = TEXTS[0][:5000]
    assert len(tokenizer.encode(text)) < 0.65 * len(text)
    assert tokenizer.encode(text).dtype == np.uint16


def test_saving_and_loading_changes_nothing(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    text = f"Was ist 漢字? {END} \r\n\t  x"
    assert (again.kind, again.size) == (tokenizer.kind, tokenizer.size)
    assert np.array_equal(again.encode(text), tokenizer.encode(text))


def test_a_broken_tokenizer_file_is_named(tmp_path):
    train_bpe(["some text"], 300).save(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(RequestError, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path)


TRAIN = """
import sys, hashlib, pathlib
from genwright.tokens.tokenizer import train_bpe
texts = [f.read_text(encoding="utf-8") for f in sorted(pathlib.Path(sys.argv[1]).glob("*.txt"))]
print(hashlib.sha256(train_bpe([t[i:i+3000] for t in texts for i in range(0, len(t), 3000)], 1000).backend.to_str().encode()).hexdigest())
"""


def test_the_vocabulary_does_not_depend_on_threads():
    def digest(threads: str) -> str:
        environment = os.environ | {"RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true"}
        done = subprocess.run(
            [sys.executable, "-c", TRAIN, str(TEXT)], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert len({digest(threads) for threads in ("1", "2", "5")}) == 1


def test_the_vocabulary_is_the_same_each_time():
    digests = {hashlib.sha256(train_bpe(TEXTS, 700).backend.to_str().encode()).hexdigest() for _ in range(3)}
    assert len(digests) == 1
