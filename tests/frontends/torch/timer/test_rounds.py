"""Functions timed in turn, by a clock of the test's own."""

from __future__ import annotations

import itertools

import pytest

from convaudit.frontends.torch.timer.rounds import interleaved


class Machine:
    """Runs nothing: each function takes the next of its seconds, and the clock goes on by them."""

    def __init__(self, **seconds: list[float]) -> None:
        self.now = 0.0
        self.ran: list[str] = []
        self._seconds = {name: itertools.cycle(times) for name, times in seconds.items()}

    def stopwatch(self, function, calls):
        self.ran += [function()] * calls
        one = next(self._seconds[function()])
        self.now += one * calls
        return one

    def timed(self, seconds: float):
        functions = [lambda name=name: name for name in self._seconds]
        return interleaved(functions, self.stopwatch, seconds, lambda: self.now)


NOISE = [1.0, 1.6, 0.7, 1.3]


def test_every_other_round_is_in_reverse_order():
    machine = Machine(a=[1.0], b=NOISE)
    machine.timed(90)
    assert "".join(machine.ran[2:]).startswith("abbaab")


def test_it_stops_when_the_ratios_are_known():
    steady, noisy = Machine(a=[1.0], b=[3.0]), Machine(a=[1.0], b=NOISE)
    assert len(steady.timed(1e4)[0]) == 12 < len(noisy.timed(1e4)[0])


def test_it_stops_when_the_time_is_over_and_not_before_one_round():
    machine = Machine(a=[1.0], b=NOISE)
    assert 2 <= len(machine.timed(12)[0]) <= 6
    assert machine.now <= 12
    assert [len(taken) for taken in Machine(a=[5.0], b=[5.0]).timed(1)] == [1, 1]


def test_what_takes_long_is_run_in_half_of_the_rounds():
    short, long = (Machine(a=[scale], b=[scale * time for time in NOISE]).timed(99) for scale in (1e-3, 0.1))
    assert (len(short[0]), len(long[0])) == (32, 16)


def test_fewer_rounds_than_most_are_run_where_that_is_said():
    machine = Machine(a=[1e-3], b=[1e-3 * time for time in NOISE])
    names = [lambda name=name: name for name in "ab"]
    assert len(interleaved(names, machine.stopwatch, 99, lambda: machine.now, 8)[0]) == 8


def test_short_calls_come_in_blocks():
    machine = Machine(a=[1e-4], b=[1e-2])
    machine.timed(0.1)
    assert machine.ran.count("a") % 10 == 1
    assert machine.ran.count("b") < 10


def test_each_function_has_a_sample_in_every_round():
    one, two, three = Machine(a=NOISE, b=[2.0], c=NOISE[::-1]).timed(100)
    assert len(one) == len(two) == len(three)
    assert set(two) == {2.0}


@pytest.mark.parametrize("seconds", [0.0, 1e-12])
def test_a_call_that_takes_no_time_ends(seconds):
    Machine(a=[seconds]).timed(1e-6)
