"""Charts of what was measured: the roofline, and what groups realise of their promise."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import TYPE_CHECKING

import altair as alt

from convaudit.records import AuditReport
from convaudit.reporters.charts import CHARTS
from convaudit.reporters.charts.drawing import (
    LAYER_TOOLTIP,
    finished,
    if_chosen,
    inline,
    kind_colour,
    kind_shape,
    layered,
    log_axis,
    log_scale,
    tooltip,
)
from convaudit.reporters.charts.rows import Datum, Drawn, Subject, data_of, largest_rows, safe
from convaudit.reporters.colours import QUIET
from convaudit.units import human, human_percentage, human_seconds, three_digits

if TYPE_CHECKING:
    from convaudit.records.timing import Roofs

_MOST_POINTS = 2000
_NAMED = 1
_ABOVE = 1.1
_TIMES = {
    "time": "time of a call",
    "rate": "MACs/s",
    "bound": "bound by",
    "kernel": "ran as",
}
_FACTORS = {"promised_text": "promised", "realised_text": "realised"}


def make_roofline(report: AuditReport) -> alt.LayerChart:
    """A point for each layer below what the machine computes and moves at most; both axes logarithmic."""
    subject = Subject(report)
    rows, notes = largest_rows(
        subject.rows,
        lambda row: row.macs if _rate(row) and row.cost.arithmetic_intensity else None,
        "MACs",
        "they were not timed, or their sizes are unknown",
        most=_MOST_POINTS,
    )
    data = data_of(rows, subject)
    for datum, row in zip(data, rows, strict=True):
        datum.update(_times(row))
        datum["intensity"], datum["flops"] = row.cost.arithmetic_intensity, 2 * (_rate(row) or 0.0)
    points = (
        alt.Chart(inline(data))
        .mark_point(filled=True, size=70, opacity=0.8)
        .encode(
            x=alt.X(
                "intensity:Q", title="FLOPs per byte of weights, input and output", scale=log_scale()
            ).axis(log_axis([datum["intensity"] for datum in data], "~g")),
            y=alt.Y("flops:Q", title="FLOPs per second", scale=log_scale()).axis(
                log_axis([datum["flops"] for datum in data])
            ),
            color=kind_colour(data),
            shape=kind_shape(data),
            stroke=if_chosen("currentColor", "transparent"),
            size=if_chosen(260, 70),
            tooltip=tooltip(LAYER_TOOLTIP | _TIMES),
        )
    )
    roofs = report.timing.roofs if report.timing else None
    lines = ["Below the slope, memory is too slow to keep up; below the flat line, computing is."]
    if roofs is None:
        lines = ["What the machine does at most was not measured, so no roofs are drawn."]
    lines += _above(roofs, data)
    about = CHARTS["roofline"].about
    chart = layered(*_roof_lines(roofs, data), points)
    return finished(chart, CHARTS["roofline"].title, [*lines, *notes], height=420, about=about)


def _above(roofs: Roofs | None, data: Sequence[Datum]) -> list[str]:
    """Points above the roofs need an explanation."""
    if roofs is None or not roofs.macs_per_second:
        return []
    peak = 2 * max(roofs.macs_per_second.values())
    above = sum(
        datum["flops"] > _ABOVE * min(peak, datum["intensity"] * roofs.bytes_per_second) for datum in data
    )
    if not above:
        return []
    layers = "1 layer is" if above == 1 else f"{above:,} layers are"
    return [f"{layers} above: data in the cache, or a machine that was busy as its roofs were measured."]


def _rate(row: Drawn) -> float | None:
    return row.cost.timing.macs_per_second if row.cost.timing else None


def _times(row: Drawn) -> Datum:
    timing = row.cost.timing
    if timing is None:
        return {}
    rate = timing.macs_per_second
    return {
        "time": human_seconds(timing.seconds or timing.model_seconds),
        "rate": "?" if rate is None else human(round(rate)),
        "bound": timing.bound or "?",
        "kernel": safe(timing.kernel or "?"),
        "promised_text": "" if timing.promised is None else f"{three_digits(timing.promised)}x",
        "realised_text": ""
        if timing.realised is None
        else _interval(timing.realised, timing.realised_interval),
    }


def _interval(value: float, interval: tuple[float, float] | None) -> str:
    if interval is None:
        return f"{three_digits(value)}x, too few rounds to tell"
    return f"{three_digits(value)}x ({three_digits(interval[0])} to {three_digits(interval[1])})"


def _roof_lines(roofs: Roofs | None, data: Sequence[Datum]) -> list[alt.Chart]:
    """The slope of memory up to the ridge, and a flat line for each element type."""
    if roofs is None or not data or not roofs.bytes_per_second:
        return []
    least = min(datum["intensity"] for datum in data) / 2
    most = max(datum["intensity"] for datum in data) * 2
    segments = []
    for dtype, macs in roofs.macs_per_second.items():
        peak = 2 * macs
        ridge = peak / roofs.bytes_per_second
        start, end = min(least, ridge / 2), max(most, ridge * 2)
        line = safe(dtype)
        slope = f"{human(round(roofs.bytes_per_second))}B/s"
        segments += [
            {"x": start, "y": start * roofs.bytes_per_second, "line": line, "order": 0, "low": slope},
            {"x": ridge, "y": peak, "line": line, "order": 1},
            {"x": end, "y": peak, "line": line, "order": 2, "high": f"{line}: {human(round(peak))}FLOPs/s"},
        ]
    base = alt.Chart(inline(segments)).encode(x="x:Q", y="y:Q")
    return [
        base.mark_line(strokeWidth=2, color=QUIET).encode(detail="line:N", order="order:Q"),
        base.transform_filter("isValid(datum.high)")
        .mark_text(align="right", dy=-8, fontSize=11)
        .encode(text="high:N"),
        base.transform_filter("isValid(datum.low)")
        .mark_text(align="left", dx=10, dy=2, fontSize=11)
        .encode(text="low:N"),
    ]


def make_realised(report: AuditReport) -> alt.LayerChart:
    """A point for each layer with groups: what its MACs promise, and how many times faster it is."""
    subject = Subject(report)
    rows, notes = largest_rows(
        [row for row in subject.rows if row.cost.groups > 1],
        lambda row: row.cost.timing.seconds if row.cost.timing and row.cost.timing.realised else None,
        "time",
        "they were not timed beside their twins",
        most=_MOST_POINTS,
    )
    data = data_of(rows, subject)
    for datum, row in zip(data, rows, strict=True):
        timing = row.cost.timing
        assert timing is not None
        datum.update(_times(row))
        datum["promised"], datum["realised"] = timing.promised, timing.realised
        datum["low"], datum["high"] = timing.realised_interval or (None, None)
    data = [datum for datum in data if datum["promised"]]
    _name_the_worst(data, rows)
    values = [datum[key] for datum in data for key in ("promised", "realised")]
    about = CHARTS["realised"].about
    lines = [_kept(report)] if report.timing else []
    return finished(
        layered(*_promise_lines(values), *_realised_points(data, values)),
        CHARTS["realised"].title,
        [*lines, *notes],
        height=440,
        about=about,
    )


def _kept(report: AuditReport) -> str:
    timing = report.timing
    assert timing is not None
    if timing.too_noisy:
        return f"No verdict: {safe(timing.too_noisy)}."
    if timing.promised is None or timing.realised is None:
        return "What all groups together realise was not measured."
    of = human_percentage(timing.realised / timing.promised)
    return (
        f"All together promise {three_digits(timing.promised)}x and realise {three_digits(timing.realised)}x "
        f"({of}). On the dashed line a promise is kept; bars are 95% intervals."
    )


def _name_the_worst(data: Sequence[Datum], rows: Sequence[Drawn]) -> None:
    """Labels for those that fall furthest short, equal ones once."""
    told: set[tuple[float, str]] = set()
    for datum in sorted(data, key=lambda datum: datum["realised"] / datum["promised"]):
        like = (datum["promised"], datum["shape"])
        datum["named"] = datum["label"] if len(told) < _NAMED and like not in told else ""
        told.add(like)


def _promise_lines(values: Sequence[float]) -> list[alt.Chart]:
    if not values:
        return []
    low, high = min(*values, 1.0), max(values)
    ends = [
        {"x": low, "y": low, "line": "kept", "text": ""},
        {"x": high, "y": high, "line": "kept", "text": "promise kept"},
        {"x": low, "y": 1.0, "line": "none", "text": ""},
        {"x": high, "y": 1.0, "line": "none", "text": "as fast as groups=1"},
    ]
    base = alt.Chart(inline(ends)).encode(x="x:Q", y="y:Q")
    return [
        base.mark_line(strokeDash=[5, 4], strokeWidth=1.5, color=QUIET).encode(detail="line:N"),
        base.mark_text(align="right", dy=-8, fontSize=11).encode(text="text:N"),
    ]


def _realised_points(data: Sequence[Datum], values: Sequence[float]) -> list[alt.Chart]:
    ticks = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
    small = [0.25, 0.5] if values and log10(min(values)) < 0 else []
    axis = alt.Axis(values=[*small, *ticks], labelExpr="datum.value + 'x'")
    base = alt.Chart(inline(data)).encode(
        x=alt.X("promised:Q", title="promised: MACs of groups=1 / MACs", axis=axis, scale=log_scale()),
        color=kind_colour(data),
    )
    y = alt.Y("realised:Q", title="realised: time of groups=1 / time", axis=axis, scale=log_scale())
    return [
        base.transform_filter("isValid(datum.low)").mark_rule(opacity=0.6).encode(y="low:Q", y2="high:Q"),
        base.mark_point(filled=True, size=80, opacity=0.85).encode(
            y=y,
            shape=kind_shape(data),
            stroke=if_chosen("currentColor", "transparent"),
            size=if_chosen(260, 80),
            tooltip=tooltip(LAYER_TOOLTIP | _FACTORS | _TIMES),
        ),
        base.mark_text(align="left", dx=9, dy=3, fontSize=10).encode(
            y=y, text="named:N", color=alt.value("currentColor")
        ),
    ]
