"""Text written on a card, greedy, tokens a second beside transformers; and a large model alone, as a share of the speed of memory.

16 different prompts of 16 tokens, 128 tokens after each, reading the prompts included; TF32 is off. Ours is measured as it opens by
itself in that precision and with fused operations (--compile). transformers runs with its growing cache, and, as time allows, with its
static cache, which it compiles. A session's first round records its graphs, theirs compiles: neither counts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from card import common
from card.common import row
from genwright.engine.engine import Engine
from genwright.families.transformer.family import Transformer
from genwright.families.transformer.options import Controls, Opening
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.networks.hugging_face import to_hf_config

GOALS = {("bfloat16", 1): 2500.0, ("bfloat16", 16): 20_000.0, ("float32", 16): 10_000.0}
SHARE = 0.55
"""Of the speed at which memory is copied, for the large model alone."""
PROMPT = 16
ROUNDS, ROUNDS_S = 3, 6.0
_COMPILES_S = 60.0
"""What compiling transformers may take."""
Write = Callable[[int], None]
"""Writes so many tokens after each prompt."""


def rows(options: Any) -> Iterator[dict[str, Any]]:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    device, count = common.device(), 8 if options.small else 128
    family, ours = _family(_shape(options.small), device), {}
    peer = _peer(family, device)
    prompts = _prompts(family.network.config)
    for precision in ("bfloat16", "float32"):
        peer = peer.to(getattr(torch, precision))
        for together in (16, 1):
            some = prompts[:together]
            theirs = _rate(_transformers(peer, some, {}), count, together)
            for fused in (False, True) if device.type == "cuda" else (False,):
                rate = _rate(
                    _ours(family, some, Opening(weights=precision, compile=fused, speculate=False)), count, together
                )
                ours[precision, together] = max(rate, ours.get((precision, together), 0.0))
                goal = None if options.small or not fused else GOALS.get((precision, together))
                what = f"124M, {precision}, {together} together{', fused' * fused}"
                yield row(what, rate, "tokens/s", theirs, goal, peer="transformers, growing cache")
    yield from _large(options, device, count)
    for (precision, together), rate in ours.items():
        if common.left(options) > _COMPILES_S or options.small:
            peer = peer.to(getattr(torch, precision))
            theirs = _rate(_transformers(peer, prompts[:together], {"cache_implementation": "static"}), count, together)
            yield row(f"transformers, static cache, 124M, {precision}, {together} together", theirs, "tokens/s", rate, peer="Genwright")  # fmt: skip


def _large(options: Any, device: torch.device, count: int) -> Iterator[dict[str, Any]]:
    """1.1B parameters in bfloat16, one text: each token reads all matrices once."""
    family = _family(_shape(options.small, large=True), device)
    network = family.network
    matrices = sum(p.numel() for p in network.parameters() if p.ndim == 2)
    matrices -= 0 if network.lm_head is None else network.embed_tokens.weight.numel()
    copied = _copy_speed(device, options.small)
    for fused in (False, True) if device.type == "cuda" else (False,):
        write = _ours(family, _prompts(network.config)[:1], Opening(weights="bfloat16", compile=fused, speculate=False))
        rate = _rate(write, count, 1)
        goal = None if options.small or not fused else SHARE
        yield row(
            f"1.1B, bfloat16, alone{', fused' * fused}: share of memory's copying speed",
            rate * 2 * matrices / copied,
            "",
            None,
            goal,
            tokens_per_second=rate,
            copied_bytes_per_second=copied,
            matrices=matrices,
        )


def _shape(small: bool, large: bool = False) -> DecoderConfig:
    """GPT-2's 124M as our own models are built, or TinyLlama's."""
    ours = {"vocab_size": 50304, "hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12, "num_key_value_heads": 12, "head_dim": 64, "max_position_embeddings": 1024}  # fmt: skip
    tiny = {"model_type": "llama", "vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 64, "max_position_embeddings": 2048, "tie_word_embeddings": False}  # fmt: skip
    least = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 64}  # fmt: skip
    shape = tiny if large else ours
    return DecoderConfig.model_validate({**shape, **least} if small else shape)


def _family(config: DecoderConfig, device: torch.device) -> Transformer:
    """Random weights; no token ends a text, so that every side writes as many."""
    torch.manual_seed(0)
    with device:
        network = Decoder(config)
    return Transformer(network.eval(), None)


def _peer(family: Transformer, device: torch.device) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    with device:
        peer = Qwen3ForCausalLM(Qwen3Config(**to_hf_config(family.network.config))).eval()
    peer.load_state_dict(family.export_tensors(), strict=False)  # tied embeddings stand in it once
    peer.generation_config.eos_token_id = None
    return peer


def _prompts(config: DecoderConfig) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(1, config.vocab_size, (16, PROMPT), generator=generator).tolist()


def _ours(family: Transformer, prompts: list[list[int]], opening: Opening) -> Write:
    session, engine = family.open(len(prompts), opening), Engine()

    def write(count: int) -> None:
        for held in session.cache.tokens:
            held.clear()  # the prompts are read anew in each round, as the others do
        controls = Controls(temperature=0.0, max_tokens=count)
        texts = [
            engine.submit(session, lambda s, p=prompt: s.start(p, torch.Generator(), controls)) for prompt in prompts
        ]
        assert all(len(list(text)) == count for text in texts)

    return write


def _transformers(model: Any, prompts: list[list[int]], settings: dict[str, Any]) -> Write:
    token_BT = torch.tensor(prompts, device=model.device)
    mask_BT = torch.ones_like(token_BT)

    def write(count: int) -> None:
        with torch.inference_mode():
            made_BT = model.generate(token_BT, attention_mask=mask_BT, max_new_tokens=count, min_new_tokens=count, do_sample=False, pad_token_id=0, **settings)  # fmt: skip
        assert made_BT.shape[1] == PROMPT + count

    return write


def _rate(write: Write, count: int, together: int) -> float:
    """Tokens a second: the median of some rounds, after one that is not counted."""
    write(count)
    times: list[float] = []
    while not times or (len(times) < ROUNDS and sum(times) < ROUNDS_S):
        _wait()
        start = time.perf_counter()
        write(count)
        _wait()
        times.append(time.perf_counter() - start)
    return together * count / statistics.median(times)


def _copy_speed(device: torch.device, small: bool) -> float:
    """Bytes a second that a large copy reads and writes, the best of ten."""
    source = torch.zeros(2**20 if small else 2**30, dtype=torch.uint8, device=device)
    target, best = torch.empty_like(source), float("inf")
    for _ in range(10):
        _wait()
        start = time.perf_counter()
        target.copy_(source)
        _wait()
        best = min(best, time.perf_counter() - start)
    return 2 * source.numel() / best


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
