"""What a sweep's rows say: costs at each number of groups, and which are dominated beyond the spread."""

from __future__ import annotations

from typing import Any

import pytest

from convaudit.analyzer.costs import layer_cost
from convaudit.records import LayerCost
from convaudit.records.timing import Samples, Sweep, Swept
from convaudit.timing import at_groups, better_groups, swept
from tests.networks import conv_layer
from tests.timing.made import around

LAYER = layer_cost(conv_layer("conv", 16, 16, (3, 3), (7, 7), padding=((1, 1), (1, 1)), groups=4, bias=True))


def sweep_of(seconds: dict[int, Samples], layer: LayerCost = LAYER, **rest: Any) -> Sweep:
    samples = Swept(seconds=seconds, kernels={1: "Conv (NCHWc)"}, **rest)
    return swept("net.onnx", layer, ["conv", "twin"], [4, 1, 2], samples)


def test_each_row_has_the_costs_of_its_groups():
    sweep = sweep_of({1: around(4.0), 2: around(2.0), 4: around(1.0)})
    assert [row.groups for row in sweep.rows] == [1, 2, 4]
    assert [row.macs for row in sweep.rows] == [16 * 16 * 9 * 49 // groups for groups in (1, 2, 4)]
    assert [row.params for row in sweep.rows] == [16 * 16 * 9 // groups + 16 for groups in (1, 2, 4)]
    assert [row.weight_bytes for row in sweep.rows] == [4 * row.params for row in sweep.rows]
    assert [row.promised for row in sweep.rows] == [1, 2, 4]
    assert [round(row.realised, 6) for row in sweep.rows] == [1, 2, 4]
    assert [row.current for row in sweep.rows] == [False, False, True]
    assert [row.kernel for row in sweep.rows] == ["Conv (NCHWc)", None, None]
    assert sweep.layers == ("conv", "twin")


@pytest.mark.parametrize("transposed", [False, True], ids=["convolution", "transposed"])
def test_costs_at_other_groups_are_those_of_a_layer_made_so(transposed):
    def made(groups: int) -> LayerCost:
        return layer_cost(conv_layer("conv", 8, 12, (3, 1), (5, 5), groups=groups, transposed=transposed))

    assert at_groups(made(4), 2) == made(2)


@pytest.mark.parametrize(
    ("four", "two", "dominator"),
    [
        pytest.param(1.4, 1.0, 2, id="slower"),
        pytest.param(0.9, 1.0, None, id="faster"),
        pytest.param(1.002, 1.0, None, id="within-the-spread"),
    ],
)
def test_a_row_is_dominated_by_one_that_saves_less_and_is_faster(four, two, dominator):
    sweep = sweep_of({1: around(4.0), 2: around(two), 4: around(four)})
    assert [row.dominated_by for row in sweep.rows] == [None, None, dominator]
    better = better_groups(sweep)
    assert (better.groups if better else None) == dominator


def test_the_fastest_of_the_better_ones_is_named():
    sweep = sweep_of({1: around(2.0), 2: around(1.0), 4: around(3.0)})
    assert [row.dominated_by for row in sweep.rows] == [None, None, 2]


def test_overlapping_intervals_decide_nothing_though_each_round_says_the_same():
    drifting = tuple(1 + 0.1 * i for i in range(12))
    sweep = sweep_of({1: drifting, 2: drifting, 4: tuple(1.05 * x for x in drifting)})
    assert sweep.rows[2].dominated_by is None


def test_few_rounds_decide_nothing():
    sweep = sweep_of({1: around(4.0, rounds=5), 2: around(1.0, rounds=5), 4: around(2.0, rounds=5)})
    assert sweep.rows[2].realised == pytest.approx(2)
    assert sweep.rows[2].dominated_by is None


@pytest.mark.parametrize(
    ("itself", "dominator"), [pytest.param(1.04, 2, id="quiet"), pytest.param(1.3, None, id="too-noisy")]
)
def test_a_noisy_machine_gives_no_verdict(itself, dominator):
    sweep = sweep_of(
        {1: around(4.0), 2: around(1.0), 4: around(1.2)}, itself=tuple(itself * x for x in around(1.2))
    )
    assert sweep.noise == pytest.approx(itself - 1)
    assert sweep.rows[2].dominated_by == dominator
    assert (sweep.too_noisy is None) == (dominator is not None)
    assert sweep.rows[2].realised_interval[0] < sweep.rows[2].realised / itself * 1.01


def test_a_difference_within_the_noise_decides_nothing():
    sweep = sweep_of(
        {1: around(4.0), 2: around(1.0), 4: around(1.04)}, itself=tuple(1.08 * x for x in around(1.04))
    )
    assert sweep.rows[2].dominated_by is None
    assert sweep.too_noisy is None


def test_rounds_that_do_not_pair_are_compared_by_their_medians():
    sweep = sweep_of({1: around(4.0), 4: around(2.0, rounds=9)}, itself=around(2.0, rounds=7))
    assert sweep.rows[2].realised == pytest.approx(2, rel=0.01)
    assert sweep.noise == pytest.approx(0, abs=0.01)


def test_what_was_not_measured_has_a_reason():
    sweep = sweep_of({1: (), 4: around(1.0)}, reasons={1: "its weight takes 3 GiB"})
    one, two, four = sweep.rows
    assert (one.seconds, one.realised, one.reason) == (None, None, "its weight takes 3 GiB")
    assert (two.seconds, two.reason) == (None, "it was not measured")
    assert (four.realised, four.reason) == (None, None)
    assert four.seconds == pytest.approx(1.0)
