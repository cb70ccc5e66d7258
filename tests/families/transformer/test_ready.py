"""What a batch is readied for before it goes to another device, and that it changes nothing."""

from __future__ import annotations

import torch

from genwright.families.base import Batch, Moment
from genwright.families.transformer.family import Transformer
from genwright.networks.attention import document_ends
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.training.stream import Stream

CONFIG = DecoderConfig(
    vocab_size=50,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    max_position_embeddings=16,
    initializer_range=0.4,
)


def test_what_is_readied_on_the_cpu_changes_no_loss() -> None:
    """Where documents end and which tokens count, for a device that would have to be waited for."""
    torch.manual_seed(0)
    family = Transformer(Decoder(CONFIG), 0)
    tokens = torch.randint(CONFIG.vocab_size, (3, 17))
    segments = torch.arange(16).expand(3, -1) // 6
    mask = (torch.rand(3, 16) < 0.5).float()
    for batch in ({"tokens": tokens, "mask": mask, "segments": segments}, {"tokens": tokens, "segments": segments}):
        ready = family.ready(batch)
        assert torch.equal(ready["ends"], document_ends(segments, even=True))
        assert "counted" not in ready or torch.equal(ready["counted"], mask.flatten().nonzero().squeeze(1))
        found, expected = (family.loss("model", one, torch.Generator(), Moment()) for one in (ready, batch))
        assert torch.equal(found.value, expected.value)
    assert family.ready({"tokens": tokens}).keys() == {"tokens"}


def test_a_row_whose_first_document_alone_counts_is_plain() -> None:
    torch.manual_seed(0)
    family = Transformer(Decoder(CONFIG), 0)
    mask = torch.ones(2, 16)
    mask[1, 12:] = 0
    batch = {"tokens": torch.randint(CONFIG.vocab_size, (2, 17)), "mask": mask, "segments": (mask == 0).int()}
    ready = family.ready(batch)
    assert "segments" not in ready and "ends" not in ready
    found, expected = (family.loss("model", one, torch.Generator(), Moment()) for one in (ready, batch))
    torch.testing.assert_close(found.value, expected.value)


class Counting:
    pass_examples = 100

    def batch(self, position: int, size: int) -> Batch:
        return {"x": torch.arange(position, position + size)}


def test_batches_are_readied_for_other_devices_alone() -> None:
    def ready(batch: Batch) -> Batch:
        return {**batch, "sum": batch["x"].sum()[None]}

    elsewhere, here = Stream(Counting(), torch.device("meta"), ready), Stream(Counting(), torch.device("cpu"), ready)
    found = [elsewhere.take(size) for size in (3, 3, 2)]
    elsewhere.close()
    assert [sorted(batch) for batch in found] == [["sum", "x"]] * 3
    assert [batch["x"].shape[0] for batch in found] == [3, 3, 2] and found[0]["x"].device.type == "meta"
    assert here.take(3).keys() == {"x"}
