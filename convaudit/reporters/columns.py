"""The columns of the tables for people: one vocabulary for tables, CSV and ``--sort``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from convaudit.analyzer.blocks import Member
from convaudit.errors import UsageError, did_you_mean
from convaudit.records import AuditReport, LayerCost, OtherLayer
from convaudit.reporters.cells import (
    bits_text,
    channels_text,
    error_text,
    intensity_at,
    kernel_text,
    status_text,
)
from convaudit.reporters.filling import (
    Column,
    LayerColumn,
    count_column,
    largest_first,
    member_column,
    text_column,
)
from convaudit.reporters.shown import Shown, shown
from convaudit.reporters.text import printable
from convaudit.reporters.time_cells import TIME_COLUMNS
from convaudit.shapes import as_text
from convaudit.units import human

_Value = TypeVar("_Value")
_CONVS_ARE_ALL = 0.995
"""The convolutions' part of a model's MACs from which on ``share`` and ``share_conv`` say the same."""


def _names(rows: Sequence[Member], shown: Shown) -> Column:
    return Column(
        header="layer",
        cells=[printable(row.name) for row in rows],
        listed="" if shown.listed is None else f"{len(rows)} listed",
        total=f"total of {len(shown.members)}",
        left=True,
    )


def _kind(row: Member, shown: Shown) -> str:
    return row.op if isinstance(row, OtherLayer) else row.kind


def _shape(key: str) -> Any:
    """At the example's sizes, unless these only stand for multiples."""

    def text(row: Member, shown: Shown) -> str:
        shape = getattr(row, key)
        return as_text(shape if shown.example.factor else shown.example.shape(shape))

    return text


def _calls(row: Member, shown: Shown) -> str:
    return shown.example.text(row.calls)


def _more_calls(row: Member, shown: Shown) -> Any:
    return largest_first(row.calls, shown.example)


def _macs_column(header: str, key: str, about: str, factor: int) -> LayerColumn:
    """Where a total is unknown, it says what it is at least."""
    column = count_column(
        header,
        key,
        about=about,
        of_all_ops=True,
        part=lambda sums: None if sums.macs is None else factor * sums.macs,
    )

    def fill(rows: Sequence[Member], shown: Shown) -> Column:
        filled = column.fill(rows, shown)
        known = shown.known_macs if shown.all_ops else shown.conv_macs
        listed, total = filled.listed, filled.total
        if shown.listed is not None and shown.listed.macs is None:
            listed = f">={human(factor * shown.listed.macs_at_least)}"
        if total == "?":
            total = f">={human(factor * known)}"
        return replace(filled, listed=listed, total=total)

    return replace(column, fill=fill)


def _shares(rows: Sequence[Member], shown: Shown) -> Column:
    """Of the model's MACs; where some of these are unknown, what the share is at most."""
    most = "" if shown.model_macs is not None else "<="
    cells = ["?" if (share := shown.share(row)) is None else f"{most}{share:.1%}" for row in rows]
    return Column(
        header="share",
        cells=cells,
        listed=_part(shown.listed.macs if shown.listed else None, shown.known_macs, most),
        total=_part(_all_macs(shown), shown.known_macs, most),
    )


def _all_macs(shown: Shown) -> int | None:
    """MACs of all that may be listed; None: unknown."""
    return shown.model_macs if shown.all_ops else shown.example.value(shown.report.totals.macs)


def _conv_shares(rows: Sequence[Member], shown: Shown) -> Column:
    most = "" if shown.report.totals.macs is not None else "<="
    listed = shown.of_rows([row for row in rows if isinstance(row, LayerCost)]).listed
    return Column(
        header="of convs",
        cells=[
            ""
            if isinstance(row, OtherLayer)
            else "?"
            if (share := shown.share_conv(row)) is None
            else f"{most}{share:.1%}"
            for row in rows
        ],
        listed=_part(listed.macs, shown.conv_macs, most) if shown.listed and listed else "",
        total="100.0%" if shown.report.totals.macs else "",
    )


def _part(part: int | None, whole: int, most: str) -> str:
    return "" if part is None or not whole else f"{most}{part / whole:.1%}"


def _intensity(row: Member, shown: Shown) -> float | None:
    return intensity_at(row, shown.example) if isinstance(row, LayerCost) else None


def _intensity_text(row: Member, shown: Shown) -> str:
    intensity = _intensity(row, shown)
    return "?" if intensity is None else f"{intensity:.1f}"


def _inaccuracy(layer: LayerCost) -> float | None:
    bits = None if layer.verification is None else layer.verification.bits
    return None if bits is None else -bits


