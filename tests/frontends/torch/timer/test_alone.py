"""How the time is shared out among convolutions that are timed alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from convaudit.frontends.torch.timer import alone
from convaudit.frontends.torch.timer.alone import Bench, time_alone
from convaudit.frontends.torch.timer.observed import LoneCall
from convaudit.records.timing import LayerSamples


def call(channels: int, groups: int) -> LoneCall:
    return LoneCall(
        x=torch.empty(1, channels, 8, 8, device="meta"),
        device=torch.device("cpu"),
        weight=torch.empty(channels, channels // groups, 1, 1),
        bias=None,
        stride=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=groups,
        transposed=False,
        output_padding=(0, 0),
    )


class Schedule:
    """Times nothing: a round of each convolution takes what it is told, and the clock goes on by it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **rounds: float) -> None:
        self.now = 0.0
        self.turns: list[int] = []
        self._rounds = {int(name.strip("c")): seconds for name, seconds in rounds.items()}
        monkeypatch.setattr(alone, "time_one", self._time)

    def _time(self, one: LoneCall, bench: Bench, seconds: float) -> LayerSamples:
        channels = one.x.shape[1]
        self.turns.append(channels)
        number = min(32, max(0, int(seconds / self._rounds[channels])))
        self.now += number * self._rounds[channels]
        return LayerSamples(alone=(1.0,) * number)

    def run(
        self, calls: list[LoneCall], expected: dict[int, float], deadline: float
    ) -> dict[int, LayerSamples]:
        bench = Bench(stopwatch=lambda _run, _calls: 0.0, clock=lambda: self.now)
        return time_alone(dict(enumerate(calls)), expected, bench, deadline, lambda _layers: None)


def test_groups_come_first_and_of_these_what_is_short(monkeypatch):
    schedule = Schedule(monkeypatch, c8=0.1, c16=0.1, c32=0.1)
    schedule.run([call(8, 1), call(16, 4), call(32, 4)], {0: 1e-3, 1: 9e-3, 2: 1e-3}, 100.0)
    assert schedule.turns == [32, 16, 8]


def test_equal_convolutions_have_one_turn(monkeypatch):
    schedule = Schedule(monkeypatch, c8=0.1)
    found = schedule.run([call(8, 2)] * 3, {}, 100.0)
    assert schedule.turns == [8]
    assert found[0] is found[2]


def test_what_is_left_goes_to_those_with_few_rounds(monkeypatch):
    schedule = Schedule(monkeypatch, c8=0.01, c16=5.0)
    found = schedule.run([call(8, 1), call(16, 4)], {0: 1e-3, 1: 1e-6}, 100.0)
    assert schedule.turns == [16, 8, 16]
    assert len(found[1].alone) == 10  # 9 in its first turn
    assert schedule.now <= 100


def test_a_second_turn_with_fewer_rounds_is_not_taken(monkeypatch):
    schedule = Schedule(monkeypatch, c8=9.0)
    assert len(schedule.run([call(8, 2)], {}, 80.0)[0].alone) == 8


def test_calls_that_differ_in_memory_format_are_not_equal():
    first = call(8, 2)
    last = replace(first, x=torch.empty(1, 8, 8, 8, device="meta").to(memory_format=torch.channels_last))
    assert first.key != last.key
