"""Small models and tokenizers of every known kind, made as their makers make them, and text that is hard on tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaTokenizer, PreTrainedTokenizerFast

from genwright.tokens.tokenizer import Tokenizer as Ours
from genwright.weights.tokenizers import read_tokenizer

TEXTS = [
    "To be, or not to be: that is the question.\n\nWhether 'tis nobler in the mind to suffer\nThe slings and arrows",
    "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。",
    "مرحبا بالعالم 123 456,789.00",
    "emoji: 🦊👩‍👩‍👧‍👦🇫🇷 and e\u0301 beside \u00e9",
    "  leading spaces\t\ttabs \r\n windows \n\n\n  three lines   ",
    "<|im_start|>user\nI am text</s><s><unk><|endoftext|><|eot_id|>",
    "def f(x):\n    return x ** 2  # don't we've it'll\n",
    "",
    " ",
    "a",
]
LEARN_FROM = [text * 3 for text in TEXTS] + ["the and that with 0123456789 nicht wahr " * 20]

_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
SPLITS = {
    "llama-bpe": _CONTRACTIONS + r"|\p{N}{1,3}|" + _TAIL,
    "qwen2": _CONTRACTIONS + r"|\p{N}|" + _TAIL,
}
SPECIAL = {
    "smollm": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "qwen2": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "llama-bpe": ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"],
}
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"


def byte_level(pre: str, vocabulary: int = 500) -> PreTrainedTokenizerFast:
    """A tokenizer as SmolLM2 ("smollm"), Qwen ("qwen2") or Llama 3 ("llama-bpe") have it, learned from the texts."""
    backend = Tokenizer(models.BPE(ignore_merges=pre == "llama-bpe"))
    if pre == "smollm":
        first = pre_tokenizers.Digits(individual_digits=True)
        backend.pre_tokenizer = pre_tokenizers.Sequence([first, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    else:
        split = pre_tokenizers.Split(Regex(SPLITS[pre]), behavior="isolated")
        rest = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([split, rest])
    if pre == "qwen2":
        backend.normalizer = normalizers.NFC()
    backend.decoder = decoders.ByteLevel()
    special = SPECIAL[pre]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[AddedToken(name, special=True, normalized=False) for name in special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(LEARN_FROM, trainer)
    if pre == "qwen2":
        backend.add_tokens([AddedToken("<tool_call>", normalized=False, special=False)])
    if pre == "llama-bpe":
        backend.post_processor = processors.TemplateProcessing(
            single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B", special_tokens=[("<|begin_of_text|>", 0)]
        )
    end = {"smollm": "<|im_end|>", "qwen2": "<|im_end|>", "llama-bpe": "<|eot_id|>"}[pre]
    begin = "<|begin_of_text|>" if pre == "llama-bpe" else None
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=begin,
        eos_token=end,
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def sentencepiece_model(folder: Path) -> Path:
    """A sentencepiece model with byte fallback, learned as Llama 2's was."""
    import sentencepiece

    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(LEARN_FROM), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=420,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        character_coverage=0.99,
        allow_whitespace_only_pieces=True,
        split_digits=True,
        minloglevel=2,
    )
    corpus.unlink()
    return folder / "tokenizer.model"


def tiny_model(kind: str, vocabulary: int, **changes: Any) -> Any:
    """A transformers model with random weights, large enough that a slip shows in the logits."""
    fields = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 64,
        "tie_word_embeddings": True,
        "eos_token_id": 2,
        "bos_token_id": None,
    } | changes
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **fields)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3, mean=1.0 if parameter.ndim == 1 else 0.0)
    return model


def tiny_folder(folder: Path, kind: str = "llama", pre: str = "smollm", **changes: Any) -> Any:
    """A whole Hugging Face folder; returns the model."""
    tokenizer = byte_level(pre)
    model = tiny_model(kind, len(tokenizer), **changes)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n", encoding="utf-8")
    return model


def theirs_of(kind, folder):
    """A saved tokenizer of a kind, as transformers reads it back."""
    if kind == "sentencepiece":
        theirs = LlamaTokenizer.from_pretrained(sentencepiece_model(folder).parent, legacy=True)
    else:
        theirs = byte_level(kind)
    theirs.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def ours_of(folder, theirs) -> Ours:
    return read_tokenizer(folder, "folder", {}, {}, len(theirs) + 7)
