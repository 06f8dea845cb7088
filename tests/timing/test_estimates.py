"""Intervals that hold what they claim, of samples that drift, burst and depend on each other."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from statistics import median

import pytest

from convaudit.timing.estimates import (
    Estimate,
    dependence,
    median_of,
    narrow_enough,
    paired_ratio,
    share_in_runs,
    unpaired_ratio,
)

Draw = Callable[[random.Random, int], list[float]]


def independent(draw: random.Random, count: int) -> list[float]:
    """Log-normal: skewed, as times are."""
    return [math.exp(draw.gauss(0, 0.05)) for _ in range(count)]


def dependent(draw: random.Random, count: int) -> list[float]:
    """Each is half of the one before: a machine that is slow stays so for a while."""
    level, samples = draw.gauss(0, 0.05), []
    for _ in range(count):
        samples.append(math.exp(level))
        level = 0.5 * level + math.sqrt(0.75) * draw.gauss(0, 0.05)
    return samples


def drifting(draw: random.Random, count: int) -> list[float]:
    """By 10 % there and back, from anywhere, beside 1 % of noise."""
    phase = draw.uniform(0, 2 * math.pi)
    return [1 + 0.05 * math.sin(phase + 2 * math.pi * i / count) + draw.gauss(0, 0.01) for i in range(count)]


def bursty(draw: random.Random, count: int) -> list[float]:
    """Another tenant takes the core for a few samples, which then take up to several times as long."""
    slow, samples = False, []
    for _ in range(count):
        slow = draw.random() < (0.7 if slow else 0.06)
        samples.append((1 + slow * abs(draw.gauss(0, 0.5))) * math.exp(draw.gauss(0, 0.01)))
    return samples


def coverage(of: Callable[[random.Random], Estimate | None], truth: float = 1.0, trials: int = 400) -> float:
    """How often the interval holds the truth."""
    draw = random.Random(1)
    estimates = [of(draw) for _ in range(trials)]
    return sum(found is not None and found.low <= truth <= found.high for found in estimates) / trials


@pytest.mark.parametrize("count", [8, 15, 40])
@pytest.mark.parametrize(
    ("draw", "least"),
    [
        pytest.param(independent, 0.95, id="independent"),
        pytest.param(dependent, 0.9, id="dependent"),
        pytest.param(drifting, 0.95, id="drifting"),
    ],
)
def test_the_interval_holds_the_median_as_often_as_it_claims(draw: Draw, least: float, count: int):
    assert coverage(lambda seed: median_of(draw(seed, count))) >= least


@pytest.mark.parametrize("count", [8, 15, 40])
@pytest.mark.parametrize("draw", [independent, dependent, drifting, bursty])
def test_a_layer_against_itself_is_1_within_its_interval(draw: Draw, count: int):
    assert coverage(lambda seed: paired_ratio(draw(seed, count), draw(seed, count))) >= 0.92


def test_what_slows_down_a_whole_round_cancels():
    draw = random.Random(2)
    slow = [1 + 0.5 * (i > 20) + 0.01 * i for i in range(40)]
    above, below = ([x * 2**k * math.exp(draw.gauss(0, 0.01)) for x in slow] for k in (1, 0))
    assert median_of(above).spread > 0.2
    assert paired_ratio(above, below).spread < 0.01
    assert not paired_ratio(above, below).excludes(2)


def test_an_independent_treatment_would_be_too_sure_of_drift():
    drift = [1 + 0.01 * i for i in range(40)]
    shuffled = random.Random(3).sample(drift, 40)
    assert (median_of(drift).low, median_of(drift).high) == (drift[0], drift[-1])
    assert median_of(shuffled).spread < median_of(drift).spread / 2


@pytest.mark.parametrize(
    ("count", "ranks"),
    [
        pytest.param(6, (1, 6), id="6"),
        pytest.param(9, (2, 8), id="9"),
        pytest.param(20, (6, 15), id="20"),
        pytest.param(100, (40, 61), id="100"),
    ],
)
def test_ranks_are_those_of_the_tables(count, ranks):
    """Conover, "Practical Nonparametric Statistics", 1999, section 3.2; Hoefler & Belli for 100."""
    samples = [float(1 + 37 * i % 101) for i in range(101) if 1 + 37 * i % 101 <= count]
    found = median_of(samples)
    assert dependence(samples, found.value) < 1.3
    assert (found.low, found.high) == pytest.approx(ranks, abs=1 if count == 100 else 0)


def test_many_samples_take_the_normal_approximation():
    draw = random.Random(4)
    found = median_of([draw.random() for _ in range(2000)])
    assert 0.4 < found.low < found.value < found.high < 0.6


@pytest.mark.parametrize("draw", [independent, bursty])
def test_to_stop_as_soon_as_it_is_narrow_costs_little(draw: Draw):
    def until_narrow(seed: random.Random) -> Estimate | None:
        above, below = ([x**0.3 for x in draw(seed, 25)] for _ in range(2))
        found = (paired_ratio(above[:count], below[:count]) for count in range(9, 26))
        return next((one for one in found if narrow_enough(one, least=9)), None) or paired_ratio(above, below)

    assert coverage(until_narrow, trials=200) >= 0.92


@pytest.mark.parametrize("count", [2, 5])
def test_the_interval_of_few_samples_is_their_range_and_no_verdict(count):
    found = median_of([1.0 + i for i in range(count)])
    assert (found.low, found.high) == (1, count)
    assert (found.sure, found.interval, found.excludes(1000)) == (False, None, False)
    assert found.spread > 0


def test_one_sample_has_no_spread():
    assert median_of([2.0]) == Estimate(value=2, low=2, high=2, count=1)
    assert median_of([2.0]).spread is None
    assert median_of([]) is None


def test_equal_samples_have_none_either():
    assert median_of([3e-6] * 50).spread == 0


def test_each_round_has_one_of_both():
    with pytest.raises(ValueError, match="zip"):
        paired_ratio([1.0, 2.0], [1.0])


def test_the_ratio_of_what_was_measured_apart_has_the_widest_interval():
    above = Estimate(value=6, low=5, high=8, count=9)
    below = Estimate(value=3, low=2, high=4, count=7)
    assert unpaired_ratio(above, below) == Estimate(value=2, low=5 / 4, high=4, count=7)
    assert unpaired_ratio(above, None) is None


def test_shares_add_up_whatever_part_of_a_run_is_disturbed():
    parts = [[1.0] * 9 for _ in range(3)]
    for run in range(6):  # most of the runs, each in another part of it
        parts[run % 3][run] = 50.0
    runs = [sum(seconds) for seconds in zip(*parts, strict=True)]
    assert sum(median(part) for part in parts) / median(runs) < 0.1
    assert sum(share_in_runs(part, runs) for part in parts) == pytest.approx(1)
    assert share_in_runs((1.0, 3.0), (4.0, 4.0)) == 0.5
    assert share_in_runs((1.0,), (4.0, 6.0)) == 0.2
    assert (share_in_runs((), (4.0,)), share_in_runs((1.0,), ())) == (None, None)


def test_a_factor_widens_in_both_directions():
    one = Estimate(value=1, low=0.9, high=1.2, count=8)
    for factor in (1.5, 1 / 1.5):
        widened = one.widened(factor)
        assert (widened.low, widened.high) == (pytest.approx(0.6), pytest.approx(1.8))


@pytest.mark.parametrize(
    ("half", "count", "enough"),
    [
        pytest.param(0.01, 12, True, id="narrow"),
        pytest.param(0.03, 12, False, id="wide"),
        pytest.param(0.0, 11, False, id="few"),
    ],
)
def test_a_timer_stops_where_the_interval_is_narrow(half, count, enough):
    found = Estimate(value=2, low=2 - 2 * half, high=2 + 2 * half, count=count)
    assert narrow_enough(found) == enough
    assert not narrow_enough(None)
