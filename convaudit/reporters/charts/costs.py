"""Charts of what layers cost: MACs beside groups=1, parameters against MACs."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10, prod

import altair as alt

from convaudit.records import AuditReport, LayerCost
from convaudit.reporters.charts import CHARTS
from convaudit.reporters.charts.drawing import (
    LAYER_TOOLTIP,
    ROW_HEIGHT,
    counts_axis,
    finished,
    if_chosen,
    inline,
    kind_colour,
    kind_shape,
    layered,
    log_axis,
    log_scale,
    names_axis,
    tooltip,
)
from convaudit.reporters.charts.rows import (
    MOST_DRAWABLE,
    UNKNOWN,
    Datum,
    Subject,
    data_of,
    largest_rows,
    safe,
    undrawn,
)
from convaudit.reporters.colours import QUIET
from convaudit.shapes import as_text
from convaudit.units import human, human_percentage

_MOST_POINTS = 2000
_MOST_DIAGONALS = 5
_AXIS, _LABEL, _LINE = 330, 75, 12  # pixels: of an axis, of a label's width and height


def make_macs(report: AuditReport) -> alt.LayerChart:
    """A row for each layer, in the model's order: its MACs, and where it has groups, those without."""
    subject = Subject(report)
    rows, notes = largest_rows(subject.rows, lambda row: row.macs or None, "MACs", UNKNOWN)
    data = data_of(rows, subject)
    for datum, row in zip(data, rows, strict=True):
        ratio = row.dense_macs / row.macs if row.dense_macs and row.macs and row.cost.groups > 1 else None
        datum["saved"] = None if ratio is None else f"{ratio:,.0f}x"
        datum["dense_drawn"] = None if ratio is None else row.dense_macs
    grouped = any(datum["saved"] for datum in data)
    chart = _dumbbells(data) if grouped else _bars(data)
    lines = [*([_said(subject)] if grouped else []), *subject.notes, *notes]
    height = max(ROW_HEIGHT * len(data), 2 * ROW_HEIGHT)
    return finished(chart, CHARTS["macs"].title, lines, height=height, about=CHARTS["macs"].about)


def _said(subject: Subject) -> str:
    totals = subject.report.totals
    saved, dense = subject.number(totals.macs_saved), subject.number(totals.dense_macs)
    share = (
        f"Groups save {human_percentage(saved / dense)} of {human(dense)} MACs. " if saved and dense else ""
    )
    return f"{share}Filled: as it is; ring: with groups=1; between them, what groups save, on a log scale."


def _bars(data: Sequence[Datum]) -> alt.LayerChart:
    base = alt.Chart(inline(data)).encode(y=names_axis(data))
    axis = counts_axis()
    bars = base.mark_bar().encode(
        x=alt.X("macs:Q", title="MACs of one run", axis=axis),
        color=kind_colour(data),
        stroke=if_chosen("currentColor", "transparent"),
        tooltip=tooltip(LAYER_TOOLTIP),
    )
    values = base.mark_text(align="left", dx=4, fontSize=10).encode(x="macs:Q", text="macs_text:N")
    return layered(bars, values)


def _dumbbells(data: Sequence[Datum]) -> alt.LayerChart:
    base = alt.Chart(inline(data)).encode(y=names_axis(data), tooltip=tooltip(LAYER_TOOLTIP))
    values = [datum[key] for datum in data for key in ("macs", "dense_drawn") if datum[key]]
    axis = log_axis(values, orient="top")
    x = alt.X("macs:Q", title="MACs of one run", axis=axis, scale=log_scale(padding=30))
    colour = kind_colour(data)
    saved = base.transform_filter("isValid(datum.dense_drawn)")
    lines = saved.mark_rule(strokeWidth=3, opacity=0.35).encode(x=x, x2="dense_drawn:Q", color=colour)
    rings = saved.mark_point(filled=False, size=50, strokeWidth=1.5, opacity=1).encode(
        x="dense_drawn:Q", color=colour
    )
    dots = base.mark_circle(size=75, opacity=1).encode(
        x=x, color=colour, stroke=if_chosen("currentColor", "transparent"), strokeWidth=if_chosen(3, 0)
    )
    factors = saved.mark_text(align="left", dx=8, fontSize=10).encode(x="dense_drawn:Q", text="saved:N")
    return layered(lines, rings, dots, factors)


