"""Foreign tokenizers make the tokens that transformers makes, give back the text, and are read by transformers once saved."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer as Backend
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from genwright.errors import RequestError
from genwright.tokens.tokenizer import Tokenizer
from genwright.weights.gguf_tokenizer import rebuild
from genwright.weights.tokenizers import read_tokenizer, with_special
from helpers.weights_samples import TEMPLATE, TEXTS, byte_level, ours_of, sentencepiece_model, theirs_of

PRES = ("smollm", "qwen2", "llama-bpe")


def assert_equal(ours, theirs):
    """The same tokens, and the text that transformers makes of them: the text that went in, but for what it normalises away."""
    for text in TEXTS:
        expected = theirs(text, add_special_tokens=False, split_special_tokens=True).input_ids
        assert ours.encode(text).tolist() == expected, text
        back = theirs.decode(expected, clean_up_tokenization_spaces=False)
        assert ours.decode(expected) == back
        assert back == text or "e\u0301" in text or text.startswith(" ")
        stream = ours.stream()
        streamed = "".join(stream.feed(token) for token in expected) + stream.close()
        assert streamed == (f" {back}" if ours.adds_space and expected and streamed != back else back)


@pytest.mark.parametrize("kind", [*PRES, "sentencepiece"])
def test_tokens_and_text_equal_transformers(kind, tmp_path):
    theirs = theirs_of(kind, tmp_path)
    ours = ours_of(tmp_path, theirs)
    assert ours.kind == ("sentencepiece" if kind == "sentencepiece" else "byte_level")
    assert_equal(ours, theirs)
    assert ours.begin_tokens == tuple(theirs("a").input_ids[: -len(ours.encode("a"))])
    assert theirs.eos_token_id in ours.end_tokens
    assert ours.size == len(theirs) + 7
    assert ours.token_bytes[len(theirs) :] == [b""] * 7
    assert ours.dtype == np.uint16


@pytest.mark.parametrize("kind", [*PRES, "sentencepiece"])
def test_what_is_saved_is_read_by_transformers_and_by_us(kind, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    theirs = theirs_of(kind, tmp_path / "one")
    ours = ours_of(tmp_path / "one", theirs)
    ours.save(tmp_path / "two")
    again, theirs_again = Tokenizer.load(tmp_path / "two"), AutoTokenizer.from_pretrained(tmp_path / "two")
    assert_equal(again, theirs)
    assert_equal(ours, theirs_again)
    for name in ("end_token", "end_tokens", "begin_tokens", "size", "chat_template", "special", "foreign"):
        if name == "foreign":
            assert again.foreign.settings == ours.foreign.settings
        else:
            assert getattr(again, name) == getattr(ours, name)
    if kind != "sentencepiece":
        assert again.chat_template == TEMPLATE
        chat = [{"role": "user", "content": "hello"}]
        rendered = theirs_again.apply_chat_template(chat, tokenize=True)["input_ids"]
        assert rendered == theirs.apply_chat_template(chat, tokenize=True)["input_ids"]


def gguf_keys(theirs: PreTrainedTokenizerFast, pre: str) -> dict:
    """What a converter writes of a byte-level tokenizer into a GGUF file."""
    content = json.loads(theirs.backend_tokenizer.to_str())
    added = {token["id"]: token for token in content["added_tokens"]}
    vocabulary = content["model"]["vocab"] | {token["content"]: i for i, token in added.items()}
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    kinds = [1 if i not in added else 3 if added[i]["special"] else 4 for i in range(len(tokens))]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": [*tokens, "[PAD]"],
        "tokenizer.ggml.token_type": [*kinds, 5],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in content["model"]["merges"]],
        "tokenizer.ggml.eos_token_id": theirs.eos_token_id,
        "tokenizer.ggml.bos_token_id": theirs.bos_token_id,
        "tokenizer.ggml.add_bos_token": pre == "llama-bpe",
        "tokenizer.chat_template": TEMPLATE,
        "general.architecture": "qwen2" if pre == "qwen2" else "llama",
    }


@pytest.mark.parametrize("pre", PRES)
def test_byte_level_is_rebuilt_from_gguf_keys(pre, tmp_path):
    theirs = byte_level(pre)
    ours = rebuild(gguf_keys(theirs, pre), len(theirs) + 1, "file")
    assert_equal(ours, theirs)
    assert ours.begin_tokens == ((0,) if pre == "llama-bpe" else ())
    assert ours.end_tokens[0] == theirs.eos_token_id
    assert ours.chat_template == TEMPLATE
    ours.save(tmp_path)
    assert_equal(Tokenizer.load(tmp_path), AutoTokenizer.from_pretrained(tmp_path))


def test_sentencepiece_is_rebuilt_from_gguf_keys(tmp_path):
    import sentencepiece

    sentencepiece_model(tmp_path)
    model = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    ids = range(model.get_piece_size())
    kinds = [6 if model.is_byte(i) else 3 if model.is_control(i) else 2 if model.is_unknown(i) else 1 for i in ids]
    keys = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [model.id_to_piece(i) for i in ids],
        "tokenizer.ggml.scores": [model.get_score(i) for i in ids],
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    ours = rebuild(keys, len(kinds), "file")
    for text in TEXTS:
        assert ours.encode(text).tolist() == model.encode(text)
        assert ours.decode(model.encode(text)) == text
    assert ours.begin_tokens == (1,)
    assert ours.end_token == 2
    ours.save(tmp_path)
    assert_equal(Tokenizer.load(tmp_path), AutoTokenizer.from_pretrained(tmp_path))


def test_a_task_gets_the_special_tokens_it_needs(tmp_path):
    theirs = theirs_of("smollm", tmp_path)
    ours = read_tokenizer(tmp_path, "folder", {}, {}, len(theirs) + 1)
    more = with_special(ours, ["<|im_start|>", "<|fim_prefix|>", "<|fim_suffix|>"])
    assert more.special["<|im_start|>"] == theirs.convert_tokens_to_ids("<|im_start|>")
    assert [more.special["<|fim_prefix|>"], more.special["<|fim_suffix|>"]] == [len(theirs), len(theirs) + 1]
    assert more.size == len(theirs) + 2
    assert more.encode("<|fim_prefix|>").tolist() == theirs("<|fim_prefix|>").input_ids
    assert with_special(more, ["<|fim_prefix|>"]) is more


@pytest.mark.parametrize("kind", [*PRES, "sentencepiece"])
def test_tokens_that_only_the_settings_name_are_added_as_transformers_does(kind, tmp_path):
    before = theirs_of(kind, tmp_path)
    file, first = tmp_path / "tokenizer_config.json", len(before)
    settings = json.loads(file.read_text())
    flags = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False}
    added = {
        str(first): {"content": "<|answer|>", "special": True, **flags},
        str(first + 1): {"content": "<tool>", "special": False, **flags},
    }
    file.write_text(json.dumps(settings | {"added_tokens_decoder": added, "eos_token": "<|over|>"}))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    ours = read_tokenizer(tmp_path, "folder", {}, {}, first + 9)
    assert ours.special == {token.content: i for i, token in theirs.added_tokens_decoder.items() if token.special}
    assert ours.special["<|answer|>"] == first
    assert ours.end_tokens[0] == theirs.eos_token_id == first + 2
    assert ours.encode("<tool>").tolist() == theirs("<tool>", add_special_tokens=False).input_ids
    (tmp_path / "saved").mkdir()
    ours.save(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again.convert_tokens_to_ids(["<|answer|>", "<tool>", "<|over|>"]) == [first, first + 1, first + 2]
    file.write_text(json.dumps(settings | {"added_tokens_decoder": {str(first + 5): added[str(first)]}}))
    with pytest.raises(RequestError, match=rf"<\|answer\|> is token {first + 5} there and {first} in tokenizer.json"):
        read_tokenizer(tmp_path, "folder", {}, {}, first + 9)


def test_long_texts_are_cut_where_no_token_reaches_across(tmp_path, monkeypatch):
    monkeypatch.setattr("genwright.tokens.tokenizer._PIECE_CHARACTERS", 1000)
    theirs = theirs_of("smollm", tmp_path)
    ours = ours_of(tmp_path, theirs)
    text = "one\n\n two.\nthree \n four\n\nfive\n" * 1000
    assert ours.encode(text).tolist() == theirs(text).input_ids


def test_tokenizers_that_are_not_understood(tmp_path):
    theirs = theirs_of("smollm", tmp_path)
    with pytest.raises(RequestError, match="only 3 rows"):
        read_tokenizer(tmp_path, "folder", {}, {}, 3)
    keys = gguf_keys(theirs, "smollm")
    for change, message in (
        ({"tokenizer.ggml.model": "bert"}, "'bert'; known are gpt2 and llama"),
        ({"tokenizer.ggml.pre": "deepseek-coder"}, "deepseek-coder"),
        ({"tokenizer.ggml.tokens": None}, "no tokenizer"),
    ):
        with pytest.raises(RequestError, match=message):
            rebuild(keys | change, 600, "file")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(RequestError, match=r"folder/tokenizer\.json: can't be read"):
        read_tokenizer(tmp_path, "folder", {}, {}, 600)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(RequestError, match=r"has no tokenizer\.json"):
        read_tokenizer(tmp_path, "folder", {}, {}, 600)
    from tokenizers import models

    Backend(models.WordLevel({"a": 0}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(RequestError, match="would lose letters"):
        read_tokenizer(tmp_path, "folder", {"eos_token_id": 0}, {}, 600)
