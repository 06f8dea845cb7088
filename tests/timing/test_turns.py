"""Two models in alternation: whose turn it is, when it ends, and what the turns say."""

from __future__ import annotations

import random

import pytest

from convaudit.records.timing import Timed
from convaudit.timing.turns import MOST_TURNS, in_turns, speedup
from tests.timing.made import around, close


class Stage:
    """A clock, and models that take time on it."""

    def __init__(self, **seconds: float) -> None:
        self.seconds, self.now = seconds, 0.0
        self.turns: list[str] = []
        self.budgets: set[float] = set()

    def clock(self) -> float:
        return self.now

    def timer(self, name: str):
        def time(budget: float) -> Timed:
            self.turns.append(name)
            self.budgets.add(budget)
            self.now += self.seconds[name]
            return Timed(layers=(), runs=(float(len(self.turns)),))

        return time

    def play(self, budget: float):
        return in_turns(self.timer("a"), self.timer("b"), budget, clock=self.clock)


def test_each_goes_first_in_every_other_turn():
    stage = Stage(a=0.1, b=0.1)
    first, second = stage.play(100.0)
    assert "".join(stage.turns) == "abbaabbaabbaabbaabba"
    assert len(first) == len(second) == MOST_TURNS
    assert [turn.runs[0] for turn in first[:3]] == [1, 4, 5]
    assert [turn.runs[0] for turn in second[:3]] == [2, 3, 6]


def test_what_goes_second_gains_nothing_by_it():
    """The same model twice, whichever is second 3 % faster: neither is."""
    second = [1 / 1.03, 1.03]
    ratios = [second[turn % 2] for turn in range(MOST_TURNS)]
    found = speedup([(ratio,) for ratio in ratios], [(1.0,)] * MOST_TURNS)
    assert found.value == pytest.approx(1, abs=0.001)
    assert found.interval[0] < 1 < found.interval[1]


def test_a_turn_leaves_time_to_make_sessions():
    stage = Stage(a=0.1, b=0.1)
    stage.play(9.0)
    assert list(stage.budgets) == [pytest.approx(0.18)]


@pytest.mark.parametrize(
    ("budget", "turns"),
    [pytest.param(10.0, 3, id="three"), pytest.param(0.1, 1, id="at-least-one")],
)
def test_turns_end_where_one_more_would_not_fit(budget, turns):
    stage = Stage(a=1.0, b=2.0)
    first, second = stage.play(budget)
    assert len(first) == len(second) == turns


def test_rounds_are_told():
    told: list[int] = []
    stage = Stage(a=1.0, b=1.0)
    in_turns(stage.timer("a"), stage.timer("b"), 5.0, done=told.append, clock=stage.clock)
    assert told == [1, 1]


def test_a_drift_over_turns_cancels():
    draw = random.Random(5)
    level = [1 + 0.2 * i for i in range(9)]
    before, after = (
        [tuple(x * k * (1 + 0.01 * draw.random()) for _ in range(12)) for x in level] for k in (3, 1)
    )
    found = speedup(before, after)
    assert found.sure
    assert found.spread < 0.01
    assert found.value == pytest.approx(3, rel=0.01)


def test_one_turn_that_was_disturbed_does_not_reach_the_interval():
    before, after = [around(2.0)] * 9, [around(1.0)] * 8 + [around(50.0)]
    found = speedup(before, after)
    assert (found.low, found.value, found.high) == (close(2), close(2), close(2))


def test_turns_without_samples_are_left_out():
    assert speedup([(), ()], [around(1.0)] * 2) is None
    assert speedup([around(1.0), ()], [around(2.0)] * 2).count == 1
