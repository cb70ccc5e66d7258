"""A text model as an ONNX folder, laid out as transformers.js and Optimum expect, compared in onnxruntime.

onnx/model.onnx       the decoder with its cache (onnx_graph.py); onnx/model.onnx_data beside it where it is large
config.json tokenizer.json tokenizer_config.json generation_config.json chat_template.jinja
genai_config.json     what onnxruntime-genai reads
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from genwright.console import track
from genwright.errors import WorkError
from genwright.exporters.comparison import Comparison, Trial, Words, check_logits, compare_tokens, largest_difference
from genwright.exporters.onnx import graph as onnx_graph
from genwright.exporters.source import Source
from genwright.networks.decoder import DecoderConfig

LARGEST_BYTES = 1_500_000_000
"""A protobuf holds two gigabytes; above this the weights stand in a file beside it."""

_KEPT = (
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "chat_template.jinja",
    "README.md",
    "NOTICES.txt",
)


def write_folder(source: Source, config: DecoderConfig, ends: list[int], folder: Path) -> None:
    for name in _KEPT:
        if (source.folder / name).is_file():
            shutil.copyfile(source.folder / name, folder / name)
    file = folder / "onnx" / "model.onnx"
    file.parent.mkdir()
    size = sum(tensor.numel() * 4 for tensor in source.tensors.values())
    outside = size > LARGEST_BYTES
    onnx.save_model(
        onnx_graph.build(config, source.tensors),
        file,
        save_as_external_data=outside,
        all_tensors_to_one_file=True,
        location=f"{file.name}_data",
    )
    theirs = {key: value for key, value in source.config.items() if key != "genwright"}
    theirs["transformers.js_config"] = {"dtype": "fp32", "use_external_data_format": outside}
    _write(folder / "config.json", theirs)
    _write(folder / "genai_config.json", _genai(source.config, config, ends))


def compare(folder: Path, config: DecoderConfig, made: Sequence[Trial], threads: int) -> Comparison:
    """Reads each prompt at once and goes on token by token with the cache; then two prompts of unequal length as one batch.

    Raises WorkError where logits or greedy tokens are not ours.
    """
    import onnxruntime

    session = open_session(folder / "onnx" / "model.onnx", threads)
    answers, worst = [], 0.0
    for trial in track(made, "compare in onnxruntime", len(made)):
        step = Stepper(session, config, 1)
        logits_TV = step.read([trial.prompt])[0]
        rows, tokens = [logits_TV[-1]], [int(logits_TV[-1].argmax())]
        for forced in trial.tokens[:-1]:
            rows.append(step.read([[forced]])[0, -1])
            tokens.append(int(rows[-1].argmax()))
        # Ours are fed back, so that one tie does not make all that follows incomparable; tokens are what it would have chosen.
        worst = max(worst, largest_difference(torch.from_numpy(np.stack(rows)), trial.logits_TV))
        answers.append(tokens)
    check_logits(worst, made, "onnxruntime")
    found = compare_tokens(made, answers, "onnxruntime", onnxruntime.__version__, exact=True)
    found.largest_difference = max(worst, _compare_batch(session, config, made))
    check_logits(found.largest_difference, made, "onnxruntime (padded batch)")
    return found


def compare_genai(folder: Path, made: Sequence[Trial], told: Words) -> Comparison:
    """The same in onnxruntime-genai, which brings a tokenizer and a loop of its own and goes by genai_config.json.

    Raises WorkError where it can't load the folder, or its greedy output is not ours.
    """
    # Its names come from a compiled module, in which a type checker sees nothing.
    genai: Any = importlib.import_module("onnxruntime_genai")
    try:
        model = genai.Model(str(folder))
        tokenizer = genai.Tokenizer(model)
    except Exception as error:  # it raises bare exceptions
        raise WorkError(
            f"{folder}: onnxruntime-genai can't load it ({str(error)[:200]}); report this as a bug."
        ) from error
    answers = []
    for trial in track(made, "compare in onnxruntime-genai", len(made)):
        asked = genai.GeneratorParams(model)
        asked.set_search_options(do_sample=False, max_length=len(trial.prompt) + len(trial.tokens))
        generator = genai.Generator(model, asked)
        generator.append_tokens(np.array(trial.prompt, np.int32))
        while not generator.is_done():
            generator.generate_next_token()
        answers.append([int(token) for token in generator.get_sequence(0)[len(trial.prompt) :]])
    version = importlib.metadata.version("onnxruntime-genai")
    found = compare_tokens(made, answers, "onnxruntime-genai", version, exact=True)
    same = [text for text, tokens in told.texts.items() if list(tokenizer.encode(text)) == tokens]
    found.texts = len(same)
    found.notes += [f"{text[:24]!r} is tokenized differently" for text in told.texts.keys() - set(same)]
    return found


def open_session(file: Path, threads: int) -> Any:
    """Raises WorkError where onnxruntime refuses the graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise WorkError(f"{file}: onnxruntime can't load it ({str(error)[:200]}); report this as a bug.") from error


