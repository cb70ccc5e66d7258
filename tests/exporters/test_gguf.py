"""GGUF: what was written is read back, and llama.cpp does with it what our model does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as Backend
from tokenizers import models as models_of_tokenizers
from tokenizers import trainers

from genwright import model_folder as models
from genwright.errors import RequestError, WorkError
from genwright.exporters.comparison import trials, words
from genwright.exporters.formats import export_as
from genwright.exporters.gguf import llama_cpp
from genwright.exporters.gguf.file import TYPES, permute, write_gguf
from genwright.exporters.gguf.tokenizer import read_vocabulary
from genwright.exporters.source import ModelReference, Source, source_of
from genwright.tokens.tokenizer import Tokenizer, build_characters
from genwright.weights.gguf_tokenizer import rebuild
from genwright.weights.opening import open_weights
from helpers.random_models import ARCHITECTURES, TEXT, text_folder, text_model, tokenizer

CPU = torch.device("cpu")
TEMPLATE = (
    "{{ bos_token }}{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def source(folder: Path) -> Source:
    return source_of(models.load(folder, CPU), folder, "small")


def read_back(file: Path) -> tuple[dict[str, Any], dict[str, gguf.ReaderTensor]]:
    reader = gguf.GGUFReader(file)
    return {name: field.contents() for name, field in reader.fields.items()}, {t.name: t for t in reader.tensors}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("kind", TYPES)
def test_every_weight_comes_back(architecture: str, kind: str, tmp_path: Path):
    folder = text_folder(tmp_path, architecture)
    made = source(folder)
    write_gguf(made, read_vocabulary(folder, made.config["vocab_size"]), kind, tmp_path / "x.gguf")
    keys, tensors = read_back(tmp_path / "x.gguf")
    assert keys["general.architecture"] == {"mistral": "llama"}.get(architecture, architecture)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, 2)
    extra = {"rope_freqs.weight"} if architecture == "llama" else set()
    assert len(tensors) == len(made.tensors) + len(extra)
    for name, expected in made.tensors.items():
        found = tensors[str(names.get_name(name, try_suffixes=(".weight", ".bias")))]
        value = gguf.dequantize(found.data, found.tensor_type).reshape(expected.shape)
        ours = expected.numpy()
        if architecture in ("llama", "mistral") and (".q_proj." in name or ".k_proj." in name):
            # Back from neighbouring pairs to halves, by hand: row (head, pair, which) to row (head, which, pair).
            heads = made.config["num_attention_heads" if ".q_proj." in name else "num_key_value_heads"]
            value = value.reshape(heads, -1, 2, value.shape[1]).swapaxes(1, 2).reshape(ours.shape)
        exact = kind == "f32" or ours.ndim == 1
        assert found.tensor_type.name == ("F32" if exact else kind.upper())
        step = 0.0 if exact else np.abs(ours).max() / (2000 if kind == "f16" else 127)
        assert np.abs(value - ours).max() <= step


def test_rows_of_a_head_are_put_side_by_side_in_pairs():
    rows = torch.arange(8.0)[:, None]  # one head of width 8: pairs (0, 4), (1, 5), ...
    assert permute(rows, 1)[:, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert permute(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_what_the_file_says_of_the_model(tmp_path: Path):
    facts = tokenizer(special=("<|im_start|>", "<|im_end|>"))
    facts.chat_template, facts.end_tokens = TEMPLATE, (facts.special["<|im_end|>"], facts.end_token)
    folder = text_folder(tmp_path, "qwen3", facts)
    made = source(folder)
    write_gguf(made, read_vocabulary(folder, facts.size), "f32", tmp_path / "x.gguf")
    keys, _ = read_back(tmp_path / "x.gguf")
    assert keys["qwen3.context_length"] == 128
    assert keys["qwen3.attention.key_length"] == 24
    assert keys["tokenizer.ggml.pre"] == "qwen2"
    assert keys["tokenizer.ggml.tokens"][facts.special["<|im_start|>"]] == "<|im_start|>"
    assert keys["tokenizer.ggml.token_type"][facts.special["<|im_start|>"]] == gguf.TokenType.CONTROL
    assert keys["tokenizer.ggml.eos_token_id"] == facts.special["<|im_end|>"]
    assert keys["tokenizer.ggml.eot_token_id"] == facts.end_token
    assert keys["tokenizer.chat_template"] == TEMPLATE
    assert (keys["general.license"], keys["general.description"]) == ("other", "A small model.")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_llama_cpp_writes_what_we_write(architecture: str, tmp_path: Path):
    text_folder(tmp_path, architecture)
    place, record = export_as(tmp_path, "gguf", tmp_path / "out")
    [found] = record.compared
    assert found.equal == found.tokens > 60
    assert found.texts == 5
    assert found.largest_difference is not None
    assert found.largest_difference < 1e-3
    assert {file.name for file in place.iterdir()} == {"export.json", "Modelfile", f"{tmp_path.name}-f32.gguf"}


def test_llama_cpp_reads_a_tokenizer_of_characters_and_quantised_weights(tmp_path: Path):
    text_folder(tmp_path, "qwen3", tokenizer("characters"))
    _, record = export_as(tmp_path, "gguf", kind="q8_0")
    [found] = record.compared
    assert found.texts == 5
    assert any("the next token is ours" in note for note in found.notes)
    assert found.largest_difference is not None
    assert 1e-3 < found.largest_difference < 3


def test_llama_cpp_reads_characters_of_ascii_alone(tmp_path: Path):
    """They need no merges, and llama.cpp takes no file without."""
    letters = "Once upon a time there was a small model that could read 3 books, 14 letters and 2026 lines of code.\n"
    text_folder(tmp_path, "qwen3", build_characters([letters]))
    _, record = export_as(tmp_path, "gguf", kind="f32")
    [found] = record.compared
    assert found.texts == 5
    assert found.equal == found.tokens > 60


def test_llama_cpp_renders_the_chat_template(tmp_path: Path):
    facts = tokenizer(special=("<|im_start|>", "<|im_end|>"))
    facts.chat_template, facts.end_tokens = TEMPLATE, (facts.special["<|im_end|>"],)
    text_folder(tmp_path, "qwen3", facts)
    _, record = export_as(tmp_path, "gguf")
    assert record.compared[0].conversations == 2


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_our_own_reader_finds_the_model_again(architecture: str, tmp_path: Path):
    folder = text_folder(tmp_path, architecture, rope_scaling=None)
    made = source(folder)
    write_gguf(made, read_vocabulary(folder, made.config["vocab_size"]), "f32", tmp_path / "x.gguf")
    found = open_weights(str(tmp_path / "x.gguf"))
    assert found.config.model_type == architecture
    assert found.tensors.names() == frozenset(made.tensors)
    for name, expected in made.tensors.items():
        torch.testing.assert_close(found.tensors.read(name), expected, rtol=0, atol=0)
    assert found.tokenizer.encode(TEXT).tolist() == tokenizer().encode(TEXT).tolist()


def sentencepiece() -> Tokenizer:
    """As Llama 2's: byte fallback, scores in place of merges, a space before every text."""
    backend = Backend(models_of_tokenizers.BPE())
    backend.train_from_iterator([TEXT.replace(" ", "▁")], trainers.BpeTrainer(vocab_size=400, show_progress=False))
    learned = [name for name, _ in sorted(backend.get_vocab().items(), key=lambda entry: entry[1])]
    pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    tokens = ["<unk>", "<s>", "</s>", *pieces, *learned]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * len(learned)
    keys = {
        "model": "llama",
        "tokens": tokens,
        "token_type": kinds,
        "scores": [0.0] * 259 + [-float(rank) for rank in range(len(learned))],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "unknown_token_id": 0,
    }
    return rebuild({f"tokenizer.ggml.{name}": value for name, value in keys.items()}, len(tokens), "x.gguf")


