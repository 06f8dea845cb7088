"""What all charts have in common: size, type, colours by kind, tooltips, and the layer that is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from textwrap import wrap
from typing import Any

import altair as alt

from convaudit.reporters.charts.rows import Datum, kinds_of
from convaudit.reporters.colours import KIND_COLOURS, KIND_SHAPES, QUIET, THEMES

CHART_WIDTH = 720
ROW_HEIGHT = 17
"""Height of a layer's row in pixels."""
_EXACT = 2**53
_LINE = 105  # characters of a subtitle's line
_INK = "currentColor"
_GRID = "#84848440"
LAYER_TOOLTIP = {
    "name": "layer",
    "kind": "kind",
    "shape": "convolution",
    "output": "output",
    "params_text": "params",
    "macs_text": "MACs",
    "dense_text": "MACs, groups=1",
    "share": "share of conv MACs",
}
"""The fields that every chart of layers tells of one under the mouse, with their titles."""


def inline(data: Sequence[Datum]) -> alt.InlineData:
    """Rows as the chart's own data; a larger integer than JavaScript's exact ones is a float."""
    return alt.InlineData(values=[{key: _drawable(value) for key, value in datum.items()} for datum in data])


def _drawable(value: Any) -> Any:
    return float(value) if isinstance(value, int) and abs(value) > _EXACT else value


def layered(*charts: alt.Chart) -> alt.LayerChart:
    """Charts on top of each other, the first one at the bottom."""
    return alt.LayerChart(layer=list(charts))


def tooltip(fields: Mapping[str, str]) -> list[alt.Tooltip]:
    """Fields with their titles, all of them text."""
    return [alt.Tooltip(field=field, type="nominal", title=title) for field, title in fields.items()]


def kind_colour(data: Sequence[Datum], *, legend: bool = True) -> alt.Color:
    """Colours by kind, with a legend of the kinds that are drawn."""
    return alt.Color(field="kind", type="nominal", title=None, scale=_by_kind(data, KIND_COLOURS)).legend(
        alt.Legend(orient="top", symbolType="square", symbolOpacity=1) if legend else None
    )


def kind_shape(data: Sequence[Datum]) -> alt.Shape:
    """A shape for each kind, beside its colour."""
    return alt.Shape(field="kind", type="nominal", title=None, scale=_by_kind(data, KIND_SHAPES)).legend(
        alt.Legend(orient="top", symbolOpacity=1)
    )


def _by_kind(data: Sequence[Datum], values: Mapping[str, str]) -> alt.Scale:
    kinds = kinds_of(data)
    return alt.Scale(domain=kinds, range=[values[kind] for kind in kinds])


def names_axis(data: Sequence[Datum]) -> alt.Y:
    """The layers' names, one row each, in the order of the data."""
    labels = [datum["label"] for datum in data]
    scale = alt.Scale(domain=labels)
    return alt.Y(field="label", type="nominal", title=None, scale=scale).axis(
        labelLimit=230, ticks=False, domain=False, grid=True
    )


def counts_axis() -> alt.Axis:
    """An axis of counts from 0 on, above the rows."""
    return alt.Axis(labelExpr="datum.value ? format(datum.value, '~s') : '0'", orient="top", tickCount=6)


def log_scale(padding: int = 24) -> alt.Scale:
    """A logarithmic scale that ends where the data does, with room for labels in pixels."""
    return alt.Scale(type="log", nice=False, padding=padding)


def log_axis(values: Sequence[float], form: str = "~s", **more: Any) -> alt.Axis:
    """An axis with a line at each power of ten, or where these are few at 1, 2 and 5 times such."""
    low, high = min(values, default=1.0), max(values, default=1.0)
    decades = range(floor(log10(low)) - 1, ceil(log10(high)) + 2)
    steps = (1,) if log10(high / low) > 2 else (1, 2, 5)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    return alt.Axis(values=ticks, format=form, **more)


def if_chosen(yes: Any, no: Any) -> Any:
    """A value for the chosen layer, another one for the rest."""
    return alt.condition("datum.layer === chosen", alt.value(yes), alt.value(no))


def finished(
    chart: alt.LayerChart, title: str, lines: Sequence[str], *, height: int, about: str
) -> alt.LayerChart:
    """The chart with its title, what it leaves out below that, and the house's type and colours."""
    subtitle = [piece for line in lines for piece in wrap(line, _LINE)]
    chart = chart.properties(
        width=CHART_WIDTH,
        height=height,
        title=alt.Title(title, subtitle=subtitle),
        description=f"{title}: {about}",
        usermeta={"embedOptions": {"renderer": "svg"}},  # a canvas takes no colour from the page it is in
    ).add_params(alt.param(name="chosen", value=-1))
    configured: alt.LayerChart = (
        chart.configure(background="transparent", font="system-ui, sans-serif", padding=4)
        .configure_view(stroke=None)
        .configure_title(
            anchor="start", color=_INK, subtitleColor=_INK, fontSize=15, subtitleFontSize=12, offset=10
        )
        .configure_axis(
            labelColor=_INK,
            titleColor=_INK,
            gridColor=_GRID,
            domainColor=QUIET,
            tickColor=QUIET,
            labelFontSize=11,
            titleFontSize=12,
            titleFontWeight="normal",
            titlePadding=8,
        )
        .configure_legend(labelColor=_INK, titleColor=_INK, labelFontSize=12)
        .configure_text(color=_INK)
    )
    return configured


def with_theme(chart: alt.LayerChart, theme: str | None) -> alt.LayerChart:
    """The chart in the colours of a theme, or of the page that it is in."""
    if theme is None:
        return chart
    background, ink = THEMES[theme]
    spec = _inked(chart.to_dict(), ink)
    spec["config"]["background"] = background
    themed: alt.LayerChart = alt.LayerChart.from_dict(spec)
    return themed


def _inked(value: Any, ink: str) -> Any:
    if isinstance(value, dict):
        return {key: _inked(item, ink) for key, item in value.items()}
    if isinstance(value, list):
        return [_inked(item, ink) for item in value]
    return ink if value == _INK else value
