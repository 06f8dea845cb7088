"""What the samples of one layer mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from convaudit.analyzer.costs import layer_cost
from convaudit.formulas import symbol
from convaudit.records import LayerCost
from convaudit.records.timing import LayerSamples, Roofs, Timing
from convaudit.timing import falls_short, loses
from convaudit.timing.layers import bound_of, timing_of
from tests.networks import conv_layer
from tests.timing.made import around, close, layer_samples

GROUPED = layer_cost(conv_layer("grouped", 16, 16, (1, 1), (10, 10), groups=4, calls=2))
DENSE = layer_cost(conv_layer("dense", 16, 16, (1, 1), (10, 10)))
MACS = 16 * 4 * 100


def test_a_grouped_layer_has_all_its_numbers():
    samples = layer_samples(
        1.0, 3.0, in_model=around(2.6), reorders=2, reordering=around(0.4), itself=around(1.0, 0.0005)
    )
    timing = timing_of(GROUPED, samples, runs=around(10))
    assert timing.seconds == close(1)
    assert timing.dense_seconds == close(3)
    assert (timing.promised, timing.realised) == (4, close(3))
    assert timing.efficiency == close(0.75)
    assert timing.realised_interval[0] <= 3 <= timing.realised_interval[1]
    assert 0 < timing.spread < 0.01
    assert (timing.model_seconds, timing.model_share) == (close(1.3), close(0.26))
    assert timing.model_spread > 0
    assert (timing.reorders, timing.reorder_seconds) == (2, close(0.2))
    assert timing.macs_per_second == close(MACS)
    assert (timing.kernel, timing.dense_kernel, timing.reason) == ("Conv (NCHWc)", "Conv (NCHWc)", None)


def test_what_a_clock_of_whole_steps_tells_is_no_surer_than_a_step():
    sure, unsure = (
        timing_of(DENSE, LayerSamples(in_model=(9e-6,) * 50, step=step)).model_spread for step in (0.0, 1e-6)
    )
    assert sure == 0
    assert unsure == close(0.5 / 9)
    ratio = LayerSamples(in_model=(9e-6,) * 50, dense_in_model=(90e-6,) * 50, step=1e-6, dense_step=1e-6)
    assert timing_of(GROUPED, ratio).realised_interval == (close(9.0), close(91 / 9))


def test_a_dense_layer_promises_nothing():
    timing = timing_of(DENSE, layer_samples(1.0))
    assert (timing.promised, timing.realised, timing.efficiency, timing.dense_seconds) == (None,) * 4
    assert timing.seconds == close(1)


def test_nothing_measured_is_nothing_but_the_reason():
    timing = timing_of(GROUPED, LayerSamples(reason="its twin takes 3 GiB"))
    assert timing == Timing(promised=4, reason="its twin takes 3 GiB")


def test_realised_is_as_uncertain_as_the_layer_against_itself():
    quiet = timing_of(GROUPED, layer_samples(1.0, 3.0))
    noisy = timing_of(GROUPED, layer_samples(1.0, 3.0, itself=around(1.06)))
    assert noisy.realised == quiet.realised
    assert noisy.realised_interval[0] == close(quiet.realised_interval[0] / 1.06)
    assert noisy.realised_interval[1] == close(quiet.realised_interval[1] * 1.06)


@pytest.mark.parametrize(
    ("calls", "reason"), [(None, "how often a run calls it is unknown"), (symbol("n"), "how often")]
)
def test_the_time_of_one_call_needs_their_number(calls, reason):
    timing = timing_of(replace(GROUPED, calls=calls), layer_samples(1.0, 3.0), runs=(4.0,))
    assert (timing.model_seconds, timing.model_share) == (None, close(0.25))
    assert reason in timing.reason


@pytest.mark.parametrize(
    ("rounds", "reason"),
    [
        pytest.param(1, "one sample: its spread is unknown", id="one"),
        pytest.param(4, "4 rounds are too few for a 95 % interval: the spread is their range", id="few"),
    ],
)
def test_few_rounds_say_so(rounds, reason):
    samples = LayerSamples(alone=around(1, rounds=rounds), dense=around(3, rounds=rounds))
    timing = timing_of(GROUPED, samples)
    assert timing.realised == close(3)
    assert (timing.realised_interval, timing.reason) == (None, reason)
    assert (timing.spread is None) == (rounds == 1)
    assert not falls_short(timing)


def test_times_of_two_networks_from_files_are_not_of_the_layer_alone():
    timing = timing_of(GROUPED, LayerSamples(in_model=(2.0,), dense_in_model=(5.0,)))
    assert (timing.seconds, timing.dense_seconds, timing.spread) == (None, None, None)
    assert (timing.model_seconds, timing.realised) == (1, 2.5)
    assert timing.macs_per_second == MACS
    assert timing.reason == (
        "realised is of two runs, of the model and of its twin, not of the layers in turn; "
        "one sample: its spread is unknown"
    )


def test_rounds_that_do_not_pair_are_compared_by_their_medians():
    timing = timing_of(GROUPED, LayerSamples(alone=around(1), dense=around(3, rounds=9)))
    assert timing.realised == pytest.approx(3, rel=0.01)


BYTES = 4 * (16 * 4 + 2 * 1600)


@pytest.mark.parametrize(
    ("seconds", "peak", "bandwidth", "bound"),
    [
        pytest.param(1.0, MACS, 100 * BYTES, "compute", id="compute"),
        pytest.param(1.0, 100 * MACS, BYTES, "memory", id="memory"),
        pytest.param(1.98, MACS, BYTES, "compute", id="half-is-explained"),
        pytest.param(2.02, MACS, BYTES, "overhead", id="less-than-half-is-explained"),
        pytest.param(0.1, 100 * MACS, BYTES, "memory", id="beats-the-roof-from-a-cache"),
    ],
)
def test_the_bound_is_the_higher_roof_if_it_explains_half_of_the_time(seconds, peak, bandwidth, bound):
    roofs = Roofs(macs_per_second={"float32": peak}, bytes_per_second=bandwidth)
    assert bound_of(GROUPED, seconds, roofs) == bound
    assert timing_of(GROUPED, layer_samples(seconds), roofs=roofs).bound == bound


@pytest.mark.parametrize(
    ("changes", "seconds", "peaks"),
    [
        pytest.param({}, None, {"float32": 1.0}, id="seconds"),
        pytest.param({}, 1.0, {"float16": 1.0}, id="roof"),
        pytest.param({"macs": None}, 1.0, {"float32": 1.0}, id="macs"),
        pytest.param({"activation_bytes": symbol("n")}, 1.0, {"float32": 1.0}, id="bytes"),
    ],
)
def test_the_bound_of_what_is_unknown_is_unknown(changes: dict[str, Any], seconds, peaks):
    layer: LayerCost = replace(GROUPED, **changes)
    assert bound_of(layer, seconds, Roofs(macs_per_second=peaks, bytes_per_second=1.0)) is None
    assert bound_of(GROUPED, 1.0, None) is None


def test_no_bound_is_told_within_the_spread():
    roofs = Roofs(macs_per_second={"float32": MACS}, bytes_per_second=BYTES)
    timing = timing_of(GROUPED, LayerSamples(alone=(1.0, 3.0) * 6), roofs=roofs)
    assert (timing.bound, timing.reason) == (None, "what bounds it is not known within the spread")
    in_model = LayerSamples(in_model=around(6.0))  # of two calls
    assert timing_of(GROUPED, in_model, roofs=roofs).bound == "overhead"
    waited = timing_of(GROUPED, in_model, roofs=roofs, busy=0.25)
    assert (waited.bound, waited.reason) == (None, "what bounds it is not known within the spread")
    assert waited.model_spread == pytest.approx(3 / 8, rel=0.02)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"macs": symbol("n")}, "its sizes are open, so what bounds it is unknown", id="sizes"),
        pytest.param({"dtype": "bfloat16"}, "no roof of bfloat16 products was measured", id="roof"),
    ],
)
def test_what_has_no_bound_says_why(changes: dict[str, Any], reason):
    roofs = Roofs(macs_per_second={"float32": MACS}, bytes_per_second=BYTES)
    timing = timing_of(replace(GROUPED, **changes), layer_samples(1.0), roofs=roofs)
    assert timing.bound is None
    assert timing.reason.startswith(reason)


@pytest.mark.parametrize(
    ("interval", "short", "lost"),
    [
        pytest.param((1.5, 3.9), True, False, id="below-what-is-promised"),
        pytest.param((3.0, 4.1), False, False, id="may-be-all-of-it"),
        pytest.param((0.5, 0.9), True, True, id="the-twin-is-faster"),
        pytest.param((0.9, 1.1), True, False, id="the-twin-may-be-faster"),
        pytest.param(None, False, False, id="no-interval"),
    ],
)
def test_no_verdict_within_the_spread(interval, short, lost):
    timing = Timing(promised=4.0, realised=2.0, realised_interval=interval)
    assert (falls_short(timing), loses(timing)) == (short, lost)
