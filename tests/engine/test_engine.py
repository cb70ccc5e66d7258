"""The engine: requests join and leave between steps, in batches, each with its own fate."""

from __future__ import annotations

import pytest

from genwright.engine.engine import Engine
from genwright.families.base import State


class Counting:
    """A session that emits 0, 1, ... up to a request's length; `log` holds the states of each step."""

    def __init__(self, capacity: int):
        self.capacity = capacity
        self.log: list[list[int]] = []
        self.open_slots = 0
        self.lengths: dict[int, int] = {}
        self.fail_at: int | None = None

    def start(self, length: int, key: str = "") -> State:
        if length < 0:
            raise ValueError("negative")
        self.open_slots += 1
        state = State(batch_key=key, slot=len(self.lengths))
        self.lengths[len(self.lengths)] = length
        state.cost_bytes = 0
        return state

    def step(self, states: list[State]) -> None:
        self.log.append([s.slot for s in states if s.slot is not None])
        for state in states:
            if self.fail_at == state.cost_bytes:
                raise RuntimeError("broken step")
            state.emitted.append(state.cost_bytes)
            state.cost_bytes += 1
            state.done = state.cost_bytes >= self.lengths[state.slot or 0]

    def release(self, state: State) -> None:
        self.open_slots -= 1


def test_a_request_alone_gets_all_it_emits() -> None:
    session, engine = Counting(4), Engine()
    assert list(engine.submit(session, lambda s: s.start(3))) == [0, 1, 2]
    assert session.open_slots == 0


def test_requests_share_steps_and_leave_when_done() -> None:
    session, engine = Counting(4), Engine()
    streams = [engine.submit(session, lambda s, n=n: s.start(n)) for n in (1, 3)]
    assert list(streams[1]) == [0, 1, 2]
    assert list(streams[0]) == [0]
    assert session.log == [[0, 1], [1], [1]]


def test_a_late_request_joins_the_running_batch() -> None:
    session, engine = Counting(4), Engine()
    first = engine.submit(session, lambda s: s.start(4))
    assert next(first) == 0
    second = engine.submit(session, lambda s: s.start(2))
    assert list(second) == [0, 1]
    assert list(first) == [1, 2, 3]
    assert session.log[1] == [0, 1]


def test_waiting_beyond_capacity() -> None:
    session, engine = Counting(1), Engine()
    streams = [engine.submit(session, lambda s: s.start(2)) for _ in range(3)]
    assert [list(s) for s in streams] == [[0, 1]] * 3
    assert max(map(len, session.log)) == 1


def test_different_batch_keys_are_stepped_apart() -> None:
    session, engine = Counting(4), Engine()
    streams = [engine.submit(session, lambda s, k=k: s.start(1, k)) for k in ("a", "b")]
    assert [list(s) for s in streams] == [[0], [0]]
    assert session.log == [[0], [1]]


def test_hanging_up_frees_the_slot_before_the_next_step() -> None:
    session, engine = Counting(2), Engine()
    leaves = engine.submit(session, lambda s: s.start(100))
    stays = engine.submit(session, lambda s: s.start(3))
    next(leaves)
    leaves.close()
    assert session.open_slots == 1
    list(stays)
    assert session.log[-1] == [1]


def test_one_that_cannot_start_fails_alone() -> None:
    session, engine = Counting(2), Engine()
    bad = engine.submit(session, lambda s: s.start(-1))
    good = engine.submit(session, lambda s: s.start(2))
    with pytest.raises(ValueError, match="negative"):
        list(bad)
    assert list(good) == [0, 1]


def test_a_broken_step_fails_its_batch_and_frees_its_slots() -> None:
    session, engine = Counting(2), Engine()
    session.fail_at = 1
    stream = engine.submit(session, lambda s: s.start(3))
    assert next(stream) == 0
    with pytest.raises(RuntimeError, match="broken step"):
        next(stream)
    assert session.open_slots == 0


def test_an_iterator_closed_before_it_began_leaves_the_queue():
    engine, session = Engine(), Counting(1)
    first = engine.submit(session, lambda s: s.start(2))
    never = engine.submit(session, lambda s: s.start(5))
    never.close()
    assert list(first) == [0, 1]
    assert session.open_slots == 0 and not engine._waiting and not engine._running