def test_llama_cpp_reads_a_tokenizer_of_sentencepiece(tmp_path: Path):
    facts = sentencepiece()
    text_folder(tmp_path, "mistral", facts, vocab_size=facts.size)
    place, record = export_as(tmp_path, "gguf")
    assert record.compared[0].texts == 5
    keys, _ = read_back(next(place.glob("*.gguf")))
    assert keys["tokenizer.ggml.model"] == "llama"
    assert keys["tokenizer.ggml.add_bos_token"] is True
    again = rebuild(keys, facts.size, "x.gguf")
    for text in (TEXT, "  two  spaces é 🦊"):
        assert again.encode(text).tolist() == facts.encode(text).tolist()


def test_other_weights_are_found_out(tmp_path: Path):
    folder = text_folder(tmp_path)
    made = source(folder)
    made.tensors["model.norm.weight"] = made.tensors["model.norm.weight"].flip(0)
    write_gguf(made, read_vocabulary(folder, made.config["vocab_size"]), "f32", tmp_path / "x.gguf")
    ours = ModelReference(models.load(folder, CPU))
    with pytest.raises(WorkError, match=r"the greedy output of llama\.cpp"):
        llama_cpp.compare(tmp_path / "x.gguf", trials(ours), words(ours), exact=True, threads=1)


