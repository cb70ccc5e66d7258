"""Every script comes back letter by letter: Chinese in both scripts, Arabic with its vowel signs, emoji of several parts, all mixed."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.tokens.tokenizer import Tokenizer, build_characters, train_bpe

SAMPLES = {
    "traditional": "床前明月光，疑是地上霜。\n舉頭望明月，低頭思故鄉。",
    "simplified": "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。",
    "rare characters": "𩅰𡏖𧍪 □ {⻊⿰} \ue841",
    "arabic": "بِسْمِ ٱللَّهِ ٱلرَّحْمَٰنِ ٱلرَّحِيمِ ـ ١٢٣",
    "hebrew": "בְּרֵאשִׁית בָּרָא אֱלֹהִים",
    "hindi": "क्षत्रिय हिन्दी में \u200dज़\u200c",
    "thai": "ภาษาไทยไม่มีช่องว่าง",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 👩🏽‍🚀 🇨🇭 1️⃣ ❤️‍🔥",
    "composed": unicodedata.normalize("NFC", "éÅñ ﬁ 가각"),
    "decomposed": unicodedata.normalize("NFD", "éÅñ ﬁ 가각"),
    "white space": " \t\u00a0\u3000\u2028\r\n \n\n  ",
    "directions": "abc \u202eעברית\u202c 123 \u2067مرحبا\u2069",
}
EVERYTHING = "".join(SAMPLES.values())
SPECIAL = ("<|author|>", "<|text|>")


@pytest.fixture(scope="module", params=["characters", "few characters", "bpe"])
def tokenizer(request) -> Tokenizer:
    texts = [EVERYTHING * 4, "plain text " * 50]
    if request.param == "bpe":
        return train_bpe(texts, 500, SPECIAL)
    return build_characters(texts, SPECIAL, 300 if request.param == "few characters" else None)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_script_comes_back(tokenizer, name):
    text = SAMPLES[name]
    tokens = tokenizer.encode(text)
    stream = tokenizer.stream()
    streamed = "".join([*(stream.feed(int(token)) for token in tokens), stream.close()])
    assert tokenizer.decode(tokens) == streamed == text
    assert tokenizer.byte_lengths[tokens].sum() == len(text.encode())


@given(parts=st.lists(st.sampled_from([*SAMPLES.values(), *SPECIAL, "<|endoftext|>"]), max_size=6), cut=st.data())
@settings(max_examples=80, deadline=None)
def test_any_mixture_comes_back_and_makes_no_special_token(tokenizer, parts, cut):
    text = "".join(parts)
    start = cut.draw(st.integers(0, len(text)))
    text = text[start : cut.draw(st.integers(start, len(text)))]
    tokens = tokenizer.encode(text)
    assert tokenizer.decode(tokens) == text
    assert not {int(token) for token in tokens} & set(tokenizer.special.values())


def test_a_saved_tokenizer_cuts_alike(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert again.special == tokenizer.special and again.kind == tokenizer.kind
    assert again.encode(EVERYTHING).tolist() == tokenizer.encode(EVERYTHING).tolist()


def test_a_limited_vocabulary_keeps_the_commonest_characters():
    tokenizer = build_characters(["明月" * 9 + "霜"], most=261)
    assert tokenizer.size == 261
    assert len(tokenizer.encode("明")) == 1 and len(tokenizer.encode("霜")) > 1
    assert tokenizer.decode(tokenizer.encode("明月霜龘")) == "明月霜龘"
