"""Steps over tiles: one field of noise, blended at each step, whatever the size; and only where something is to change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from genwright.tasks.image.tiles import Tiling, Turns, Work, noise, reflected

SIZE = 16


def _work(tiling: Tiling, foresee, changes: np.ndarray | None = None, worked: list[int] | None = None) -> Work:
    changes = np.ones((tiling.height, tiling.width), np.bool_) if changes is None else changes
    wanted = [tiling.touched(row, changes[row * tiling.stride :][:SIZE]) for row in range(tiling.rows)]
    across = torch.arange(tiling.padded_width)

    def look(first: int, count: int) -> Tensor:
        """Each pixel's own place."""
        return torch.stack(
            [torch.arange(first, first + count)[:, None].expand(-1, len(across)), across.expand(count, -1)]
        ).float()

    told = worked if worked is not None else []
    return Work(tiling, foresee, look, wanted, 3, torch.device("cpu"), told.append)


def _whole(tiling: Tiling, work: Work, steps: int = 1, seed: int = 0) -> Tensor:
    times = [step / steps for step in range(steps + 1)]
    bands = list(work.steps(noise(tiling, 2, torch.Generator().manual_seed(seed)), times, learned=True))
    return torch.cat(bands, 1)[:, : tiling.height, : tiling.width]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (16, 16), (17, 40), (100, 61)])
@pytest.mark.parametrize("steps", [1, 3])
def test_what_all_tiles_agree_on_comes_out_exactly(height: int, width: int, steps: int):
    tiling = Tiling(height, width, SIZE)
    found = _whole(tiling, _work(tiling, lambda z, beside, time, until: beside), steps)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    assert found.shape == (2, height, width)
    assert torch.allclose(found, torch.stack([rows, columns]).float(), atol=1e-3)


def test_where_tiles_disagree_one_goes_over_into_the_other():
    """Each tile foresees a constant of its own: neighbours differ by 1, and no two pixels beside each other by more than a ramp's step."""
    tiling = Tiling(16, 100, SIZE)

    def constant(z: Tensor, beside: Tensor, time: float, until: float) -> Tensor:
        return (beside[:, 1, :1, :1] // tiling.stride)[:, None].expand_as(z)

    row = _whole(tiling, _work(tiling, constant))[0, 8]
    assert row[0] == 0 and row[-1] == tiling.columns - 1
    steps = row.diff()
    assert (steps >= -1e-6).all() and steps.max() < 0.35


def test_tiles_agree_at_every_step_on_one_field():
    """Blended at each step, each of the later steps begins where all tiles agree: what they see of the noise is the same in the overlap."""
    tiling, seen = Tiling(16, 40, SIZE), {}

    def remember(z: Tensor, beside: Tensor, time: float, until: float) -> Tensor:
        for one, place in zip(z, beside, strict=True):
            seen[time, int(place[1, 0, 0])] = one
        return torch.tanh(3 * z + 0.1 * place[1, 0, 0])

    _whole(tiling, _work(tiling, remember), steps=2)
    overlap, stride = tiling.overlap, tiling.stride
    for time in (0.0, 0.5):
        assert torch.equal(seen[time, 0][..., -overlap:], seen[time, stride][..., :overlap])
    assert not torch.equal(seen[0.0, 0], seen[0.5, 0])


def test_only_tiles_that_touch_a_change_are_worked_on():
    tiling, worked = Tiling(64, 64, SIZE), []
    changes = np.zeros((64, 64), np.bool_)
    changes[30, 30] = True
    found = _whole(tiling, _work(tiling, lambda z, beside, time, until: beside, changes, worked))
    assert sum(worked) == 1 and found[0, 30, 30] == 30 and found[1, 30, 30] == 30
    assert tiling.rows * tiling.columns == 25


def test_bands_are_given_as_they_are_done():
    """The last rows are not worked on before the first are given out: memory does not go with the height."""
    tiling, rows = Tiling(400, 16, SIZE), []

    def remember(z: Tensor, beside: Tensor, time: float, until: float) -> Tensor:
        rows.append(int(beside[0, 0, 0, 0]))
        return z

    bands = _work(tiling, remember).steps(
        noise(tiling, 2, torch.Generator().manual_seed(0)), [0.0, 0.5, 1.0], learned=False
    )
    next(bands)
    assert max(rows) <= 2 * tiling.stride and tiling.rows > 20


def test_the_edge_is_mirrored_as_often_as_it_must():
    assert reflected(-2, 9, 3).tolist() == [2, 1, 0, 1, 2, 1, 0, 1, 2]
    assert reflected(0, 4, 1).tolist() == [0, 0, 0, 0]


def test_work_in_pieces_takes_turns():
    from genwright.engine.engine import Engine

    engine, session, order = Engine(), Turns(2), []

    def work(name: str, count: int):
        for number in range(count):
            order.append(name)
            yield number

    first = engine.submit(session, lambda s: s.start(work("a", 3)))
    second = engine.submit(session, lambda s: s.start(work("b", 2)))
    assert list(first) == [0, 1, 2] and list(second) == [0, 1]
    assert order == ["a", "b", "a", "b", "a"]
