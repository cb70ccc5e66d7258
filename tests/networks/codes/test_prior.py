"""The network of captions and codes: what each position may know, and that a cache changes nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from genwright.networks.codes.prior import CodePrior

WORDS, CAPTION, CODES, SIDE = 11, 5, 7, 3


def _network(caption: int = CAPTION, **more: float) -> CodePrior:
    torch.manual_seed(0)
    return CodePrior(WORDS, caption, CODES, SIDE, width=32, layers=2, **more).eval()


def _tokens(network: CodePrior) -> Tensor:
    torch.manual_seed(1)
    caption = network.read_as(torch.randint(2, WORDS, (2, network.caption)), torch.tensor([True, True]))
    return torch.cat([caption, network.as_tokens(torch.randint(0, CODES, (2, network.length - 1)))], 1)


def test_a_position_knows_what_stands_before_it_and_no_more():
    network = _network()
    tokens = _tokens(network)
    before = network(tokens)
    for place in (2, CAPTION, 9):
        changed = tokens.clone()
        changed[:, place] = network.as_tokens(torch.tensor(3)) if place >= CAPTION else 4
        changed[:, place] += changed[:, place] == tokens[:, place]
        after = network(changed)
        torch.testing.assert_close(after[:, :place], before[:, :place])
        assert not torch.allclose(after[:, place:], before[:, place:])


class _Everything:
    """A cache of one layer after another that keeps all there is."""

    def __init__(self) -> None:
        self.held: dict[int, tuple[Tensor, Tensor]] = {}

    def update(self, layer: int, k_BKTH: Tensor, v_BKTH: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        before = self.held.get(layer)
        both = (
            (k_BKTH, v_BKTH)
            if before is None
            else tuple(torch.cat(p, 2) for p in zip(before, (k_BKTH, v_BKTH), strict=True))
        )
        self.held[layer] = both  # type: ignore[assignment]
        new, there = k_BKTH.shape[2], both[0].shape[2]
        return *both, torch.ones(new, there, dtype=torch.bool).tril(there - new)  # type: ignore[return-value]


def test_code_by_code_it_is_the_same_as_whole():
    network, cache = _network(), _Everything()
    tokens = _tokens(network)
    whole = network(tokens)
    position = torch.arange(tokens.shape[1]).expand(2, -1)
    pieces = [network.following(tokens[:, :CAPTION], position[:, :CAPTION], cache)]
    for place in range(CAPTION, tokens.shape[1]):
        pieces.append(network.following(tokens[:, place : place + 1], position[:, place : place + 1], cache))
    torch.testing.assert_close(torch.cat(pieces, 1), whole)


def test_the_place_of_a_code_is_told_where_it_is_foretold():
    network = _network()
    places = network.places()
    assert len(places) == CAPTION + SIDE**2
    assert not places[: CAPTION - 1].any() and not places[-1].any()
    torch.testing.assert_close(places[CAPTION - 1 + 5], network.rows.weight[1] + network.columns.weight[2])


def test_words_that_were_left_out_are_closed_up_and_what_is_not_told_is_not_there():
    network = _network()
    caption = torch.tensor([[1, 0, 5, 0, 6], [1, 0, 5, 0, 6]])
    read = network.read_as(caption, torch.tensor([True, False]))
    assert read.tolist() == [[1, 5, 6, 0, 0], [WORDS] * 5]
    label = _network(caption=1)
    assert label.read_as(torch.tensor([[0], [3]]), torch.tensor([True, False])).tolist() == [[0], [WORDS]]


def test_words_and_codes_are_foretold_among_their_own_kind():
    network = _network()
    hidden = network(_tokens(network))
    assert network.word_logits(hidden).shape[-1] == WORDS + 1
    assert network.code_logits(hidden).shape[-1] == CODES


def test_in_learning_some_numbers_are_left_out():
    network = _network(dropout=0.5)
    tokens = _tokens(network)
    assert torch.equal(network(tokens), network(tokens))
    network.train()
    assert not torch.equal(network(tokens), network(tokens))
