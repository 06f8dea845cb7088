"""What the samples of a model mean: parts of a run, groups together, noise; and turns that are merged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from convaudit.analyzer import analyze
from convaudit.records import RuntimeInfo
from convaudit.records.timing import LayerSamples, PartSamples, Roofs, Timed
from convaudit.timing import merged, with_timing, worst_off
from tests.networks import conv_layer, network
from tests.timing.made import around, close, layer_samples

STEM = conv_layer("stem", 8, 8, (1, 1), (4, 4))
TWICE = conv_layer("twice", 8, 8, (1, 1), (4, 4), groups=2, calls=2)
DEPTHWISE = conv_layer("depthwise", 8, 8, (1, 1), (4, 4), groups=8)
REPORT = analyze(network(STEM, TWICE, DEPTHWISE))
RUNTIME = RuntimeInfo(
    name="onnxruntime", version="1", provider="CPUExecutionProvider", threads=1, optimization="all",
    device="cpu", seed=0, input_shapes={},
)  # fmt: skip
QUIET = (
    layer_samples(1.0, in_model=around(1.0)),
    layer_samples(2.0, 3.0, in_model=around(4.0)),
    layer_samples(1.0, 6.0, in_model=around(2.0), reorders=2, reordering=around(0.8), kernel="Conv"),
)
OTHERS = (
    PartSamples(name="Relu", kind="other_op", count=3, seconds=around(1.5)),
    PartSamples(name="x", kind="unattributed", count=1, seconds=around(0.5)),
    PartSamples(name="between", kind="between", count=6, seconds=around(1.0)),
)


def timed(*layers: LayerSamples, **changes: Any) -> Timed:
    values: dict[str, Any] = {"runs": around(10), "parts": OTHERS, "runtime": RUNTIME}
    return Timed(layers=layers or QUIET, **(values | changes))


def test_the_parts_add_up_to_the_run():
    timing = with_timing(REPORT, timed()).timing
    assert [(part.kind, part.count, round(part.seconds, 6)) for part in timing.parts] == [
        ("layers", 4, 6.2),
        ("reorders", 2, 0.8),
        ("other_op", 3, 1.5),
        ("unattributed", 1, 0.5),
        ("between", 6, 1.0),
    ]
    assert sum(part.share for part in timing.parts) == close(1)
    assert all(part.spread > 0 for part in timing.parts)
    assert timing.attributed == close(0.85)
    assert (timing.seconds, timing.runs) == (close(10), 12)
    assert timing.interval[0] < 10 < timing.interval[1]
    assert timing.spread == close((timing.interval[1] - timing.interval[0]) / 20)


def test_a_run_is_told_without_the_profiler_and_its_parts_with_it():
    timing = with_timing(REPORT, timed(plain=around(8))).timing
    assert (timing.seconds, timing.profiled_seconds, timing.runs) == (close(8), close(10), 12)
    assert timing.interval[0] < 8 < timing.interval[1]
    assert sum(part.seconds for part in timing.parts) == close(10)
    assert sum(part.share for part in timing.parts) == close(1)


def test_runs_that_waited_for_a_processor_may_be_as_short_as_it_was_busy():
    waited = with_timing(REPORT, timed(plain=around(8), busy=around(2))).timing
    quiet = with_timing(REPORT, timed(plain=around(8))).timing
    assert (waited.seconds, waited.interval[1]) == (quiet.seconds, quiet.interval[1])
    assert waited.interval[0] == pytest.approx(2, rel=0.01)
    assert waited.spread == pytest.approx(3 / 8, rel=0.01)
    only_profiled = with_timing(REPORT, timed(busy=around(4))).timing
    assert only_profiled.interval[0] == pytest.approx(4, rel=0.01)


def test_parts_of_other_runs_than_the_layers_are_summed_by_their_medians():
    layers = (QUIET[0], replace(QUIET[1], in_model=around(4.0, rounds=7)), QUIET[2])
    timing = with_timing(REPORT, timed(*layers)).timing
    assert timing.parts[0].seconds == pytest.approx(6.2, rel=0.01)
    assert timing.parts[0].spread is None


def test_groups_together_are_weighted_by_calls():
    timing = with_timing(REPORT, timed()).timing
    assert timing.grouped_layers == 2
    dense, macs = 8 * 8 * 16, 8 * 8 * 16
    assert timing.promised == close(3 * dense / (2 * macs / 2 + macs / 8))
    assert timing.realised == close((2 * 3 + 6) / (2 * 2 + 1))
    assert timing.efficiency == close(timing.realised / timing.promised)
    assert timing.realised_interval[0] < timing.realised < timing.realised_interval[1]


def test_reorders_that_groups_caused_are_a_number_of_their_own():
    timing = with_timing(REPORT, timed()).timing
    assert timing.with_reorders == close(12 / (5 + 0.8))


def test_a_runtime_that_does_not_tell_reorders_has_none_in_its_number():
    untold = (*QUIET[:2], replace(QUIET[2], reorders=None, reordering=()))
    report = with_timing(REPORT, timed(*untold))
    assert report.layers[2].timing.reorders is None
    assert report.timing.realised == close(12 / 5)
    assert (report.timing.with_reorders, report.timing.with_reorders_interval) == (None, None)


KERNELS = [
    pytest.param("Conv (NCHWc)", "Conv (NCHWc)", id="blocked"),
    pytest.param("FusedConv", "Conv", id="an-activation-is-fused-in-the-model"),
    pytest.param("QLinearConv (NHWC)", "QLinearConv", id="a-layout-that-is-not-told-alone"),
    pytest.param("NhwcFusedConv (NHWC)", "NhwcFusedConv", id="both"),
]


@pytest.mark.parametrize(("kernel", "dense_kernel"), KERNELS)
def test_a_twin_on_the_same_kernel_would_need_the_reorders_too(kernel, dense_kernel):
    shared = (*QUIET[:2], replace(QUIET[2], kernel=kernel, dense_kernel=dense_kernel))
    timing = with_timing(REPORT, timed(*shared)).timing
    assert timing.with_reorders == close((12 + 0.8) / (5 + 0.8))
    assert timing.with_reorders_interval[0] < timing.with_reorders


def test_a_layer_without_a_twin_is_in_none_of_the_numbers():
    layers = (*QUIET[:2], LayerSamples(in_model=around(1.0), reason="its twin takes 3 GiB"))
    timing = with_timing(REPORT, timed(*layers)).timing
    assert (timing.grouped_layers, timing.promised) == (1, 2)
    assert timing.realised == close(1.5)


def test_a_model_without_groups_realises_nothing():
    report = analyze(network(STEM))
    timing = with_timing(report, timed(QUIET[0])).timing
    assert (timing.grouped_layers, timing.promised, timing.realised, timing.with_reorders) == (0, *[None] * 3)


def test_layers_that_are_not_themselves_make_the_machine_noisy():
    quiet = with_timing(REPORT, timed()).timing
    assert (quiet.noise, quiet.too_noisy) == (close(0), None)
    layers = (*QUIET[:2], replace(QUIET[2], itself=around(2.0)))
    report = with_timing(REPORT, timed(*layers))
    assert report.timing.noise == close(1 / 6)
    assert "differ by 17%, more than 10%" in report.timing.too_noisy
    assert worst_off(report) == ()


def test_a_wide_interval_makes_the_machine_noisy():
    wide = tuple(1 + (i % 3) for i in range(12))
    timing = with_timing(REPORT, timed(QUIET[0], QUIET[1], replace(QUIET[2], dense=wide))).timing
    assert timing.too_noisy is None  # it is a small part of the whole
    layers = (QUIET[0], replace(QUIET[1], dense=tuple(4 * x for x in wide)), QUIET[2])
    assert "known within" in with_timing(REPORT, timed(*layers)).timing.too_noisy


def test_the_worst_off_lose_most_time_over_all_their_calls():
    assert [layer.name for layer in worst_off(with_timing(REPORT, timed()))] == ["twice", "depthwise"]
    layers = (QUIET[0], layer_samples(2.0, 4.0), QUIET[2])
    assert [layer.name for layer in worst_off(with_timing(REPORT, timed(*layers)))] == ["depthwise"]


def test_times_from_files_have_no_spread_of_one_run():
    layers = [LayerSamples(in_model=(1.0,), dense_in_model=(2.0,)) for _ in range(3)]
    timing = with_timing(REPORT, timed(*layers, runs=(4.0,), parts=(), files=("a.json",))).timing
    assert (timing.seconds, timing.interval, timing.spread) == (4, None, None)
    assert (timing.realised, timing.realised_interval, timing.with_reorders) == (2, None, None)
    assert timing.files == ("a.json",)


def test_what_the_timer_says_comes_along():
    roofs = Roofs(macs_per_second={"float32": 1e9}, bytes_per_second=1e9)
    report = with_timing(REPORT, timed(roofs=roofs, cpu="a CPU", warnings=("hot",)))
    assert (report.runtime, report.timing.roofs, report.timing.cpu) == (RUNTIME, roofs, "a CPU")
    assert report.warnings[-1] == "hot"


def test_turns_are_merged_in_their_order():
    first = timed(roofs=Roofs(macs_per_second={"float32": 2.0}, bytes_per_second=1.0), warnings=("a",))
    second = timed(
        *(replace(layer, alone=around(9.0)) for layer in QUIET),
        runs=around(20),
        parts=(*OTHERS[:1], PartSamples(name="Add", kind="other_op", count=1, seconds=around(3))),
        roofs=Roofs(macs_per_second={"float32": 1.0, "int8": 4.0}, bytes_per_second=2.0),
        warnings=("b",),
    )
    both = merged([first, second])
    assert both.runs == around(10) + around(20)
    assert both.layers[1].alone == around(2.0) + around(9.0)
    assert both.layers[1].in_model == 2 * QUIET[1].in_model
    assert both.roofs == Roofs(macs_per_second={"float32": 2.0, "int8": 4.0}, bytes_per_second=2.0)
    assert {part.name: part.seconds for part in both.parts} == {
        "Relu": around(1.5) * 2,
        "x": around(0.5) + (0.0,) * 12,
        "between": around(1.0) + (0.0,) * 12,
        "Add": (0.0,) * 12 + around(3),
    }
    assert both.warnings == ("a", "b")
