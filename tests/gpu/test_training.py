"""Training on a card: what it computes, that no step waits for the card, that it is the same bits again, and where its memory ends."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from genwright.families.base import Batch
from genwright.families.gan.family import Gan
from genwright.families.gan.options import Settings as GanSettings
from genwright.families.transformer.cross_entropy import weighted_nats
from genwright.families.transformer.family import OPTIMIZER, Transformer
from genwright.families.vae.family import Vae
from genwright.families.vae.options import Settings as VaeSettings
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.networks.nats import NatsAndGradient, by_hand
from genwright.networks.resnet import Discriminator, Generator, PixelDistributions, Posterior, Prior
from genwright.networks.text_encoder import condition_encoder
from genwright.training import checkpoint, precision, saving
from genwright.training.base import Settings
from genwright.training.micro_batches import Cut
from genwright.training.trainer import Trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card"),
    pytest.mark.filterwarnings("ignore"),  # torch.compile itself uses what torch deprecates
]

CARD, CPU = torch.device("cuda"), torch.device("cpu")
FAMILIES = ("transformer", "gan", "vae")
CONFIG = DecoderConfig(
    vocab_size=8192,
    hidden_size=128,
    intermediate_size=256,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=2,
    head_dim=64,
    max_position_embeddings=256,
)


class Texts:
    """Rows of three documents, the last of which does not count."""

    pass_examples = 64

    def batch(self, position: int, size: int) -> Batch:
        rows = [np.random.default_rng(slot % 64).integers(0, 50, 257) for slot in range(position, position + size)]
        mask = torch.ones(size, 256)
        mask[:, 200:] = 0
        segments = torch.bucketize(torch.arange(256), torch.tensor([90, 200]), right=True).int().expand(size, -1)
        return {"tokens": torch.from_numpy(np.stack(rows)), "mask": mask, "segments": segments.contiguous()}


class Pictures:
    pass_examples = 64

    def batch(self, position: int, size: int) -> Batch:
        rows = [
            np.random.default_rng(slot % 64).integers(0, 256, (3, 16, 16)) for slot in range(position, position + size)
        ]
        data = torch.from_numpy(np.stack(rows)).float() / 127.5 - 1
        return {"data": data, "condition": torch.zeros(size, 1, dtype=torch.long)}


def encoder() -> Any:
    return condition_encoder("none", 0, 16)


def family(name: str) -> Any:
    torch.manual_seed(0)
    widths, blocks = [64, 64], [1, 1]
    if name == "transformer":
        return Transformer(Decoder(CONFIG), None)
    if name == "gan":
        made = (
            Generator(encoder(), widths, blocks, latent=8, patch=2),
            Discriminator(encoder(), widths, blocks, patch=2),
        )
        return Gan(*made, GanSettings.model_validate({}))
    decoder = PixelDistributions(Generator(encoder(), widths, blocks, latent=8, patch=2, channels=6))
    posterior = Posterior(encoder(), widths, blocks, latent=8, patch=2)
    return Vae(posterior, decoder, Prior(encoder(), 8), VaeSettings.model_validate({}))


def trainer(name: str, device: torch.device = CARD, folder: Path | None = None, **options: Any) -> Trainer:
    cut = {key: options.pop(key) for key in ("cuts", "write_cut") if key in options}
    settings = Settings(**{"steps": 12, "batch": 8, "checkpoint_every": 4, "precision": "bf16"} | options)
    return Trainer(family(name), Texts() if name == "transformer" else Pictures(), settings, device, folder, **cut)


def losses(made: Trainer, steps: int = 5) -> dict[str, float]:
    for _ in range(steps):
        made.take_step()
    return {name: value for name, value in made.window.take().items() if name.endswith("/loss")}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("how", ["fp32", "bf16", "fp16", "compiled"])
def test_a_card_loses_what_a_processor_does(name: str, how: str) -> None:
    options = {"precision": "bf16", "compile": True} if how == "compiled" else {"precision": how}
    if how == "compiled" and name == "gan":
        pytest.skip("its objective is not compiled")
    found = losses(trainer(name, **options))
    if name == "transformer":  # elsewhere noise is drawn on the device, and differs
        expected = losses(trainer(name, CPU, precision="fp32"))
        assert found == pytest.approx(expected, rel=1e-3 if how == "fp32" else 0.02)
    assert all(np.isfinite(value) for value in found.values())


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("compiled", [False, True])
def test_no_step_waits_for_the_card(name: str, compiled: bool) -> None:
    if compiled and name == "gan":
        pytest.skip("its objective is not compiled")
    made = trainer(name, compile=compiled)
    losses(made, 3)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        made.take_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
        made.stream.close()


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("compiled", [False, True])
def test_stopped_and_resumed_it_is_the_same_bits(name: str, compiled: bool, tmp_path: Path) -> None:
    if compiled and name == "gan":
        pytest.skip("its objective is not compiled")
    options = {"compile": compiled, "deterministic": True}
    with precision.deterministic(True):
        trainer(name, folder=tmp_path / "whole", **options).run()
        stopped = trainer(name, folder=tmp_path / "parts", **options)
        for _ in range(5):
            stopped.take_step()
        saving.save(stopped)
        stopped.stream.close()
        trainer(name, folder=tmp_path / "parts", **options).run()
    (weights, _), (again, _) = (
        checkpoint.read(checkpoint.all_in(tmp_path / place / "checkpoints")[0]) for place in ("whole", "parts")
    )
    assert all(torch.equal(value, again[key]) for key, value in weights.items())


def test_a_chunk_of_logits_compiled_for_the_card() -> None:
    torch.manual_seed(0)
    logits = (4 * torch.randn(300, 50304, device=CARD)).bfloat16()
    target, weight = torch.randint(50304, (300,), device=CARD), torch.rand(300, device=CARD)
    kernel = NatsAndGradient()
    kernel.compile()
    for rows in (300, 128):
        found = kernel.of(logits[:rows].clone(), target[:rows], weight[:rows])
        for a, b in zip(found, by_hand(logits[:rows].clone(), target[:rows], weight[:rows]), strict=True):
            torch.testing.assert_close(a, b, rtol=0.01, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_chunked_cross_entropy_in_small_numbers_is_near_that_of_fp64(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(9000, 64, device=CARD, requires_grad=True)
    matrix = (0.1 * torch.randn(2000, 64, device=CARD)).requires_grad_()
    target, weight = torch.randint(2000, (9000,), device=CARD), (torch.rand(9000, device=CARD) > 0.3).float()
    with torch.autocast("cuda", dtype):
        found = weighted_nats(hidden, matrix, target, weight, NatsAndGradient())
    plain = (F.cross_entropy(hidden.double() @ matrix.double().T, target, reduction="none") * weight).sum()
    torch.testing.assert_close(found.double(), plain, rtol=1e-3, atol=1e-3)
    gradients = torch.autograd.grad(found, (hidden, matrix))
    for a, b in zip(gradients, torch.autograd.grad(plain, (hidden, matrix)), strict=True):
        assert F.cosine_similarity(a.double().flatten(), b.double().flatten(), dim=0) > 0.999


def test_where_the_memory_ends_the_step_is_cut(tmp_path: Path) -> None:
    plan: list[Cut] = []
    big = {"batch": 512, "steps": 2, "checkpoint_every": 2}
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(CARD).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + 1.5 * 2**30) / whole))
    try:
        trainer("transformer", folder=tmp_path, write_cut=plan.append, **big).run()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert plan and plan[0].at == 0 and plan[-1].accumulate >= 2
    assert checkpoint.newest(tmp_path / "checkpoints") is not None


def test_muons_update_is_semi_orthogonal() -> None:
    """Muon's products are in bf16 on a card that has it; the update stays semi-orthogonal within its digits."""
    made = trainer("transformer", precision="fp32")
    before = made.family.network.layers[0].self_attn.o_proj.weight.detach().clone()
    spec = dataclasses.replace(OPTIMIZER, warmup=0.0)
    made.optimizers["model"].spec = spec
    made.take_step()
    change = (made.family.network.layers[0].self_attn.o_proj.weight.detach() - before).float()
    singular = torch.linalg.svdvals(change) / (spec.matrix_learning_rate or 1.0)
    assert 0.3 < float(singular.median()) < 1.6