class Stepper:
    """A graph at work: feeds its cache back from step to step."""

    def __init__(self, session: Any, config: DecoderConfig, batch: int):
        self.session, self.names = session, onnx_graph.cache_names(config)
        empty = np.zeros((batch, config.num_key_value_heads, 0, config.head_dim), np.float32)
        self.cache = {past: empty for past, _ in self.names}
        self.mask = np.zeros((batch, 0), np.int64)

    def read(self, tokens: Sequence[Sequence[int]]) -> np.ndarray:
        """Read the next tokens of each row, rows padded on the left where they are shorter; logits B,T,V."""
        length = max(map(len, tokens))
        new = np.array([[0] * (length - len(row)) + [1] * len(row) for row in tokens], np.int64)
        self.mask = np.concatenate([self.mask, new], axis=1)
        position = np.maximum(self.mask.cumsum(axis=1) - 1, 0)[:, -length:]
        ids = np.array([[0] * (length - len(row)) + list(row) for row in tokens], np.int64)
        feed = {"input_ids": ids, "attention_mask": self.mask, "position_ids": position, **self.cache}
        logits, *present = self.session.run(["logits", *(new for _, new in self.names)], feed)
        self.cache = {past: value for (past, _), value in zip(self.names, present, strict=True)}
        return logits


def _compare_batch(session: Any, config: DecoderConfig, made: Sequence[Trial]) -> float:
    """The shortest and the longest prompt side by side, the shorter one padded: the largest difference from ours."""
    pair = [min(made, key=lambda t: len(t.prompt)), max(made, key=lambda t: len(t.prompt))]
    step = Stepper(session, config, len(pair))
    logits_BTV = step.read([trial.prompt for trial in pair])
    worst = 0.0
    for index in range(min(4, *(len(trial.tokens) for trial in pair))):
        for row, trial in enumerate(pair):
            worst = max(worst, largest_difference(torch.from_numpy(logits_BTV[row, -1]), trial.logits_TV[index]))
        logits_BTV = step.read([[trial.tokens[index]] for trial in pair])
    return worst


def _genai(theirs: dict[str, Any], config: DecoderConfig, ends: list[int]) -> dict[str, Any]:
    cache = {"past": "past_key_values.%d.", "present": "present.%d."}
    return {
        "model": {
            "type": config.model_type,
            "vocab_size": config.vocab_size,
            "context_length": config.max_position_embeddings,
            "bos_token_id": theirs.get("bos_token_id"),
            "eos_token_id": ends if len(ends) != 1 else ends[0],
            "pad_token_id": theirs.get("pad_token_id", ends[0] if ends else 0),
            "decoder": {
                "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
                "filename": "onnx/model.onnx",
                "hidden_size": config.hidden_size,
                "head_size": config.head_dim,
                "num_attention_heads": config.num_attention_heads,
                "num_key_value_heads": config.num_key_value_heads,
                "num_hidden_layers": config.num_hidden_layers,
                "inputs": {
                    "input_ids": "input_ids",
                    "attention_mask": "attention_mask",
                    "position_ids": "position_ids",
                    "past_key_names": f"{cache['past']}key",
                    "past_value_names": f"{cache['past']}value",
                },
                "outputs": {
                    "logits": "logits",
                    "present_key_names": f"{cache['present']}key",
                    "present_value_names": f"{cache['present']}value",
                },
            },
        },
        "search": {
            "do_sample": False,
            "max_length": config.max_position_embeddings,
            "min_length": 0,
            "num_beams": 1,
            "num_return_sequences": 1,
            "past_present_share_buffer": False,
            "repetition_penalty": 1.0,
            "temperature": 1.0,
            "top_k": 1,
            "top_p": 1.0,
        },
    }


def _write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
