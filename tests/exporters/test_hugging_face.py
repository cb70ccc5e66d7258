"""The Hugging Face folder: transformers does with it what our model does, and vLLM finds every key it asks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from genwright import model_folder as models
from genwright.errors import WorkError
from genwright.exporters.formats import export_as
from genwright.exporters.hugging_face import CONFIG_KEYS, GENERATION_KEYS, missing_keys, write_folder
from genwright.exporters.source import source_of
from genwright.tokens.chat_template import CHATML
from helpers.random_models import ARCHITECTURES, text_folder, tokenizer


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_transformers_writes_what_we_write(architecture: str, tmp_path: Path):
    text_folder(tmp_path, architecture)
    _, record = export_as(tmp_path, "hf")
    [found] = record.compared
    assert found.equal == found.tokens > 60
    assert found.texts == 5
    assert found.largest_difference is not None
    assert found.largest_difference < 1e-3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_key_that_vllm_reads_is_there(architecture: str, tmp_path: Path):
    folder = text_folder(tmp_path, architecture)
    config = json.loads((folder / "config.json").read_text())
    assert [key for key in CONFIG_KEYS if config.get(key) is None] == []
    assert config["architectures"][0].lower() == f"{architecture}forcausallm"
    assert config["rope_parameters"]["rope_theta"] == config["rope_theta"]
    generation = json.loads((folder / "generation_config.json").read_text())
    assert [key for key in GENERATION_KEYS if generation.get(key) is None] == []
    assert missing_keys(folder) == []


def test_a_missing_key_is_named_and_put_back(tmp_path: Path):
    folder = text_folder(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    del config["tie_word_embeddings"]
    (folder / "config.json").write_text(json.dumps(config))
    assert missing_keys(folder) == ["config.json: tie_word_embeddings"]
    made = source_of(models.load(folder, torch.device("cpu")), folder, "small")
    (tmp_path / "out").mkdir()
    write_folder(made, "f32", tmp_path / "out")
    assert missing_keys(tmp_path / "out") == []
    del made.config["tie_word_embeddings"]
    with pytest.raises(WorkError, match=r"out lacks config\.json: tie_word_embeddings"):
        write_folder(made, "f32", tmp_path / "out")


def test_conversations_become_the_same_tokens(tmp_path: Path):
    facts = tokenizer(special=("<|im_start|>", "<|im_end|>"))
    facts.chat_template, facts.end_tokens = CHATML, (facts.special["<|im_end|>"],)
    text_folder(tmp_path, "qwen3", facts)
    _, record = export_as(tmp_path, "hf")
    assert record.compared[0].conversations == 2


def test_half_precision(tmp_path: Path):
    text_folder(tmp_path)
    place, record = export_as(tmp_path, "hf", kind="f16")
    assert json.loads((place / "config.json").read_text())["torch_dtype"] == "float16"
    assert (place / "model.safetensors").stat().st_size < 0.6 * (
        tmp_path / "model" / "model.safetensors"
    ).stat().st_size
    difference = record.compared[0].largest_difference
    assert difference is not None
    assert 1e-4 < difference < 1
