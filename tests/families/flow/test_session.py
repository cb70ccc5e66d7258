"""The flow at work: company changes nothing, guidance and what it leads away from, a picture to start from."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from genwright.engine.engine import Engine
from genwright.families.base import Between
from genwright.families.flow.options import Controls
from genwright.families.flow.session import BACK_FROM, FlowSession
from genwright.families.given import AGAINST, AS_IT_IS, START, Given

SHAPE = (1, 2, 2)


class Seen:
    """Foresees 0.5 z + condition where it is told, 0.5 z - 1 where not; notes what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[Tensor, Tensor]] = []

    def __call__(self, z_BX: Tensor, time_B: Tensor, until_B: Tensor, given: Given, told_B: Tensor) -> Tensor:
        self.calls.append((time_B, told_B))
        said = torch.where(told_B, given["condition"][:, 0].float(), -1.0)
        return 0.5 * z_BX + said.view(-1, 1, 1, 1)


def _session(predict: Any, conditional: bool = True) -> FlowSession:
    return FlowSession(16, SHAPE, torch.device("cpu"), predict, conditional)


def _given(value: float = 2.0, also: Given | None = None) -> Given:
    return {"condition": torch.tensor([value]), **(also or {})}


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _made(session: FlowSession, given: Given, seed: int = 0, **controls: Any) -> Tensor:
    asked = Controls.model_validate(controls)
    (data_X,) = Engine().submit(session, lambda s: s.start(given, _rng(seed), asked))
    return data_X


def _by_hand(guided: float, steps: int, seed: int = 0) -> Tensor:
    """Euler's steps by a clean picture of 0.5 z + 2, led away from 0.5 z - 1."""
    z = torch.randn(SHAPE, generator=_rng(seed))
    for number in range(steps):
        time = number / steps
        said = -1 + guided * (2 - -1)
        z = z + (0.5 * z + said - z) / (1 - time) / steps
    return z


@pytest.mark.parametrize("solver", ["leap", "euler", "heun"])
def test_the_last_step_arrives_at_what_is_foreseen(solver: str):
    """However many steps: of a network that is sure, everything is at the picture at once."""
    session = _session(lambda z, t, u, given, told: torch.full_like(z, 0.7))
    for steps in (1, 2, 7):
        torch.testing.assert_close(_made(session, _given(), steps=steps, solver=solver), torch.full(SHAPE, 0.7))


def test_guidance_of_one_is_the_prediction_for_the_words_alone():
    seen = Seen()
    torch.testing.assert_close(_made(_session(seen), _given(), steps=4, solver="euler", guidance=1), _by_hand(1, 4))
    assert all(told.all() and len(told) == 1 for _, told in seen.calls)


def test_guidance_leads_away_from_what_is_drawn_untold():
    seen = Seen()
    found = _made(_session(seen), _given(), steps=4, solver="euler", guidance=3)
    torch.testing.assert_close(found, _by_hand(3, 4))
    assert [told.tolist() for _, told in seen.calls] == [[True, False]] * 4


def test_without_words_there_is_nothing_to_guide_by():
    seen = Seen()
    _made(_session(seen, conditional=False), _given(), steps=3, guidance=3)
    assert all(len(told) == 1 for _, told in seen.calls)


def test_guidance_leads_away_from_what_is_asked_not_to_be_drawn():
    seen = Seen()
    away = _given(also={AGAINST + "condition": torch.tensor([-1.0])})
    found = _made(_session(seen), away, steps=4, solver="euler", guidance=3)
    torch.testing.assert_close(found, _by_hand(3, 4))  # led away from -1 too, but by words
    assert all(told.all() for _, told in seen.calls)
    same = _given(also={AGAINST + "condition": torch.tensor([2.0])})
    torch.testing.assert_close(_made(_session(seen), same, steps=4, solver="euler", guidance=3), _by_hand(1, 4))


def test_requests_at_different_steps_share_a_batch_and_come_out_as_alone():
    seen = Seen()
    session, engine = _session(seen), Engine()
    asked = [Controls.model_validate({"steps": steps, "guidance": g}) for steps, g in ((6, 1), (3, 2.5), (6, 4))]
    starts = [
        lambda s, seed=seed, controls=controls: s.start(_given(seed), _rng(seed), controls)
        for seed, controls in enumerate(asked)
    ]
    first = engine.submit(session, starts[0])
    for _ in range(2):
        engine.turn()  # the first is two steps ahead of the others
    outputs = [first, *(engine.submit(session, start) for start in starts[1:])]
    together = [next(output) for output in outputs]
    assert len(seen.calls) == 8  # 2 steps of the first alone, then 6 in company
    assert {len(set(times.tolist())) for times, _ in seen.calls} >= {2, 3}
    for seed, controls in enumerate(asked):
        alone = _made(_session(Seen()), _given(seed), seed, **controls.model_dump())
        torch.testing.assert_close(together[seed], alone)


