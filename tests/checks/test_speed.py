"""What a change promised beside what it is worth: layer by layer, and altogether."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from convaudit.analyzer import analyze
from convaudit.checks import Difference, difference_of
from convaudit.checks.speed import Turns
from convaudit.formulas import symbol
from convaudit.records import ConvLayer
from convaudit.records.timing import LayerSamples, Timed
from convaudit.reporters import FORMATS
from convaudit.timing import merged, with_timing
from tests.networks import conv_layer, network
from tests.timing.made import around, close
from tests.timing.test_model import RUNTIME

FIRST, SECOND, THIRD = (
    conv_layer(name, 16, 16, (1, 1), (size, size)) for name, size in (("a", 4), ("b", 5), ("c", 6))
)
INT8 = {"dtype": "uint8", "weight_dtype": "int8", "op": "com.microsoft.QLinearConv"}


def turn(seconds: list[float | None], run: float) -> Timed:
    """One turn of a model whose layers take so long; None is one that was not measured."""
    layers = [
        LayerSamples(in_model=around(second)) if second else LayerSamples(reason="fused into another")
        for second in seconds
    ]
    return Timed(layers=tuple(layers), runs=around(run), runtime=RUNTIME)


def compared(
    before: list[ConvLayer],
    after: list[ConvLayer],
    old: list[float | None],
    new: list[float | None],
    turns: int = 9,
) -> Difference:
    """Both models, timed; each turn is slower than the one before."""
    reports = [
        analyze(network(*layers, source=f"{name}.onnx")) for layers, name in ((before, "A"), (after, "B"))
    ]
    drift = [1 + 0.1 * i for i in range(turns)]
    sides = [
        [turn([second and x * second for second in seconds], x * 10 * (1 + side)) for x in drift]
        for side, seconds in enumerate((old, new))
    ]
    first, second = (with_timing(report, merged(side)) for report, side in zip(reports, sides, strict=True))
    return difference_of(first, second, Turns(*sides))


QUANTISED = compared(
    [FIRST, SECOND, THIRD],
    [FIRST, replace(SECOND, groups=4, weight_shape=(16, 4, 1, 1)), replace(THIRD, name="c_quant", **INT8)],
    [1.0, 2.0, 3.0],
    [1.0, 1.0, 6.0],
)


def test_each_layer_has_what_its_change_promised_and_is_worth():
    told = [
        (speed.before, speed.after, speed.promised_by, speed.promised, round(speed.realised, 6))
        for speed in QUANTISED.times.layers
    ]
    assert told == [
        ("a", "a", "macs", 1, 1),
        ("b", "b", "macs", 4, 2),
        ("c", "c_quant", "weight_bytes", 4, 0.5),
    ]


def test_intervals_are_of_turns_and_free_of_their_drift():
    for speed in QUANTISED.times.layers:
        assert speed.turns == 9
        assert speed.realised_interval == (close(speed.realised), close(speed.realised))
        assert speed.spread == pytest.approx(0, abs=1e-6)
        assert speed.reason is None


def test_sums_are_of_the_changed_of_the_others_and_of_the_runs():
    times = QUANTISED.times
    assert (times.changed.after, times.unchanged.after) == ("2 changed layers", "1 unchanged layer")
    macs = 16 * 16 * 25, 16 * 16 * 36
    assert times.changed.promised == close(sum(macs) / (macs[0] / 4 + macs[1]))
    assert times.changed.realised == close(5 / 7)
    assert times.unchanged.realised == close(1)
    assert (times.model.before, times.model.after) == ("A.onnx", "B.onnx")
    assert times.model.realised == close(0.5)
    assert (times.model.seconds_before, times.model.seconds_after) == (close(14), close(28))


def test_whole_runs_are_those_without_the_profiler():
    profiled = [turn([1.0], 10.0)] * 9
    plain = [replace(timed, plain=around(5.0)) for timed in profiled]
    report = with_timing(analyze(network(FIRST)), merged(plain))
    assert difference_of(report, report, Turns(plain, plain)).times.model.seconds_before == close(5)
    assert difference_of(report, report, Turns(profiled, plain)).times.model.realised == close(2)


def test_few_turns_have_no_interval_and_say_so():
    times = compared([FIRST], [FIRST], [1.0], [2.0], turns=4).times
    assert (times.model.realised_interval, times.model.turns) == (None, 4)
    assert "takes 6 turns or more, there was time for 4" in times.model.reason
    assert times.changed is None


def test_a_layer_that_was_not_measured_says_why():
    times = compared([FIRST, SECOND], [FIRST, SECOND], [1.0, 1.0], [1.0, None]).times
    missing = times.layers[1]
    assert (missing.realised, missing.seconds_after, missing.turns) == (None, None, 0)
    assert missing.reason == "after: b: fused into another"
    assert times.unchanged.realised is None


def test_what_is_not_counted_promises_nothing():
    unknown = replace(FIRST, output_shape=None)
    (speed,) = compared([unknown], [unknown], [1.0], [1.0]).times.layers
    assert (speed.promised, speed.realised) == (None, close(1))
    (speed,) = compared(
        [FIRST], [conv_layer("a", 16, 16, (1, 1), (symbol("H"), 4))], [1.0], [1.0]
    ).times.layers
    assert speed.promised is None


def test_a_time_alone_is_not_a_difference():
    difference = compared([FIRST], [FIRST], [1.0], [5.0])
    assert difference.equal
    assert difference.times.layers[0].realised == close(0.2)


def text_of(difference: Difference, form: str = "table") -> str:
    return FORMATS[form].render("diff", difference)


def test_a_table_has_the_changed_layers_and_sums_up_the_others():
    lines = [line.split() for line in text_of(QUANTISED).splitlines()]
    rows = lines[next(i for i, line in enumerate(lines) if line[:2] == ["time", "of"]) + 2 :][:5]
    assert rows[0] == [
        "b",
        "groups",
        "1",
        "->",
        "4",
        *["4.00x", "2.00x", "(2.00", "to", "2.00)", "2.80", "s", "1.40", "s"],
    ]
    assert rows[1][:2] == ["c", "weight_dtype"]
    assert " ".join(rows[1]).endswith("float32 -> int8 4.00x bytes 0.50x (0.50 to 0.50) 4.20 s 8.40 s")
    assert [row[:2] for row in rows[2:]] == [["2", "changed"], ["1", "unchanged"], ["the", "model"]]


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_texts_say_what_was_run_and_what_is_unknown(form):
    difference = compared(
        [FIRST, SECOND, conv_layer("gone", 3, 4, (5, 5), (9, 9), stride=(2, 2))],
        [FIRST, replace(SECOND, groups=2, weight_shape=(16, 8, 1, 1))],
        [1.0, 1.0, 2.0],
        [1.0, None],
        turns=3,
    )  # fmt: skip
    text = " ".join(text_of(difference, form).split())
    assert "timed in 3 turns of both with onnxruntime 1, CPUExecutionProvider, 1 thread" in text
    assert "A.onnx: 1 layer that only it has takes" in text
    assert "after: b: fused into another" in text
    assert "x (±1%, too few turns)" in text or "too few turns" in text


def test_json_has_all_of_it():
    document: dict[str, Any] = json.loads(text_of(QUANTISED, "json"))
    assert [layer["promised_by"] for layer in document["times"]["layers"]] == ["macs", "macs", "weight_bytes"]
    assert document["times"]["model"]["realised_interval"] == [close(0.5), close(0.5)]
    assert json.loads(text_of(difference_of(QUANTISED.before, QUANTISED.after), "json"))["times"] is None