COLUMNS: dict[str, LayerColumn] = {
    "name": LayerColumn(about="the layer's name", fill=_names, order=lambda row, shown: row.name),
    "op": member_column("op", lambda row, shown: row.op, about="the operator"),
    "kind": member_column("kind", _kind, about="one word for the layer, or another op's name"),
    "channels": text_column("channels", channels_text, left=False, about="in->out"),
    "kernel": text_column(
        "kernel", kernel_text, about="size, stride, padding, dilation, output padding: 3x3 s2 p1 d2 o1"
    ),
    "input": member_column("input", _shape("input_shape"), about="sizes of the input"),
    "output": member_column("output", _shape("output_shape"), about="sizes of the output"),
    "weight": member_column("weight", _shape("weight_shape"), about="sizes of the weight"),
    "dtype": member_column("dtype", lambda row, shown: row.dtype, about="element type of the input"),
    "groups": text_column(
        "groups",
        lambda layer: str(layer.groups),
        left=False,
        number=lambda layer: layer.groups,
        about="number of groups",
    ),
    "calls": member_column(
        "calls", _calls, left=False, order=_more_calls, about="how often one run executes the layer"
    ),
    "params": count_column(
        "params",
        "params",
        about="elements of weight and bias",
        of_all_ops=True,
        part=lambda sums: sums.params,
    ),
    "macs": _macs_column("MACs", "macs", "multiply-accumulates of one call", 1),
    "flops": _macs_column("FLOPs", "flops", "2 * macs", 2),
    "dense_params": count_column("params g=1", "dense_params", about="params with groups=1"),
    "dense_macs": count_column("MACs g=1", "dense_macs", about="macs with groups=1"),
    "params_saved": count_column("params saved", "params_saved", about="dense_params - params"),
    "macs_saved": count_column(
        "saved", "macs_saved", about="dense_macs - macs", part=lambda sums: sums.macs_saved
    ),
    "share": LayerColumn(
        about="part of the MACs of the model, over all calls",
        fill=_shares,
        order=lambda row, shown: largest_first(shown.share(row), shown.example),
    ),
    "share_conv": LayerColumn(
        about="part of the MACs of all convolutions",
        fill=_conv_shares,
        order=lambda row, shown: largest_first(shown.share_conv(row), shown.example),
    ),
    "weight_bytes": count_column("weight bytes", "weight_bytes", about="bytes of weight and bias, as stored"),
    "activation_bytes": count_column(
        "in+out bytes", "activation_bytes", summed=False, about="bytes of input and output"
    ),
    "intensity": member_column(
        "FLOPs/byte",
        lambda row, shown: _intensity_text(row, shown) if isinstance(row, LayerCost) else "",
        left=False,
        order=lambda row, shown: largest_first(_intensity(row, shown), shown.example),
        about="FLOPs per byte of weight, bias, input and output",
    ),
    "verified": text_column("verified", status_text, about="the verdict"),
    "bits": text_column("bits", bits_text, left=False, number=_inaccuracy, about="bits of accuracy carried"),
    "error": text_column("max error", error_text, left=False, about="largest absolute error"),
    **TIME_COLUMNS,
}
"""What can be shown of each row: one entry serves the table, Markdown, CSV, ``--columns`` and ``--sort``."""


def filled_columns(
    report: AuditReport, rows: Sequence[Member], keys: Sequence[str] | None = None, *, all_ops: bool = False
) -> dict[str, Column]:
    """The columns of the rows to list.

    Args:
        report: What an audit found.
        rows: Those of its layers, and with ``all_ops`` of its other ops, that are listed.
        keys: The names of the columns; None: the usual ones.
        all_ops: Whether the other ops may be listed, and count in the last row.

    Raises:
        UsageError: A column is unknown.
    """
    about = shown(report, all_ops=all_ops).of_rows(rows)
    columns = {key: lookup(COLUMNS, key, "column") for key in keys or _usual_columns(about)}
    return {key: column.fill(rows, about) for key, column in columns.items()}


def _usual_columns(shown: Shown) -> tuple[str, ...]:
    """What the table shows when nobody chose; what is the same in every row goes unsaid."""
    report = shown.report
    layers = report.layers
    if report.timing is not None:
        return _timed_columns(report)
    calls = ("calls",) if any(row.calls != 1 for row in shown.members) else ()
    saved = ("macs_saved",) if any(layer.groups != 1 for layer in layers) else ()
    share = ("share",) if shown.known_macs else ()
    alike = shown.conv_macs >= shown.known_macs * _CONVS_ARE_ALL
    share_conv = () if alike or not shown.conv_macs else ("share_conv",)
    verified = ("verified", "bits") if any(layer.verification is not None for layer in layers) else ()
    return (
        *("name", "kind", "channels", "kernel", "output", "groups"),
        *(*calls, "params", "macs", *saved, *share, *share_conv, *verified),
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


def lookup(table: Mapping[str, _Value], key: str, what: str) -> _Value:
    """What a table has under a name that somebody typed.

    Raises:
        UsageError: There is no such name; the message has the nearest one, and all.
    """
    if key in table:
        return table[key]
    hint = did_you_mean(key, table) or ";"
    raise UsageError(f"unknown {what} {key!r}{hint} choose from {', '.join(table)}")
