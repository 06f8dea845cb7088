"""Rounds within a budget of time, by a clock that the test turns."""

from __future__ import annotations

import pytest

from convaudit.errors import ExecutionError
from convaudit.frontends.onnx.timer.schedule import LEAST_ROUNDS, MOST_ROUNDS, Schedule, Task
from convaudit.timing import Estimate, median_of


class Fake:
    """Items whose rounds take a known time, and whose samples are known."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[Task] = []

    def clock(self) -> float:
        return self.now

    def task(
        self, seconds: float, *, samples: tuple[float, ...] = (1.0,), weight: float = 1.0, fails_at: int = -1
    ) -> Task:
        taken: list[float] = []

        def take() -> None:
            self.now += seconds
            if len(taken) == fails_at:
                raise ExecutionError("it broke")
            taken.append(samples[len(taken) % len(samples)])

        def estimate() -> Estimate | None:
            return median_of(taken)

        return Task(take=take, estimate=estimate, weight=lambda: weight)

    def run(self, tasks: list[Task], budget: float) -> None:
        Schedule(tasks, budget, self.clock, self.told.append).run()


@pytest.fixture
def fake() -> Fake:
    return Fake()


NOISY = (1.0, 2.0, 1.5)


def test_what_is_known_gets_no_more_rounds(fake):
    quiet, noisy = fake.task(1.0), fake.task(1.0, samples=NOISY)
    fake.run([quiet, noisy], 1000.0)
    assert (quiet.rounds, noisy.rounds) == (LEAST_ROUNDS, MOST_ROUNDS)
    assert [quiet.failure, noisy.failure] == [None, None]
    assert fake.told == [quiet, noisy]


def test_what_hardly_matters_gets_no_more_than_the_least(fake):
    large, small = fake.task(1.0, weight=1e6, samples=NOISY), fake.task(1.0, samples=NOISY)
    fake.run([large, small], 1000.0)
    assert (large.rounds, small.rounds) == (MOST_ROUNDS, LEAST_ROUNDS)


def test_the_budget_is_kept(fake):
    tasks = [fake.task(1.0, samples=NOISY) for _ in range(3)]
    fake.run(tasks, 50.0)
    assert fake.now <= 50.0
    assert all(LEAST_ROUNDS <= task.rounds <= 18 for task in tasks)


def test_what_does_not_fit_is_left_out_and_says_so(fake):
    first, second, last = (fake.task(1.0) for _ in range(3))
    fake.run([first, second, last], 21.0)
    assert first.rounds == second.rounds == LEAST_ROUNDS
    assert last.rounds < LEAST_ROUNDS
    assert (last.left_out, last.failure is None) == (True, False)
    assert "do not fit into the time budget; give more with --time-budget" in last.failure
    assert sorted(map(id, fake.told)) == sorted(map(id, [first, second, last]))


def test_what_takes_longer_than_it_seemed_ends_with_fewer_rounds(fake):
    task = fake.task(1.0)
    take = task.take

    def slower_and_slower() -> None:
        fake.now += task.rounds * 0.5
        take()

    task.take = slower_and_slower
    fake.run([task], 20.0)
    assert 6 <= task.rounds < LEAST_ROUNDS
    assert (task.failure, fake.told) == (None, [task])


def test_patience_ends_before_the_budget(fake):
    task = fake.task(1.0, samples=NOISY)
    Schedule([task], 1000.0, fake.clock, patience=0.5).run()
    assert LEAST_ROUNDS < task.rounds <= LEAST_ROUNDS * 1.5


def test_without_any_time_nothing_is_measured(fake):
    task = fake.task(1.0)
    fake.run([task], 0.0)
    assert (task.rounds, fake.told) == (0, [task])
    assert task.failure is not None


def test_a_slow_first_round_leaves_nothing_out(fake):
    task = fake.task(1.0)
    take = task.take

    def slow_at_first() -> None:
        fake.now += 1.0 if not task.rounds else 0.0
        take()

    task.take = slow_at_first
    fake.run([task], 12.0)
    assert (task.rounds, task.failure) == (LEAST_ROUNDS, None)


def test_what_fails_is_not_asked_again(fake):
    broken, whole = fake.task(1.0, fails_at=2), fake.task(1.0)
    fake.run([broken, whole], 100.0)
    assert (broken.rounds, broken.failure, broken.left_out) == (3, "it broke", False)
    assert (whole.rounds, whole.failure) == (LEAST_ROUNDS, None)
    assert fake.told == [broken, whole]
