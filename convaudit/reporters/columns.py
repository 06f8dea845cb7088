"""The columns of the tables for people, and which layers they list in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from convaudit.errors import UsageError, did_you_mean
from convaudit.formulas.growth import ratio
from convaudit.records import KINDS, AuditReport, LayerCost
from convaudit.reporters import View
from convaudit.reporters.cells import (
    bits_text,
    channels_text,
    error_text,
    intensity_text,
    kernel_text,
    macs_text,
    share_of,
    status_text,
)
from convaudit.reporters.filling import Column, LayerColumn, count_column, counts, largest_first, text_column
from convaudit.reporters.lines import verified_text
from convaudit.reporters.text import printable
from convaudit.reporters.time_cells import TIME_COLUMNS, model_time_columns
from convaudit.shapes import as_text
from convaudit.units import human, human_percentage

_Value = TypeVar("_Value")


def _macs(layers: Sequence[LayerCost], report: AuditReport) -> Column:
    column = counts("MACs", [layer.macs for layer in layers], report.totals.macs_at_least)
    return column if report.totals.macs is not None else replace(column, total=f">={column.total}")


def _names(layers: Sequence[LayerCost], report: AuditReport) -> Column:
    names = [printable(layer.name) for layer in layers]
    return Column(header="layer", cells=names, total=f"total of {report.totals.layers}", left=True)


def _shares(layers: Sequence[LayerCost], report: AuditReport) -> Column:
    shares = [human_percentage(share_of(layer, report.totals)) for layer in layers]
    return Column(header="share", cells=shares, total="100.0%" if report.totals.macs else "")


def _inaccuracy(layer: LayerCost) -> float | None:
    bits = None if layer.verification is None else layer.verification.bits
    return None if bits is None else -bits


COLUMNS: dict[str, LayerColumn] = {
    "name": LayerColumn(fill=_names, order=lambda layer, totals: layer.name),
    "op": text_column("op", lambda layer: layer.op),
    "kind": text_column("kind", lambda layer: layer.kind),
    "channels": text_column("channels", channels_text, left=False),
    "kernel": text_column("kernel", kernel_text),
    "input": text_column("input", lambda layer: as_text(layer.input_shape)),
    "output": text_column("output", lambda layer: as_text(layer.output_shape)),
    "weight": text_column("weight", lambda layer: as_text(layer.weight_shape)),
    "dtype": text_column("dtype", lambda layer: layer.dtype),
    "groups": text_column(
        "groups", lambda layer: str(layer.groups), left=False, number=lambda layer: layer.groups
    ),
    "calls": text_column(
        "calls",
        lambda layer: "?" if layer.calls is None else str(layer.calls),
        left=False,
        number=lambda layer: layer.calls,
    ),
    "params": count_column("params", "params"),
    "macs": replace(count_column("MACs", "macs"), fill=_macs),
    "flops": count_column("FLOPs", "flops"),
    "dense_params": count_column("params g=1", "dense_params"),
    "dense_macs": count_column("MACs g=1", "dense_macs"),
    "params_saved": count_column("params saved", "params_saved"),
    "macs_saved": count_column("saved", "macs_saved"),
    "share": LayerColumn(fill=_shares, order=lambda layer, totals: largest_first(share_of(layer, totals))),
    "weight_bytes": count_column("weight bytes", "weight_bytes"),
    "activation_bytes": count_column("in+out bytes", "activation_bytes", summed=False),
    "intensity": text_column(
        "FLOPs/byte", intensity_text, left=False, number=lambda layer: layer.arithmetic_intensity
    ),
    "verified": text_column("verified", status_text),
    "bits": text_column("bits", bits_text, left=False, number=_inaccuracy),
    "error": text_column("max error", error_text, left=False),
    **TIME_COLUMNS,
}
"""What can be shown of each layer: one row serves the table, Markdown, ``--columns`` and ``--sort``."""


def select(report: AuditReport, view: View) -> tuple[LayerCost, ...]:
    """The layers to list. ``top`` without ``sort`` takes those of the most MACs, or of the most time.

    Raises:
        UsageError: The kind, or the column to sort by, is unknown.
    """
    layers = list(report.layers)
    if view.only is not None:
        lookup(dict.fromkeys(KINDS), view.only, "kind")
        layers = [layer for layer in layers if view.only in layer.kinds]
    costliest = "macs" if report.timing is None else "time_share"
    sort = view.sort or (costliest if view.top is not None else None)
    if sort is not None:
        orders = {key: column.order for key, column in COLUMNS.items() if column.order is not None}
        order = lookup(orders, sort, "sort key")
        layers.sort(key=lambda layer: order(layer, report.totals))
    return tuple(layers[: view.top])


def filled_columns(
    report: AuditReport, layers: Sequence[LayerCost], keys: Sequence[str] | None = None
) -> dict[str, Column]:
    """The columns of the layers to list.

    Args:
        report: What an audit found.
        layers: Those of its layers that are listed.
        keys: The names of the columns; None: the usual ones.

    Raises:
        UsageError: A column is unknown.
    """
    columns = {key: lookup(COLUMNS, key, "column") for key in keys or _usual_columns(report)}
    return {key: column.fill(layers, report) for key, column in columns.items()}


def _usual_columns(report: AuditReport) -> tuple[str, ...]:
    """What the table shows when nobody chose; what is the same in every row goes unsaid."""
    layers = report.layers
    if report.timing is not None:
        return _timed_columns(report)
    calls = ("calls",) if any(layer.calls != 1 for layer in layers) else ()
    saved = ("macs_saved",) if any(layer.groups != 1 for layer in layers) else ()
    share = ("share",) if report.totals.macs is not None else ()
    verified = ("verified", "bits") if any(layer.verification is not None for layer in layers) else ()
    return (
        *("name", "kind", "channels", "kernel", "output", "groups"),
        *(*calls, "params", "macs", *saved, *share, *verified),
    )


def _timed_columns(report: AuditReport) -> tuple[str, ...]:
    """The usual columns of who asked for times: what a layer is, and what was measured of it."""
    layers = report.layers
    timings = [layer.timing for layer in layers if layer.timing is not None]
    grouped = any(layer.groups > 1 for layer in layers)
    measured = any(timing.realised is not None for timing in timings)
    shown = {
        "calls": any(layer.calls != 1 for layer in layers),
        "time_share": any(timing.model_share is not None for timing in timings),
        "promised": grouped,
        "realised": grouped and measured,
        "efficiency": grouped and measured,
        "bound": any(timing.bound is not None for timing in timings),
        "ran": any(timing.kernel is not None for timing in timings),
        "reorders": any(timing.reorders for timing in timings),
        "verified": any(layer.verification is not None for layer in layers),
    }
    keys = ("name", "kind", "channels", "kernel", "groups", "calls", "macs", "time", *tuple(shown)[1:])
    return tuple(key for key in keys if shown.get(key, True))


def model_columns(reports: Sequence[AuditReport]) -> dict[str, Column]:
    """The columns of several models, one row each."""
    totals = [report.totals for report in reports]
    columns = {
        "name": Column(header="model", cells=[printable(report.source) for report in reports], left=True),
        "layers": Column(header="layers", cells=[str(total.layers) for total in totals]),
        "params": Column(header="params", cells=[printable(human(total.params)) for total in totals]),
        "macs": Column(header="MACs", cells=[macs_text(total) for total in totals]),
        "saved": Column(
            header="saved",
            cells=[human_percentage(ratio(total.macs_saved, total.dense_macs)) for total in totals],
        ),
        "model_params": Column(header="model params", cells=[human(total.model_params) for total in totals]),
        "model_macs": Column(
            header="model MACs", cells=[printable(human(total.model_macs)) for total in totals]
        ),
    }
    if any(report.timing for report in reports):
        columns |= model_time_columns(reports)
    if any(layer.verification for report in reports for layer in report.layers):
        cells = [verified_text(report) for report in reports]
        columns["verified"] = Column(header="verified", cells=cells, left=True)
    return columns


def lookup(table: Mapping[str, _Value], key: str, what: str) -> _Value:
    """What a table has under a name that somebody typed.

    Raises:
        UsageError: There is no such name; the message has the nearest one, and all.
    """
    if key in table:
        return table[key]
    hint = did_you_mean(key, table) or ";"
    raise UsageError(f"unknown {what} {key!r}{hint} choose from {', '.join(table)}")