def test_a_torn_file_is_found_out(tmp_path: Path):
    folder = text_folder(tmp_path)
    made, file = source(folder), tmp_path / "x.gguf"
    write_gguf(made, read_vocabulary(folder, made.config["vocab_size"]), "f32", file)
    file.write_bytes(file.read_bytes()[:-5000])
    ours = ModelReference(models.load(folder, CPU))
    with pytest.raises(WorkError, match=r"x\.gguf: llama\.cpp can't run it"):
        llama_cpp.compare(file, trials(ours), words(ours), exact=True, threads=1)


def test_without_llama_cpp_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text_folder(tmp_path)
    real = llama_cpp.find_spec
    monkeypatch.setattr(llama_cpp, "find_spec", lambda name: None if name == "xllamacpp" else real(name))
    _, record = export_as(tmp_path, "gguf")
    assert record.compared == []
    assert "xllamacpp" in record.not_compared[0]


def test_a_sliding_window_ends_the_context(tmp_path: Path):
    text_folder(tmp_path, "mistral", sliding_window=64)
    place, record = export_as(tmp_path, "gguf")
    keys, _ = read_back(next(place.glob("*.gguf")))
    assert keys["llama.context_length"] == 64
    assert "sliding window" in record.compared[0].notes[-1]


def test_a_tokenizer_that_gguf_has_no_words_for(tmp_path: Path):
    folder = text_folder(tmp_path)
    file = folder / "tokenizer.json"
    file.write_text(file.read_text().replace(r"\\p{N}", r"\\p{N}{2}"))
    with pytest.raises(RequestError, match=r"tokenizer\.json: splits text in a way that llama\.cpp has no name for"):
        read_vocabulary(folder, 500)


def test_a_tokenizer_of_another_model(tmp_path: Path):
    folder = text_folder(tmp_path)
    with pytest.raises(RequestError, match=r"belong to different models"):
        read_vocabulary(folder, 300)


def test_rows_that_no_token_has_are_marked_unused(tmp_path: Path):
    facts = tokenizer()
    text_folder(tmp_path, "qwen3", facts, vocab_size=facts.size + 12)
    place, _ = export_as(tmp_path, "gguf")
    keys, _ = read_back(next(place.glob("*.gguf")))
    assert keys["tokenizer.ggml.token_type"][-12:] == [gguf.TokenType.UNUSED] * 12


def test_a_model_that_has_no_name_for_its_own_size_is_no_source(tmp_path: Path):
    made = text_model()
    models.save(made, tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").write_text("{")
    with pytest.raises(RequestError, match=r"tokenizer\.json"):
        export_as(tmp_path, "gguf")
