"""Text in any encoding that can be told, and nothing that can't."""

from __future__ import annotations

import codecs
import random

import pytest

from genwright.ledger import Drop
from genwright.media.text import Decoded, decode, read

FRENCH = "Les élèves étaient à l’école — où ils mangeaient des gâteaux très sucrés. "
GERMAN = "Die Bäume stehen völlig grün über den Häusern, süß und schön. "
RUSSIAN = "Это русский текст, который написан для проверки определения кодировки. "
JAPANESE = "これは日本語の文章です。文字コードの判定を確かめるために、いくらか長い文を書いておく必要があります。"
CHINESE = "这是一段中文文本，用来检查编码检测是否正确工作。我们需要足够长的句子。"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", CHINESE),
        ("utf-8-sig", FRENCH),
        ("utf-16", JAPANESE),
        ("utf-32", RUSSIAN),
        ("cp1252", FRENCH * 3),
        ("latin-1", GERMAN * 3),
        ("cp1252", "Wie heißt du, 1?;Jörg, danke.\n" * 3),
        ("cp1251", RUSSIAN * 4),
        ("koi8-r", RUSSIAN * 4),
        ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy. " * 4),
        ("cp1254", "Türkçe bir metin yazıyorum; şu anda çok güzel bir gün ve İstanbul ışıl ışıl. " * 3),
        ("shift_jis", JAPANESE * 3),
        ("gb18030", CHINESE * 4),
    ],
)
def test_finds_the_encoding(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding)) == text


def test_a_few_accents_in_a_long_english_text_are_western() -> None:
    text = "Enter the King, with Æneas and the naïve Fool.\n" + "What say you, my good lord?\n" * 200
    assert decode(text.encode("latin-1")) == text


def test_line_ends_become_newlines() -> None:
    assert decode(b"one\r\ntwo\rthree\n") == "one\ntwo\nthree\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\x03" * 100,
        b"plain text with a NUL \x00 in it",
        "no mark".encode("utf-16-le"),
        codecs.BOM_UTF16_LE + b"a",
        bytes(random.Random(0).choices(range(32, 256), k=5000)),
        b"\x01\x02\x03\x04\x05\x06" * 50,
    ],
)
def test_what_is_no_text_is_dropped(data: bytes) -> None:
    dropped = decode(data)
    assert isinstance(dropped, Drop)
    assert dropped.reason == "undecodable"
    assert dropped.detail


def test_nothing_is_a_text_of_no_length() -> None:
    assert decode(b"") == ""


QUOTED = "\u201cI don\u2019t know,\u201d said the keeper, and the dog went on along the river to the old mill.\n"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (QUOTED.encode() * 20 + b"caf\xe9\n", QUOTED * 20 + "caf\ufffd\n"),
        (QUOTED.encode() + (b"The road went on past the mill. " * 40) + b"caf\xe9 na\xefve\n", None),
        ((GERMAN * 20 + "Ü").encode()[:-1], GERMAN * 20 + "\ufffd"),
        ((CHINESE * 3).encode()[:-1], CHINESE * 3),
        (codecs.BOM_UTF8 + FRENCH.encode() * 20 + b"\xe9", FRENCH * 20 + "\ufffd"),
        (b"The road went on past the mill, over the hill to the town. " * 20 + "…".encode()[:2], None),
    ],
)
def test_a_few_bad_bytes_never_change_the_other_letters(data: bytes, text: str | None) -> None:
    found = read(data)
    assert isinstance(found, Decoded)
    assert "not UTF-8" in found.remark
    if text is not None:
        assert found.text.rstrip("\ufffd") == text.rstrip("\ufffd。")
    assert found.text.replace("\ufffd", "") == data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "ignore")


def test_what_is_read_in_another_encoding_says_so() -> None:
    assert read((RUSSIAN * 4).encode("koi8-r")) == Decoded(RUSSIAN * 4, "read as koi8_r")
    assert read(QUOTED.encode()) == Decoded(QUOTED)


@pytest.mark.parametrize(
    ("comment", "encoding"),
    [("コメント: 値を返す", "shift_jis"), ("комментарий к строке", "cp1251"), ("中文注释，返回值", "gbk")],
)
def test_a_few_comments_in_much_code_are_read_in_their_own_encoding(comment: str, encoding: str) -> None:
    code = f"# {comment}\ndef value():\n    return 1\n" * 3 + "x = 1\n" * 2000
    assert decode(code.encode(encoding)) == code


@pytest.mark.parametrize("mark", ["<|endoftext|>", "\n</s>"])
def test_lines_that_end_a_text_elsewhere_are_told(mark: str) -> None:
    found = read(f"Once upon a time.{mark}\nAnother day.{mark}\n".encode())
    assert isinstance(found, Decoded)
    assert f"lines end in {mark.strip()}" in found.remark
    assert read(b"if text == '<|endoftext|>': <s>x</s>\n") == Decoded("if text == '<|endoftext|>': <s>x</s>\n")


def test_french_with_a_space_before_each_mark_is_western() -> None:
    line = "Remarquez que les archives normales, sans «\u00a0NotAutomatic: yes\u00a0», la valeur par défaut\u00a0: «\u00a0500\u00a0»\u00a0!\n"
    assert decode((line * 3).encode("latin-1")) == line * 3