def make_params(report: AuditReport) -> alt.LayerChart:
    """A point for each layer, both axes logarithmic; layers with the same output lie on a diagonal."""
    subject = Subject(report)
    rows = [row for row in subject.rows if row.macs and row.params]
    notes = undrawn(len(subject.rows) - len(rows), UNKNOWN.replace("their", "their parameters or"))
    if len(rows) > _MOST_POINTS:
        notes.append(f"Only the {_MOST_POINTS:,} layers of the most MACs out of {len(rows):,}.")
        rows = sorted(rows, key=lambda row: -(row.macs or 0))[:_MOST_POINTS]
    data = data_of(rows, subject)
    points = (
        alt.Chart(inline(data))
        .mark_point(filled=True, size=70, opacity=0.8)
        .encode(
            x=alt.X("params:Q", title="parameters", axis=_axis(data, "params"), scale=log_scale()),
            y=alt.Y("macs:Q", title="MACs of one run", axis=_axis(data, "macs"), scale=log_scale()),
            color=kind_colour(data),
            shape=kind_shape(data),
            stroke=if_chosen("currentColor", "transparent"),
            size=if_chosen(260, 70),
            tooltip=tooltip(LAYER_TOOLTIP),
        )
    )
    lines = [
        "Both scales are logarithmic. Along a line, each weight is used equally often: once per position."
    ]
    chart = layered(*_diagonals([row.cost for row in rows], data), points)
    about = CHARTS["params"].about
    return finished(chart, CHARTS["params"].title, [*lines, *subject.notes, *notes], height=420, about=about)


def _axis(data: Sequence[Datum], field: str) -> alt.Axis:
    return log_axis([datum[field] for datum in data])


def _part_labels(ends: Sequence[Datum]) -> None:
    """Leave out labels that would lie on one that begins at their left, on axes as long as a page's."""
    width, height = (
        max(1.0, log10(max(end[key] for end in ends) / min(end[key] for end in ends))) for key in "xy"
    )
    kept: list[tuple[float, float]] = []
    for end in sorted((end for end in ends if end["text"]), key=lambda end: end["x"]):
        x, y = log10(end["x"]) / width * _AXIS, log10(end["y"]) / height * _AXIS
        if any(x - left < _LABEL and abs(y - level) < _LINE for left, level in kept):
            end["text"] = ""
        else:
            kept.append((x, y))


def _diagonals(layers: Sequence[LayerCost], data: Sequence[Datum]) -> list[alt.Chart]:
    """Faint lines through the layers of the commonest outputs: their MACs are parameters times positions."""
    alike: dict[tuple[str, int], list[int]] = {}
    for layer, datum in zip(layers, data, strict=True):
        spatial = (layer.output_shape or ())[2:]
        if layer.layout == "channels_first" and not layer.transposed and layer.calls == 1:
            positions = prod(size if isinstance(size, int) else 0 for size in spatial)
            if 0 < positions < MOST_DRAWABLE:
                alike.setdefault((safe(as_text(spatial)), positions), []).append(datum["params"])
    common = sorted(alike.items(), key=lambda item: -len(item[1]))[:_MOST_DIAGONALS]
    segments = [
        {"x": end, "y": end * positions, "line": text, "text": f"{text} output" if last else ""}
        for (text, positions), params in common
        if min(params) < max(params)
        for end, last in ((min(params) / 2, False), (max(params) * 2, True))
    ]
    if not segments:
        return []
    _part_labels(segments)
    base = alt.Chart(inline(segments)).encode(x="x:Q", y="y:Q")
    return [
        base.mark_line(strokeDash=[3, 4], strokeWidth=1, color=QUIET).encode(detail="line:N"),
        base.mark_text(align="left", dx=4, fontSize=10, opacity=0.8).encode(text="text:N"),
    ]
