"""A text model as a Hugging Face folder: what the model folder is already, compared in transformers.

vLLM, SGLang, TGI and whatever else reads such a folder go by `CONFIG_KEYS` and `GENERATION_KEYS`.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from genwright.console import track
from genwright.errors import WorkError
from genwright.exporters.comparison import (
    Comparison,
    Trial,
    Words,
    check_logits,
    compare_tokens,
    largest_difference,
)
from genwright.exporters.source import Source, read_json
from genwright.files import share

CONFIG_KEYS = (
    "architectures",
    "model_type",
    "torch_dtype",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "rope_parameters",
    "hidden_act",
    "tie_word_embeddings",
    "bos_token_id",
    "eos_token_id",
)
"""What vLLM asks config.json for, so that it has to guess nothing."""

GENERATION_KEYS = ("bos_token_id", "eos_token_id", "pad_token_id")
"""What it asks generation_config.json for."""

_WRITTEN = ("config.json", "adapter_config.json")
"""Files of the model folder that are written anew, or say what is no longer so: that it is a change of other weights."""

TYPES = {"f32": ("float32", torch.float32), "f16": ("float16", torch.float16)}


def write_folder(source: Source, kind: str, folder: Path) -> None:
    """The model folder once more, its weights stored as `kind`. Raises WorkError where a key that vLLM needs is missing."""
    name, dtype = TYPES[kind]
    for file in sorted(source.folder.iterdir()):
        if file.is_file() and file.suffix != ".safetensors" and file.name not in _WRITTEN:
            shutil.copyfile(file, folder / file.name)
    config = source.config | {"dtype": name, "torch_dtype": name}
    (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    tensors = {name: value.detach().cpu().to(dtype).contiguous() for name, value in source.tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    share(folder / "model.safetensors")
    if lacking := missing_keys(folder):
        raise WorkError(f"export: {folder.name} lacks {', '.join(lacking)}, which vLLM reads; report this as a bug.")


def missing_keys(folder: Path) -> list[str]:
    """Which of the keys that other runtimes go by are not there, each with its file's name."""
    lacking = []
    for name, keys in (("config.json", CONFIG_KEYS), ("generation_config.json", GENERATION_KEYS)):
        content = read_json(folder / name)
        lacking += [f"{name}: {key}" for key in keys if content.get(key) is None]
    return lacking


def compare(folder: Path, made: Sequence[Trial], told: Words, *, exact: bool, base: Path | None = None) -> Comparison:
    """Logits, greedy output, tokenizer and chat template in transformers beside ours; where the folder holds a change of the weights
    in `base`, in peft.

    Raises WorkError where they differ (logits and greedy output only where `exact`, which is so for f32).
    """
    # Before the import: its progress bars are no news to the user, and a folder on the disk needs no network.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers
    from transformers import GenerationConfig
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        theirs, tokenizer = _open(folder, base)
    finally:
        if bars:
            logging.enable_progress_bar()
    # Penalties and the like that a source asks for are no part of the model: ours is asked without them too.
    said = read_json(folder / "generation_config.json")
    ends = {name: said.get(name) for name in ("eos_token_id", "pad_token_id")}
    answers, worst = [], 0.0
    with torch.inference_mode():
        for trial in track(made, "compare in transformers", len(made)):
            read_1T = torch.tensor([[*trial.prompt, *trial.tokens]])
            logits_TV = theirs(read_1T).logits[0, len(trial.prompt) - 1 : -1]
            worst = max(worst, largest_difference(logits_TV, trial.logits_TV))
            prompt_1T = read_1T[:, : len(trial.prompt)]
            out_1T = theirs.generate(
                prompt_1T,
                attention_mask=torch.ones_like(prompt_1T),
                generation_config=GenerationConfig(max_new_tokens=len(trial.tokens), do_sample=False, **ends),
            )
            answers.append(out_1T[0, len(trial.prompt) :].tolist())
    if exact:
        check_logits(worst, made, "transformers")
    found = compare_tokens(made, answers, "transformers", transformers.__version__, exact=exact)
    found.largest_difference = worst
    found.texts = _compare_tokenizer(tokenizer, told.texts)
    found.conversations = _compare_template(tokenizer, told)
    return found


def _open(folder: Path, base: Path | None) -> tuple[Any, Any]:
    """Model and tokenizer as docs/weights.md has users open them. Raises WorkError where that fails."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        if base is None:
            return AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval(), tokenizer
        from peft import PeftModel

        plain: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        if len(tokenizer) > plain.get_input_embeddings().num_embeddings:
            plain.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", FutureWarning
            )  # what the two libraries ask of each other is no news to the user
            return PeftModel.from_pretrained(plain, str(folder)).eval(), tokenizer
    except (OSError, ValueError, RuntimeError, KeyError, IndexError) as error:
        raise WorkError(f"export: transformers can't open it ({str(error)[:200]}); report this as a bug.") from error


def _compare_tokenizer(tokenizer: Any, encoded: dict[str, list[int]]) -> int:
    for text, tokens in encoded.items():
        if tokenizer(text, add_special_tokens=False)["input_ids"] != tokens:
            raise WorkError(f"export: transformers tokenizes {text[:24]!r} differently from us; report this as a bug.")
        if tokenizer.decode(tokens, clean_up_tokenization_spaces=False) != text:
            raise WorkError(f"export: transformers does not turn the tokens of {text[:24]!r} back into it.")
    return len(encoded)


def _compare_template(tokenizer: Any, told: Words) -> int:
    """The same text, and the same tokens: those that a template writes between messages must not be taken apart."""
    for messages, text, tokens in told.conversations:
        if tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) != text:
            raise WorkError("export: transformers renders the chat template differently from us; report this as a bug.")
        theirs = tokenizer.apply_chat_template(messages, tokenize=True, add_generation_prompt=True, return_dict=False)
        if theirs != tokens:
            raise WorkError(
                "export: transformers turns a conversation into other tokens than we do; report this as a bug."
            )
    return len(told.conversations)
