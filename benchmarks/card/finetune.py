"""Fine-tuning a model of SmolLM2's shape with random weights: tokens a second and peak memory beside transformers and peft.

Both sides take the same random rows of 1,024 tokens, the loss on every token, AdamW, clipping at 1, under autocast in bf16: a low-rank
change (rank 16, all matrices of the blocks), and all weights. Ours goes through the trainer, compiled as it is on a card by itself;
theirs is a plain loop.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from card import common
from card.common import row
from genwright.families.base import OptimizerSpec
from genwright.families.transformer.family import Transformer
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.networks.hugging_face import to_hf_config
from genwright.networks.lora import add_lora
from genwright.training.base import Settings
from genwright.training.trainer import Trainer

RANK, RATE = 16, 2e-4
BATCH, CONTEXT = 8, 1024
STEPS, WARM = 12, 4
SMALL = {"vocab_size": 128, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 32}  # fmt: skip
SHAPE = {"vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 64, "max_position_embeddings": CONTEXT}  # fmt: skip
MATRICES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
Step = Callable[[], Any]


class Rows:
    """Random rows, as `Batches`."""

    def __init__(self, config: DecoderConfig):
        generator = torch.Generator().manual_seed(0)
        shape = (2 * BATCH, config.max_position_embeddings + 1)
        self.rows = torch.randint(config.vocab_size, shape, generator=generator)
        self.pass_examples = len(self.rows)

    def batch(self, position: int, size: int) -> dict[str, torch.Tensor]:
        return {"tokens": self.rows[(torch.arange(size) + position) % len(self.rows)]}


def rows(options: Any) -> Iterator[dict[str, Any]]:
    device = common.device()
    config = DecoderConfig.model_validate({"model_type": "llama", **(SMALL if options.small else SHAPE)})
    for lora, title in ((True, f"LoRA r={RANK}"), (False, "all weights")):
        theirs, their_bytes = _measured(lambda lora=lora: _theirs(config, lora, device), config, device)
        ours, our_bytes = _measured(lambda lora=lora: _ours(config, lora, device), config, device)
        yield row(f"{title}: tokens a second", ours, "tokens/s", theirs, None if options.small else theirs)
        if device.type == "cuda":
            yield row(f"{title}: peak memory", our_bytes / 2**30, "GiB", their_bytes / 2**30, their_bytes / 2**30, lower=True)  # fmt: skip


def _measured(make: Callable[[], Step], config: DecoderConfig, device: torch.device) -> tuple[float, int]:
    """Tokens a second, and the most memory that a step takes once it is warm."""
    gc.collect()
    on_card = device.type == "cuda"
    if on_card:
        torch.cuda.empty_cache()
    step, times = make(), []
    for number in range(WARM + STEPS):
        if number == WARM and on_card:
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        step()
        if on_card:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    rate = BATCH * config.max_position_embeddings / statistics.median(times[WARM:])
    return rate, torch.cuda.max_memory_allocated() if on_card else 0


def _theirs(config: DecoderConfig, lora: bool, device: torch.device) -> Step:
    from transformers import LlamaConfig, LlamaForCausalLM

    with device:
        model: Any = LlamaForCausalLM(LlamaConfig(**to_hf_config(config)))
    if lora:
        from peft import LoraConfig, get_peft_model

        settings = LoraConfig(r=RANK, lora_alpha=2 * RANK, lora_dropout=0.0, target_modules=MATRICES, task_type="CAUSAL_LM")  # fmt: skip
        model = get_peft_model(model, settings)
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE if lora else RATE / 10, weight_decay=0.0, fused=True)
    batches, place = Rows(config), 0

    def step() -> None:
        nonlocal place
        tokens = batches.batch(place, BATCH)["tokens"].to(device)
        place += BATCH
        targets = tokens[:, 1:].contiguous()
        with torch.autocast(device.type, torch.bfloat16):
            loss = model(input_ids=tokens[:, :-1], labels=targets, shift_labels=targets).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _ours(config: DecoderConfig, lora: bool, device: torch.device) -> Step:
    torch.manual_seed(0)
    network = Decoder(config)
    if lora:
        add_lora(network, RANK)
    spec = OptimizerSpec(
        learning_rate=RATE if lora else RATE / 10, betas=(0.9, 0.999), warmup=0.0, decay=0.0, final=1.0
    )
    settings = Settings(batch=BATCH, precision="bf16", compile=device.type == "cuda")
    return Trainer(Transformer(network, None, spec), Rows(config), settings, device).take_step
