"""The charts of an audit: what they draw, what they say, and what they refuse."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import vl_convert

from convaudit.analyzer import analyze
from convaudit.errors import DependencyError, UnknownNameError, UsageError
from convaudit.records import KINDS, STATUSES, AuditReport, OtherLayer
from convaudit.records.findings import Finding, LintReport, LintTotals
from convaudit.report import Report
from convaudit.reporters.charts import CHARTS, charts_of, make_chart
from convaudit.reporters.charts.rows import MOST_DRAWN
from convaudit.reporters.colours import KIND_COLOURS, KIND_SHAPES, STATUS_COLOURS, THEMES
from tests.networks import conv_layer, mixed_network, network, symbolic_network, timed, verified

HOSTILE = "</script><script>alert(1)</script>"


def linted(report: AuditReport) -> AuditReport:
    """The report with a finding in each layer of known parameters."""
    findings = tuple(
        Finding(
            rule=f"CA20{index % 5}",
            name="a-rule",
            layer=layer.name,
            channels=None,
            message=f"{layer.name} does nothing",
            severity="warning",
            certainty="exact",
            removable_params=10 * (index + 1),
            removable_macs=100,
            removable_bytes=40,
            fixable=bool(index % 2),
            reason=None,
        )
        for index, layer in enumerate(report.layers)
    )
    totals = LintTotals(
        params=1000,
        macs=None,
        removable_params=100,
        removable_macs=None,
        removable_bytes=400,
        fixable_params=50,
        fixable_macs=None,
    )
    found = LintReport(
        source=report.source,
        format="onnx",
        layers=len(report.layers),
        examined=len(report.layers),
        rules=("CA200",),
        findings=findings,
        totals=totals,
    )
    return replace(report, lint=found)


MIXED = analyze(mixed_network())
FULL = linted(verified(timed(MIXED)))
GEMM = OtherLayer(name="head/fc", op="Gemm", params=10, macs=MIXED.totals.macs_at_least)
OPEN = analyze(symbolic_network())
REPORTS = [
    pytest.param(FULL, id="everything"),
    pytest.param(replace(MIXED, other_layers=(GEMM,)), id="other-ops"),
    pytest.param(OPEN, id="open-sizes"),
    pytest.param(linted(verified(analyze(network(conv_layer(HOSTILE, groups=3))))), id="hostile"),
    pytest.param(analyze(network(conv_layer())), id="one-layer"),
    pytest.param(analyze(network(conv_layer(calls=None))), id="unknown"),
]


def spec_of(name: str, report: AuditReport) -> dict[str, Any]:
    spec: dict[str, Any] = make_chart(name, report).to_dict()
    if report is FULL:
        assert vl_convert.vegalite_to_svg(spec).startswith("<svg")
    return spec


def data_of(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for values in spec.get("datasets", {}).values():
        yield from values
    for part in [spec, *spec.get("layer", [])]:
        yield from part.get("data", {}).get("values", [])


def layers_of(spec: dict[str, Any]) -> set[int]:
    return {row["layer"] for row in data_of(spec) if row.get("layer", -1) >= 0}


def test_blocks_too_thin_to_be_drawn_are_one_box_in_a_picture_of_some_size() -> None:
    many = analyze(network(*(conv_layer(str(index)) for index in range(2_000))))
    spec = make_chart("blocks", many, "light").to_dict()
    assert vl_convert.vegalite_to_png(spec)[1:4] == b"PNG"
    assert any(row.get("label") == "2000 more" for row in data_of(spec))


def test_what_was_asked_for_in_vain_is_not_asked_for_again() -> None:
    found = replace(FULL, lint=replace(FULL.lint, findings=()), layers=MIXED.layers)
    for name, reason in {"findings": "lint found nothing in it", "realised": "more time_budget"}.items():
        with pytest.raises(UsageError, match=f"no {name} chart: .*{reason}$"):
            make_chart(name, found)


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_drawn_where_it_applies(name: str, report: AuditReport) -> None:
    if not CHARTS[name].applies(report):
        with pytest.raises(UsageError, match=f"no {name} chart: .*(audit it with|convolutions|multiplies)"):
            make_chart(name, report)
        return
    spec = spec_of(name, report)
    assert "</" not in json.dumps(spec, allow_nan=False)
    assert layers_of(spec) <= set(range(len(report.layers)))
    assert any(param["name"] == "chosen" for param in spec["params"])


def test_a_report_with_everything_has_every_chart() -> None:
    assert charts_of(FULL) == CHARTS


@pytest.fixture(scope="module")
def many() -> AuditReport:
    names = (f"stage{i // 100}/block{i % 100 // 10}/conv{i}" for i in range(10_000))
    layer = conv_layer(groups=2)
    return analyze(network(*(replace(layer, name=name, weight_name=name) for name in names)))


@pytest.mark.parametrize("name", ["blocks", "macs", "params"])
def test_ten_thousand_layers_are_bounded_and_said(name: str, many: AuditReport) -> None:
    spec = spec_of(name, many)
    rows = list(data_of(spec))
    assert len(rows) <= 2100
    assert len(json.dumps(spec)) < 2_000_000
    if name != "blocks":
        assert "10,000" in " ".join(spec["title"]["subtitle"])


@pytest.mark.parametrize("name", ["blocks", "macs", "params"])
def test_counts_beyond_64_bits_are_drawn(name: str) -> None:
    report = analyze(network(conv_layer("huge", 10**40, 10**40), conv_layer("small")))
    svg = vl_convert.vegalite_to_svg(spec_of(name, report))
    assert "huge" in svg
    assert "Infinity" not in svg


def test_labels_of_lines_do_not_lie_on_each_other() -> None:
    sizes = [("a", 4, 28), ("b", 8, 28), ("c", 5, 24), ("d", 9, 24), ("e", 400, 7), ("f", 800, 7)]
    layers = [conv_layer(name, channels, channels, size=(size, size)) for name, channels, size in sizes]
    rows = data_of(spec_of("params", analyze(network(*layers))))
    assert {row["text"] for row in rows if row.get("text")} == {"28x28 output", "7x7 output"}


def test_macs_draws_the_largest_in_the_models_order() -> None:
    layers = [conv_layer(f"c{index}", size=(1 + index % 90, 1)) for index in range(100)]
    spec = spec_of("macs", analyze(network(*layers)))
    drawn = [row["layer"] for row in data_of(spec)]
    assert drawn == sorted(drawn)
    assert len(drawn) == MOST_DRAWN
    assert 89 in drawn
    assert 90 not in drawn


def test_blocks_draws_all_macs_once() -> None:
    spec = spec_of("blocks", FULL)
    rows = list(data_of(spec))
    height = spec["height"]
    leaves = sum(row["bottom"] - row["top"] for row in rows if row["leaf"])
    assert leaves == pytest.approx(height)


def test_other_ops_are_in_blocks() -> None:
    report = analyze(network(conv_layer("stem", size=(5, 5))))
    gemm = OtherLayer(name="head/fc", op="Gemm", params=10, macs=report.totals.macs)
    rows = list(data_of(spec_of("blocks", replace(report, other_layers=(gemm,)))))
    (row,) = [row for row in rows if row["what"] == "Gemm"]
    assert row["kind"] == "other"
    assert row["layer"] < 0
    assert row["share"] == "50.0%"


def test_what_is_unknown_is_not_drawn_and_said() -> None:
    known, unknown = conv_layer("known", groups=2), conv_layer("unknown", calls=None)
    spec = spec_of("macs", analyze(network(known, unknown)))
    assert layers_of(spec) == {0}
    assert "1 layer is not drawn" in " ".join(spec["title"]["subtitle"])


def test_where_nothing_was_compared_no_bits_are_drawn() -> None:
    rows = {row["status"]: row for row in data_of(spec_of("bits", FULL))}
    assert rows["not executed"]["bits"] is None
    assert rows["not executed"]["mark"] == "not executed"
    assert rows["exact"]["bits"] > rows["within rounding"]["bits"] > 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_picture_that_stands_alone_has_its_own_colours(theme: str) -> None:
    text = json.dumps(make_chart("macs", FULL, theme).to_dict())
    assert "currentColor" not in text
    assert THEMES[theme][0] in text
    with pytest.raises(UsageError, match="theme must be 'light' or 'dark', got 'blue'"):
        make_chart("macs", FULL, "blue")


def test_open_sizes_are_drawn_at_an_example_that_is_named() -> None:
    spec = spec_of("macs", OPEN)
    assert layers_of(spec)
    assert "an example" in " ".join(spec["title"]["subtitle"])


def test_every_kind_and_status_has_its_colour() -> None:
    assert set(KIND_COLOURS) == set(KIND_SHAPES) == {*KINDS, "other"}
    assert set(STATUS_COLOURS) == set(STATUSES)
    assert len(set(KIND_COLOURS.values())) == len(KIND_COLOURS)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", [*KIND_COLOURS.values(), *STATUS_COLOURS.values()])
def test_colours_stand_out_from_light_and_dark(colour: str) -> None:
    light, dark = (
        1.05 / (luminance(colour) + 0.05),
        (luminance(colour) + 0.05) / (luminance("#14171c") + 0.05),
    )
    assert min(light, dark) >= 3


def test_plot_has_the_charts_by_name() -> None:
    report = Report.of(FULL)
    assert dir(report.plot) == sorted(CHARTS)
    assert dir(Report.of(MIXED).plot) == ["blocks", "macs", "params"]
    assert report.plot.macs().to_dict() == make_chart("macs", FULL).to_dict()
    assert report.plot.macs.__doc__ == CHARTS["macs"].about
    assert "time=True" in repr(Report.of(MIXED).plot)


def test_plot_refuses_in_one_line() -> None:
    plot = Report.of(MIXED).plot
    with pytest.raises(
        UnknownNameError, match="'mac'; did you mean 'macs'\\? choose from blocks, macs"
    ) as error:
        _ = plot.mac
    assert isinstance(error.value, AttributeError)
    assert not hasattr(plot, "_ipython_display_")
    with pytest.raises(UsageError, match="no roofline chart: no layer was timed; audit it with time=True"):
        plot.roofline()


def test_without_altair_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refused(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("altair"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refused)
    for module in ("costs", "drawing"):
        monkeypatch.delitem(__import__("sys").modules, f"convaudit.reporters.charts.{module}", raising=False)
    with pytest.raises(DependencyError, match=r"charts need altair: pip install 'convaudit\[html\]'"):
        Report.of(MIXED).plot.macs()
