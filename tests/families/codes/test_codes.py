"""Codes one after another: the loss by hand, and the sampler against the whole network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from genwright.engine.engine import Engine
from genwright.families.base import Moment, Reconstructs
from genwright.families.codes.family import Codes
from genwright.families.codes.options import Controls, Settings
from genwright.networks.codes.prior import CodePrior

WORDS, CAPTION, CODES, SIDE = 11, 4, 7, 3


class Halves:
    """Data of one number a row: the mean of its codes."""

    def encode(self, data_BX: Tensor) -> Tensor:
        return (data_BX * 2).long().expand(-1, SIDE**2)

    def decode(self, code_BT: Tensor) -> Tensor:
        return code_BT.float()


def _family(caption: int = CAPTION, conditional: bool = True, **settings: Any) -> Codes:
    torch.manual_seed(0)
    network = CodePrior(WORDS, caption, CODES, SIDE, width=32, layers=2, conditional=conditional).eval()
    for parameter in network.parameters():
        parameter.data *= 3  # so that words and codes matter
    return Codes(network, Halves(), Settings.model_validate(settings))


def _batch() -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(1)
    caption = torch.tensor([[1, 5, 6, 0], [1, 3, 0, 0], [1, 8, 4, 2]])
    return {"codes": torch.randint(0, CODES, (3, SIDE**2), generator=rng), "condition": caption}


def _nats(family: Codes, batch: dict[str, Tensor], told: list[bool]) -> Tensor:
    """Of each code, by one pass over each beginning of a row."""
    network = family.network
    caption, found = network.read_as(batch["condition"], torch.tensor(told)), []
    for place in range(SIDE**2):
        tokens = torch.cat([caption, network.as_tokens(batch["codes"][:, :place])], 1)
        logits = network.code_logits(network(tokens)[:, -1])
        found.append(torch.nn.functional.cross_entropy(logits, batch["codes"][:, place], reduction="none"))
    return torch.stack(found, 1)


@torch.no_grad()
def test_the_loss_is_what_each_code_costs_after_its_caption_and_those_before_it():
    family, batch = _family(), _batch()
    by_hand = _nats(family, batch, [True] * 3).mean().item()
    held_out = family.validate(batch, torch.Generator(), Moment())
    assert held_out is not None
    assert held_out.value.item() == pytest.approx(by_hand, rel=1e-5)
    assert held_out.weight == 3 * SIDE**2


@torch.no_grad()
def test_a_caption_counts_a_little_up_to_its_end():
    family, batch = _family(untold=0.0, text_weight=0.5), _batch()
    found = family.loss("model", batch, torch.Generator(), Moment())
    network = family.network
    logits = network.word_logits(network(batch["condition"])[:, :-1])
    nats = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), batch["condition"][:, 1:].flatten(), reduction="none"
    )
    nats = nats.view(3, -1)
    words = torch.cat([nats[0], nats[1, :2], nats[2]]).mean()  # the second one has ended before its last place
    assert found.parts["nats_per_word_token"].item() == pytest.approx(words.item(), rel=1e-5)
    assert found.value.item() == pytest.approx((found.parts["nats_per_code"] + 0.5 * words).item(), rel=1e-5)


@torch.no_grad()
def test_so_many_captions_are_kept_back():
    family, batch = _family(untold=0.3), _batch()
    many = {name: value.repeat(400, 1) for name, value in batch.items()}
    told, untold = (_nats(family, batch, [way] * 3).mean().item() for way in (True, False))
    assert abs(told - untold) > 0.05
    found = family.loss("model", many, torch.Generator().manual_seed(0), Moment()).parts["nats_per_code"].item()
    assert (found - told) / (untold - told) == pytest.approx(0.3, abs=0.06)


def _greedy(family: Codes, caption: Tensor, guidance: float, against: Tensor | None = None) -> list[int]:
    """By the whole network, anew for each code."""
    network, codes = family.network, list[int]()
    both = torch.stack([caption, caption if against is None else against])
    read = network.read_as(both, torch.tensor([True, against is not None]))
    for _ in range(SIDE**2):
        so_far = network.as_tokens(torch.tensor(codes, dtype=torch.int64)).expand(2, -1)
        wanted, other = network.code_logits(network(torch.cat([read, so_far], 1))[:, -1])
        codes.append(int((other + guidance * (wanted - other)).argmax()))
    return codes


@torch.no_grad()
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_cache_and_company_change_nothing(guidance: float):
    """Requests of other guidance and with words to lead away from, which join one after another."""
    family, captions = _family(), _batch()["condition"]
    session = family.open(4, family.Opening())
    asked = [
        ({"condition": captions[0]}, guidance, None),
        ({"condition": captions[1], "against.condition": captions[2]}, 2.0, captions[2]),
        ({"condition": captions[2]}, 1.0, None),
    ]
    states = []
    for given, scale, _ in asked:
        states.append(
            session.start(given, torch.Generator(), Controls.model_validate({"temperature": 0, "guidance": scale}))
        )
        for key in {state.batch_key for state in states}:
            session.step([state for state in states if state.batch_key == key])
    while waiting := [state for state in states if not state.done]:
        session.step(list(waiting))
    for state, (given, scale, against) in zip(states, asked, strict=True):
        assert state.emitted[0].tolist() == _greedy(family, given["condition"], scale, against)


def test_what_is_drawn_follows_from_the_seed_and_slots_come_back():
    family, captions = _family(), _batch()["condition"]
    session, engine, controls = family.open(2, family.Opening()), Engine(), Controls.model_validate({})

    def drawn(seeds: list[int]) -> list[list[int]]:
        given = {"condition": captions[0]}
        outputs = [
            engine.submit(session, lambda s, seed=seed: s.start(given, torch.Generator().manual_seed(seed), controls))
            for seed in seeds
        ]
        return [next(output).tolist() for output in outputs]

    together = drawn([1, 2, 3, 1, 4])  # more than there is room for at once
    assert together[0] == together[3] != together[1]
    assert drawn([4]) == [together[4]]


def test_where_there_is_nothing_to_tell_there_is_nothing_to_guide_by():
    family = _family(caption=1, conditional=False)
    session, given = family.open(1, family.Opening()), {"condition": torch.tensor([0])}
    found = []
    for guidance in (1.0, 8.0):
        state = session.start(
            given, torch.Generator(), Controls.model_validate({"temperature": 0, "guidance": guidance})
        )
        while not state.done:
            session.step([state])
        session.release(state)
        found.append(state.emitted[0].tolist())
    assert found[0] == found[1]


def test_the_best_that_codes_can_give_is_shown():
    family = _family()
    assert isinstance(family, Reconstructs)
    assert family.reconstruct(torch.tensor([[1.5]]), {}).tolist() == [[3.0] * SIDE**2]