def test_a_picture_to_start_from_is_changed_as_far_as_asked():
    picture = torch.full(SHAPE, 0.9)
    given = _given(also={START: picture})
    seen = Seen()
    _made(_session(seen), given, steps=10, strength=0.3, guidance=1)
    assert [round(times.item(), 3) for times, _ in seen.calls] == [0.7, 0.8, 0.9]
    kept = _session(lambda z, t, u, told_given, told: z)  # foresees what is there: the noisy picture stays as it was
    noise = torch.randn(SHAPE, generator=_rng())
    torch.testing.assert_close(_made(kept, given, strength=0.3), 0.3 * noise + 0.7 * picture)
    torch.testing.assert_close(_made(_session(Seen()), given, strength=1.0), _made(_session(Seen()), _given()))


def _gaussian(z_BX: Tensor, time_B: Tensor, until_B: Tensor, given: Given, told_B: Tensor) -> Tensor:
    """The clean data foreseen where data is normal around the condition, a third wide."""
    time, mean = time_B.view(-1, 1, 1, 1), given["condition"][:, 0].view(-1, 1, 1, 1)
    return mean + time / 9 / (time**2 / 9 + (1 - time) ** 2) * (z_BX - time * mean)


def _bridge(start: float, stop: float, picture: Tensor, **controls: Any) -> Tensor:
    also = {START: picture, AS_IT_IS + "condition": torch.tensor([start])}
    return _made(_session(_gaussian), _given(stop, also), **{"steps": 200, "solver": "heun", "guidance": 1, **controls})


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_back_and_forth_under_the_same_is_the_picture(strength: float):
    picture = torch.tensor([[[0.1, 0.5], [0.3, -0.2]]])
    again = _bridge(0.2, 0.2, picture, strength=strength)
    assert (again - picture).abs().max() < 3 * (1 - BACK_FROM)  # but for the noise that was mixed in first
    coarse = _bridge(0.2, 0.2, picture, strength=strength, steps=4)
    assert (coarse - picture).abs().max() > (again - picture).abs().max()


def test_back_under_one_and_forth_under_another_keeps_what_they_have_in_common():
    """From normal around 0.2 to normal around -0.6 of the same width the flow moves everything by the difference."""
    picture = torch.tensor([[[0.1, 0.5], [0.3, -0.2]]])
    assert (_bridge(0.2, -0.6, picture, strength=1.0) - (picture - 0.8)).abs().max() < 3 * (1 - BACK_FROM)
    half = _bridge(0.2, -0.6, picture, strength=0.5)
    assert (half < picture - 0.05).all() and (half > picture - 0.75).all()


def test_the_way_back_is_not_guided_and_goes_by_what_is_there():
    seen = Seen()
    also = {START: torch.zeros(SHAPE), AS_IT_IS + "condition": torch.tensor([5.0])}
    _made(_session(seen), _given(2.0, also), steps=4, strength=1.0, solver="euler", guidance=3)
    times = [round(time[0].item(), 3) for time, _ in seen.calls]
    back = [0.98, 0.735, 0.735, 0.49, 0.49, 0.245, 0.245, 0.0]  # each step by the directions at both of its ends
    assert times == [*back, 0.0, 0.25, 0.5, 0.75]
    assert [len(told) for _, told in seen.calls] == [1] * 8 + [2] * 4


def test_some_go_back_while_others_go_forth():
    picture = torch.full(SHAPE, 0.4)
    asked = Controls.model_validate({"steps": 6, "strength": 1.0, "solver": "heun", "guidance": 1})
    session, engine = _session(_gaussian), Engine()
    also = {START: picture, AS_IT_IS + "condition": torch.tensor([0.2])}
    starts = [_given(0.5), _given(-0.6, also), _given(0.1, also)]
    outputs = [engine.submit(session, lambda s, g=given: s.start(g, _rng(), asked)) for given in starts]
    for output, given in zip(outputs, starts, strict=True):
        torch.testing.assert_close(next(iter(output)), _made(_session(_gaussian), given, **asked.model_dump()))


def test_between_two_seeds_the_ends_are_the_seeds_own():
    session = _session(Seen())
    ends = [_made(session, _given(), seed) for seed in (4, 5)]
    for share, end in zip((0.0, 1.0), ends, strict=True):
        between = Between(_rng(4), _rng(5), share)
        state = session.start(_given(), between, Controls.model_validate({}))
        while not state.done:
            session.step([state])
        (data_X,) = state.emitted
        torch.testing.assert_close(data_X, end, rtol=1e-4, atol=1e-5)


def test_what_a_flow_makes_cannot_be_constrained():
    with pytest.raises(ValueError, match="constrained"):
        _session(Seen()).start(_given(), _rng(), Controls.model_validate({}), constraint=object())
