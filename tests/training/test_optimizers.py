"""A phase's optimizer against torch's own, its one-factor clipping, its state; the moving average by hand."""

import pytest
import torch
from torch import nn

from genwright.families.base import OptimizerSpec
from genwright.training.optimizers import Ema, PhaseOptimizer, swapped_in, trained_parameters


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(11, 8)
        self.body = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.words.weight

    def forward(self, x):
        return self.head(self.norm(self.body(self.words(x)).relu()))


def network(seed=0):
    torch.manual_seed(seed)
    return Network()


def loss(model, step):
    tokens = torch.randint(0, 11, (16,), generator=torch.Generator().manual_seed(step))
    return nn.functional.cross_entropy(model(tokens), (tokens + 1) % 11)


def optimizer(model, **changes):
    return PhaseOptimizer(OptimizerSpec(**changes), trained_parameters({"model": model}))


def test_adamw_equals_torchs():
    ours, theirs = network(), network()
    mine = optimizer(ours, learning_rate=0.01, weight_decay=0.3, clip_norm=None)
    torchs = torch.optim.AdamW(
        [
            {"params": [theirs.body.weight], "weight_decay": 0.3},
            {"params": [theirs.words.weight, theirs.body.bias, *theirs.norm.parameters()], "weight_decay": 0.0},
        ],
        betas=(0.9, 0.95),
    )
    for step in range(5):
        (loss(ours, step) * 6.0).backward()
        mine.step(0.5 if step > 2 else 1.0, total_weight=6.0)
        mine.zero_grad()
        assert all(p.grad is None for p in ours.parameters())
        loss(theirs, step).backward()
        for group in torchs.param_groups:
            group["lr"] = 0.005 if step > 2 else 0.01
        torchs.step()
        torchs.zero_grad()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize("matrix_rate", [None, 0.02])
def test_clipping_is_torchs_and_counts_every_parameter_once(matrix_rate):
    ours, theirs = network(), network()
    mine = optimizer(ours, matrix_learning_rate=matrix_rate, clip_norm=0.1)
    (loss(ours, 0) * 3.0).backward()
    gradients = {name: p.grad for name, p in ours.named_parameters()}
    norm = mine.step(1.0, total_weight=torch.tensor(3.0))
    loss(theirs, 0).backward()
    expected = nn.utils.clip_grad_norm_(theirs.parameters(), 0.1)
    assert expected > 0.1
    torch.testing.assert_close(norm, expected)
    torch.testing.assert_close(gradients["words.weight"], theirs.words.weight.grad)
    if mine.muon is not None:
        momentum = mine.muon.state_dict()["8x8"][0]
        assert theirs.body.weight.grad is not None
        torch.testing.assert_close(momentum, theirs.body.weight.grad * 0.05, atol=1e-7, rtol=1e-4)


def test_muon_steps_matrices_by_a_semi_orthogonal_update():
    model = network()
    before = model.body.weight.detach().clone()
    mine = optimizer(model, matrix_learning_rate=0.02)
    loss(model, 0).backward()
    mine.step(0.5)
    singular = torch.linalg.svdvals((before - model.body.weight.detach()) / 0.01)
    assert 0.85 < singular.max() < 1.2
    assert {key.split(".")[0] for key in mine.state_dict()} == {"adamw", "muon"}
    assert not any("body.weight" in key for key in mine.state_dict())


@pytest.mark.parametrize("matrix_rate", [None, 0.02])
def test_resumed_steps_are_bit_equal(matrix_rate):
    def run(model, mine, steps):
        for step in steps:
            loss(model, step).backward()
            mine.step(1.0)
            mine.zero_grad()

    straight = network()
    mine = optimizer(straight, matrix_learning_rate=matrix_rate)
    run(straight, mine, range(3))
    saved = {key: value.clone() for key, value in mine.state_dict().items()}
    weights = {key: value.clone() for key, value in straight.state_dict().items()}
    run(straight, mine, range(3, 6))
    resumed = network(seed=9)
    resumed.load_state_dict(weights)
    other = optimizer(resumed, matrix_learning_rate=matrix_rate)
    other.load_state_dict(saved)
    run(resumed, other, range(3, 6))
    for (name, a), b in zip(straight.named_parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b), name
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in mine.state_dict().items())


def test_state_of_other_parameters_is_refused():
    mine = optimizer(network(), matrix_learning_rate=0.02)
    with pytest.raises(ValueError, match="no parameter"):
        mine.load_state_dict({"adamw.model.other.weight.exp_avg": torch.zeros(1)})
    with pytest.raises(ValueError, match="other matrices"):
        mine.load_state_dict({"muon.3x3": torch.zeros(1, 3, 3)})
    frozen = network().requires_grad_(False)
    with pytest.raises(ValueError, match="requires a gradient"):
        optimizer(frozen)


def test_frozen_and_unused_parameters_stay():
    model = network()
    model.norm.requires_grad_(False)
    mine = optimizer(model, matrix_learning_rate=0.02)
    model.words(torch.tensor([1, 2])).sum().backward()
    norm_before, body_before = model.norm.weight.clone(), model.body.weight.detach().clone()
    mine.step(1.0)
    assert torch.equal(model.norm.weight, norm_before)
    assert torch.equal(model.body.weight.detach(), body_before)


def test_ema_by_hand_and_swapped_in():
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 1.0)
    networks = nn.ModuleDict({"model": layer})
    ema = Ema({"model": layer}, halflife=1.0, rampup=100.0)
    for step, value in enumerate((2.0, 3.0)):
        nn.init.constant_(layer.weight, value)
        ema.update(step)
    # 1 -> (1 + 2) / 2 = 1.5 -> (1.5 + 3) / 2 = 2.25
    with swapped_in(networks, {"model": ema.of("model")}):
        assert layer.weight.item() == pytest.approx(2.25)
    assert layer.weight.item() == 3.0
    other = Ema({"model": layer}, halflife=1.0)
    other.load_state_dict({key: value.clone() for key, value in ema.state_dict().items()})
    with swapped_in(networks, {"model": other.of("model")}):
        assert layer.weight.item() == pytest.approx(2.25)
    with pytest.raises(ValueError, match="other parameters"):
        other.load_state_dict({})


def test_ema_forgets_the_first_weights_early():
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 0.0)
    ema = Ema({"model": layer}, halflife=1000.0, rampup=0.05)
    nn.init.constant_(layer.weight, 1.0)
    ema.update(19)
    # 20 steps so far, a twentieth of them is one: the old average counts half
    assert ema.of("model")["weight"].item() == pytest.approx(0.5)
