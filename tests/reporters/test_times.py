"""What was measured, as cells and sentences."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import fields, replace
from typing import Any

import pytest

from convaudit.analyzer import analyze
from convaudit.formulas import symbol
from convaudit.records import AuditReport
from convaudit.records.network import TensorInfo
from convaudit.records.timing import ModelTiming, TimePart, Timing
from convaudit.reporters import FORMATS, View
from convaudit.reporters.columns import COLUMNS, filled_columns
from convaudit.reporters.selection import select
from convaudit.reporters.time_cells import TIME_COLUMNS, realised_text, spread_text
from convaudit.reporters.times import time_lines
from tests.networks import MODEL_TIMING, TIMED_ON, TIMINGS, conv_layer, mixed_network, network, timed

MIXED = analyze(mixed_network())
TIMED = timed(MIXED)
CONTRACT = {
    *("seconds", "dense_seconds", "promised", "realised", "efficiency", "spread", "kernel", "model_seconds"),
    *("model_share", "macs_per_second", "bound", "reason"),
}


def with_model(**changes: Any) -> AuditReport:
    return replace(TIMED, timing=replace(MODEL_TIMING, **changes))


def test_the_contracts_keys_are_there() -> None:
    assert {field.name for field in fields(Timing)} >= CONTRACT


def test_no_number_in_a_cell_of_seconds_or_ratios_goes_without_its_spread() -> None:
    for key in ("time", "realised", "seconds", "dense_seconds"):
        column = filled_columns(TIMED, TIMED.layers, [key])[key]
        cells = [*column.cells, *([column.total] if column.total else [])]
        assert any("±" in cell for cell in cells)
        assert all(cell in ("?", "-") or re.search(r" ±(\d+%|\?)$", cell) for cell in cells), key


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_the_usual_columns_fit_and_say_what_was_asked_for(width: int) -> None:
    text = FORMATS["table"].render("audit", TIMED, View(width=width))
    assert max(map(len, text.splitlines())) <= width
    headers = text.split("\n\n")[1].split("\n")[0]
    for header in ("layer", "time", "realised", "efficiency"):
        assert header in headers


def test_of_several_models_times_are_what_stays() -> None:
    lines = FORMATS["table"].render("models", [TIMED, MIXED], View(width=70)).splitlines()
    assert lines[0].split() == ["model", "params", "MACs", "saved", "time", "promised", "realised"]
    assert max(map(len, lines)) <= 70


def test_what_was_not_measured_is_not_what_there_is_nothing_of() -> None:
    dense = timed(analyze(network(conv_layer("stem"))))
    dense, unknown = (
        replace(report, timing=replace(MODEL_TIMING, promised=None, realised=None))
        for report in (dense, TIMED)
    )
    lines = FORMATS["table"].render("models", [TIMED, unknown, dense]).splitlines()
    assert [line.split()[-2:] for line in lines[3:5]] == [["?", "?"], ["-", "-"]]


def test_csv_has_the_ends_of_the_interval() -> None:
    view = View(columns=("name", "timing_realised", "timing_realised_low", "timing_realised_high"))
    rows = list(csv.DictReader(FORMATS["csv"].render("audit", TIMED, view).splitlines()))
    measured = TIMINGS["block/depthwise"]
    (row,) = (row for row in rows if row["name"] == "block/depthwise")
    ends = (float(row["timing_realised_low"]), float(row["timing_realised_high"]))
    assert ends == measured.realised_interval
    assert rows[0]["timing_realised_low"] == rows[0]["timing_realised"] == ""


def test_csv_of_several_models_has_their_times() -> None:
    timing = replace(MODEL_TIMING, realised=2.5, realised_interval=(2.25, 2.75))
    reports = [replace(TIMED, timing=timing), MIXED]
    rows = list(csv.DictReader(FORMATS["csv"].render("models", reports).splitlines()))
    keys = ("timing_realised", "timing_realised_low", "timing_realised_high")
    assert [rows[0][key] for key in keys] == ["2.5", "2.25", "2.75"]
    assert float(rows[0]["timing_seconds"]) == timing.seconds
    assert {rows[1][key] for key in rows[1] if key.startswith("timing_")} == {""}


def test_without_times_the_columns_are_those_of_counts() -> None:
    assert not TIME_COLUMNS.keys() & filled_columns(MIXED, ()).keys()
    assert {"time", "realised", "bound"} <= filled_columns(TIMED, ()).keys()
    dense = timed(analyze(network(conv_layer("stem"))))
    assert not {"promised", "realised", "reorders"} & filled_columns(dense, ()).keys()


@pytest.mark.parametrize("key", TIME_COLUMNS)
def test_every_column_sorts(key: str) -> None:
    layers = select(TIMED, View(sort=key))
    assert {layer.name for layer in layers} == {layer.name for layer in TIMED.layers}
    assert layers[-1].timing is not None
    assert COLUMNS[key].order is not None


ORDERS = [
    pytest.param(View(sort="time", top=2), ["grouped", "stem"], id="the-longest-first"),
    pytest.param(View(sort="efficiency", top=2), ["grouped", "block/depthwise"], id="the-worst-first"),
    pytest.param(View(sort="realised", top=1), ["block/depthwise"], id="realised"),
    pytest.param(View(top=2), ["grouped", "stem"], id="top-is-by-time"),
    pytest.param(View(sort="reorders", top=1, only=("grouped",)), ["grouped"], id="reorders"),
]


@pytest.mark.parametrize(("view", "names"), ORDERS)
def test_order(view: View, names: list[str]) -> None:
    assert [layer.name for layer in select(TIMED, view)] == names


SPREADS = [(0.0, "±1%"), (0.0101, "±2%"), (0.02, "±2%"), (1.5, "±150%"), (None, "±?")]


@pytest.mark.parametrize(("spread", "text"), SPREADS, ids=[text for _, text in SPREADS])
def test_a_spread_is_rounded_up(spread: float | None, text: str) -> None:
    assert spread_text(spread) == text


UNSURE = [
    pytest.param(1.2, (0.99, 1.4), None, "~1.20x ±18%", id="holds-1"),
    pytest.param(1.2, (1.01, 1.4), None, "1.20x ±17%", id="does-not"),
    pytest.param(0.31, (0.30, 0.32), None, "0.31x ±4%", id="a-loss"),
    pytest.param(9.0, None, 0.5, "~9.00x ±50%", id="too-few-rounds"),
    pytest.param(9.0, None, None, "~9.00x ±?", id="one-sample"),
    pytest.param(None, None, None, "?", id="not-measured"),
]


@pytest.mark.parametrize(("realised", "interval", "spread", "text"), UNSURE)
def test_what_shows_nothing_is_marked(realised: Any, interval: Any, spread: Any, text: str) -> None:
    assert realised_text(realised, interval, spread) == text


def test_a_run_without_the_profiler_is_told_beside_the_one_with_it() -> None:
    line = next(line for line in time_lines(with_model(profiled_seconds=5e-3)) if "a run takes" in line)
    assert line.startswith("a run takes 4.04 ms ±2% (median of 42 runs); 5.00 ms while profiled: 9 conv")


def test_what_a_run_consists_of() -> None:
    (line,) = (line for line in time_lines(TIMED) if line.startswith("a run takes"))
    assert line == (
        "a run takes 4.04 ms ±2% (median of 42 runs): 9 convolutions 81.9%, 2 layout reorders 7.7%, "
        "3 Add 5.0%, 1 Gemm 3.0%, between kernels 2.2%, not attributed 0.2% (fused|thing)"
    )
    known = float(re.search(r"(\d+\.\d)%, 2 layout", line)[1]) + 7.7  # type: ignore[index]
    assert filled_columns(TIMED, TIMED.layers)["time_share"].total == f"{known:.1f}%"


def test_the_worst_off_with_what_was_observed() -> None:
    worst = [line for line in time_lines(TIMED) if line.startswith("worst off")]
    assert worst == [
        "worst off: grouped: promised 4x, realised ~0.97x ±5%; 4 channels a group: out of the blocked layout "
        "(Conv, where its twin runs Conv (NCHWc)), 2 layout reorders (19% of its time in the model)",
        "worst off: block/depthwise: promised 32x, realised 23.9x ±3%; runs Conv (NCHWc) as its twin "
        "does, bound by memory",
    ]


SAME_KERNEL = replace(TIMINGS["grouped"], kernel="Conv (NCHWc)", reorders=0, reorder_seconds=None)


def observed(timing: Timing) -> str:
    layers = [replace(x, timing=timing) if x.name == "grouped" else x for x in TIMED.layers]
    (line,) = (x for x in time_lines(replace(TIMED, layers=tuple(layers))) if x.startswith("worst off: grou"))
    return line.partition("%")[2]


OBSERVED = [
    pytest.param(SAME_KERNEL, "; runs Conv (NCHWc) as its twin does, bound by overhead", id="bound"),
    pytest.param(replace(SAME_KERNEL, bound="compute"), "; runs Conv (NCHWc) as its twin does", id="same"),
    pytest.param(
        replace(SAME_KERNEL, bound="compute", kernel="FusedConv", dense_kernel="Conv"),
        "; runs FusedConv as its twin does",
        id="an-activation-is-fused-in-the-model",
    ),
    pytest.param(replace(SAME_KERNEL, bound="compute", dense_kernel=None), "", id="nothing"),
    pytest.param(replace(SAME_KERNEL, kernel=None), "; bound by overhead", id="no-kernel-told"),
    pytest.param(replace(SAME_KERNEL, reorders=1), "; 4 channels a group: 1 layout reorder", id="reorder"),
    pytest.param(
        replace(SAME_KERNEL, kernel="a", dense_kernel="b"),
        "; 4 channels a group: a, where its twin runs b",
        id="kernels",
    ),
]


@pytest.mark.parametrize(("timing", "text"), OBSERVED)
def test_a_reason_is_only_what_was_seen(timing: Timing, text: str) -> None:
    assert observed(timing) == text


def in_place(seconds: float, spread: float = 0.02, **changes: Any) -> list[str]:
    depthwise = replace(TIMINGS["block/depthwise"], model_seconds=seconds, model_spread=spread)
    layers = [replace(x, timing=depthwise) if x.name == "block/depthwise" else x for x in TIMED.layers]
    report = replace(with_model(**changes), layers=tuple(layers))
    return [line for line in time_lines(report) if "in place than alone" in line]


def test_layers_that_take_longer_among_their_neighbours_say_so() -> None:
    (line,) = in_place(1e-3)
    assert line.startswith(
        "kernels of the layers with groups take 2.31 ms ±3% in the model, 1.40 ms ±5% alone: "
    )
    assert not in_place(1e-3, too_noisy="layers differ")
    assert not in_place(1e-3, spread=1.2)
    assert not in_place(104e-6)


def test_layers_that_fall_short_alike_share_a_line() -> None:
    rows = [replace(TIMED.layers[3], name=f"stage/{index}") for index in range(5)]
    layers = tuple(replace(row, timing=TIMINGS["grouped"]) for row in rows)
    (line,) = (x for x in time_lines(replace(TIMED, layers=layers)) if x.startswith("worst off"))
    assert line.startswith("worst off: stage/0, stage/1 and 3 more: promised 4x")
    assert line.endswith("2 layout reorders (19% of its time in the model)")


def test_groups_of_layers_that_lose_most_together_come_first() -> None:
    one = replace(TIMED.layers[1], name="alone", timing=TIMINGS["block/depthwise"])
    small = replace(
        TIMINGS["block/depthwise"], realised=20.0, realised_interval=(19.0, 21.0), efficiency=0.62
    )
    many = [replace(one, name=f"many/{index}", timing=replace(small, seconds=80e-6)) for index in range(5)]
    large = replace(one, timing=replace(small, seconds=200e-6, realised=19.0, efficiency=0.6))
    worst = [line for line in time_lines(replace(TIMED, layers=(large, *many))) if "worst" in line]
    assert [line.split(",")[0].split(":")[1].strip() for line in worst] == ["many/0", "alone"]


def test_what_hardly_takes_time_is_not_named() -> None:
    tiny = [TimePart(name=f"op{i}", kind="other_op", count=1, seconds=1e-7, share=2e-5) for i in range(3)]
    (line,) = (x for x in time_lines(with_model(parts=tuple(tiny[:2]))) if x.startswith("a run takes"))
    assert line.endswith("(median of 42 runs): 2 other ops 0.0%")
    (line,) = (
        x for x in time_lines(with_model(parts=tuple(tiny[:1]), runs=1)) if x.startswith("a run takes")
    )
    assert line.endswith("(median of 1 run): 1 other op 0.0%")


UNTIMED = tuple(replace(layer, timing=Timing(reason="no time")) for layer in TIMED.layers)
WHERE = "(onnxruntime 1.2.3, CPU, 1 thread, spread 4%)"
LAST = [
    pytest.param(
        with_model(with_reorders=None, grouped_layers=3),
        f"groups promised 13.3x and realised 2.5x over 3 layers {WHERE}",
        id="all",
    ),
    pytest.param(
        TIMED,
        "groups promised 13.3x and realised 2.5x, 2.0x with the layout reorders that they cause, over 2 of "
        f"3 layers with groups {WHERE}",
        id="with-reorders",
    ),
    pytest.param(
        with_model(realised=1.01, realised_interval=(0.97, 1.05), with_reorders=None, grouped_layers=3),
        f"groups promised 13.3x; realised 1.0x over 3 layers: no more than the spread {WHERE}",
        id="no-effect",
    ),
    pytest.param(
        with_model(realised_interval=None, with_reorders=None, grouped_layers=3),
        "groups promised 13.3x; realised 2.5x over 3 layers: too few rounds to tell "
        "(onnxruntime 1.2.3, CPU, 1 thread, spread ?)",
        id="too-few-rounds",
    ),
    pytest.param(
        with_model(too_noisy="layers differ by 15%, more than 10%"),
        "no verdict on groups: layers differ by 15%, more than 10%",
        id="too-noisy",
    ),
    pytest.param(
        with_model(promised=None, realised=None),
        "what all groups realise together is unknown, since sizes are open: fix them by --dim or --input",
        id="open-sizes",
    ),
    pytest.param(
        replace(with_model(promised=None, realised=None), layers=UNTIMED),
        "what the groups of 3 layers realise was not measured",
        id="not-measured",
    ),
    pytest.param(
        with_model(files=("a.json", "b.json"), runtime=None, with_reorders=None, grouped_layers=3),
        "groups promised 13.3x and realised 2.5x over 3 layers (times of a.json, b.json, spread 4%)",
        id="files",
    ),
    pytest.param(
        timed(analyze(network(conv_layer("stem")))), "no layer has groups: they promise nothing", id="dense"
    ),
]


def test_times_of_open_sizes_say_which_were_run() -> None:
    inputs = (TensorInfo(name="x", shape=(symbol("N"), 3, 224, 224), dtype="float32"),)
    line = "timed at x 1x3x224x224, sizes that the model leaves open: choose them by --dim or --input"
    assert line not in time_lines(TIMED)
    report = replace(TIMED, inputs=inputs)
    assert line in time_lines(report)
    assert f"demo.onnx: {line}\n" in FORMATS["table"].render("models", [report, MIXED])


@pytest.mark.parametrize(("report", "line"), LAST)
def test_the_last_line(report: AuditReport, line: str) -> None:
    assert time_lines(report)[-1] == line
    assert FORMATS["table"].render("audit", report).endswith(f"{line}\n")
    several = FORMATS["table"].render("models", [report, MIXED])
    assert f"demo.onnx: {line}\n" in several


def test_a_noisy_machine_names_nobody_and_totals_nothing() -> None:
    noisy = with_model(too_noisy="layers differ")
    assert not [line for line in time_lines(noisy) if line.startswith("worst off")]
    columns = filled_columns(noisy, noisy.layers)
    assert (columns["realised"].total, columns["efficiency"].total) == ("", "")


def test_times_from_files_say_so() -> None:
    lines = time_lines(with_model(files=("phone.json",), runtime=None, cpu=None))
    assert lines[0] == "times read from phone.json, which another machine may have written"
    text = FORMATS["table"].render("audit", with_model(files=("phone.json",)))
    assert "seconds with groups=1 / seconds, of layer and twin each in its model." in text


def test_what_was_verified_and_what_was_timed_are_told_apart() -> None:
    verified_on = replace(TIMED_ON, threads=8)
    report = json.loads(FORMATS["json"].render("audit", replace(TIMED, runtime=verified_on)))
    assert (report["runtime"]["threads"], report["timing"]["runtime"]["threads"]) == (8, 1)


HOSTILE = "\x1b[2J\n::error::"


def test_names_of_kernels_ops_and_files_command_nothing() -> None:
    timing = replace(TIMINGS["grouped"], kernel=HOSTILE, reason=HOSTILE)
    layers = tuple(replace(layer, timing=timing) for layer in TIMED.layers)
    parts = tuple(replace(part, name=HOSTILE) for part in MODEL_TIMING.parts)
    model: ModelTiming = replace(MODEL_TIMING, parts=parts, cpu=HOSTILE, too_noisy=HOSTILE)
    for changed in (model, replace(model, files=(HOSTILE,), too_noisy=None)):
        report = replace(TIMED, layers=layers, timing=changed)
        view = View(columns=tuple(COLUMNS))
        for text in (FORMATS[form].render("audit", report, view) for form in ("table", "markdown")):
            assert all(line.isprintable() and not line.startswith("::") for line in text.split("\n"))
