"""The columns of the tables for people: one vocabulary for tables, CSV and ``--sort``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from convaudit.analyzer.blocks import Member
from convaudit.errors import UsageError, did_you_mean
from convaudit.records import AuditReport, LayerCost
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
from convaudit.reporters.row_columns import (
    calls_of_row,
    fill_conv_shares,
    fill_names,
    fill_shares,
    kind_of_row,
    macs_column,
    most_called_first,
    shape_at_example,
)
from convaudit.reporters.shown import Shown, shown
from convaudit.reporters.time_cells import TIME_COLUMNS

_Value = TypeVar("_Value")
_CONVS_ARE_ALL = 0.995
"""The convolutions' part of a model's MACs from which on ``share`` and ``share_conv`` say the same."""


def _intensity(row: Member, shown: Shown) -> float | None:
    return intensity_at(row, shown.example) if isinstance(row, LayerCost) else None


def _intensity_text(row: Member, shown: Shown) -> str:
    intensity = _intensity(row, shown)
    return "?" if intensity is None else f"{intensity:.1f}"


def _inaccuracy(layer: LayerCost) -> float | None:
    bits = None if layer.verification is None else layer.verification.bits
    return None if bits is None else -bits


COLUMNS: dict[str, LayerColumn] = {
    "name": LayerColumn(about="the layer's name", fill=fill_names, order=lambda row, shown: row.name),
    "op": member_column("op", lambda row, shown: row.op, about="the operator"),
    "kind": member_column("kind", kind_of_row, about="one word for the layer, or another op's name"),
    "channels": text_column("channels", channels_text, left=False, about="in->out"),
    "kernel": text_column(
        "kernel", kernel_text, about="size, stride, padding, dilation, output padding: 3x3 s2 p1 d2 o1"
    ),
    "input": member_column("input", shape_at_example("input_shape"), about="sizes of the input"),
    "output": member_column("output", shape_at_example("output_shape"), about="sizes of the output"),
    "weight": member_column("weight", shape_at_example("weight_shape"), about="sizes of the weight"),
    "dtype": member_column("dtype", lambda row, shown: row.dtype, about="element type of the input"),
    "groups": text_column(
        "groups",
        lambda layer: str(layer.groups),
        left=False,
        number=lambda layer: layer.groups,
        about="number of groups",
    ),
    "calls": member_column(
        "calls",
        calls_of_row,
        left=False,
        order=most_called_first,
        about="how often one run executes the layer",
    ),
    "params": count_column(
        "params",
        "params",
        about="elements of weight and bias",
        of_all_ops=True,
        part=lambda sums: sums.params,
    ),
    "macs": macs_column("MACs", "macs", "multiply-accumulates of one call", 1),
    "flops": macs_column("FLOPs", "flops", "2 * macs", 2),
    "dense_params": count_column("params g=1", "dense_params", about="params with groups=1"),
    "dense_macs": count_column("MACs g=1", "dense_macs", about="macs with groups=1"),
    "params_saved": count_column("params saved", "params_saved", about="dense_params - params"),
    "macs_saved": count_column(
        "saved", "macs_saved", about="dense_macs - macs", part=lambda sums: sums.macs_saved
    ),
    "share": LayerColumn(
        about="part of the MACs of the model, over all calls",
        fill=fill_shares,
        order=lambda row, shown: largest_first(shown.share(row), shown.example),
    ),
    "share_conv": LayerColumn(
        about="part of the MACs of all convolutions",
        fill=fill_conv_shares,
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


ALIASES = {
    "input": "input_shape",
    "output": "output_shape",
    "weight": "weight_shape",
    "intensity": "arithmetic_intensity",
    "verified": "verification_status",
    "bits": "verification_bits",
    "error": "verification_max_abs_error",
    "time": "timing_model_seconds",
    "time_share": "timing_model_share",
    "promised": "timing_promised",
    "realised": "timing_realised",
    "efficiency": "timing_efficiency",
    "bound": "timing_bound",
    "ran": "timing_kernel",
    "reorders": "timing_reorders",
    "seconds": "timing_seconds",
    "dense_seconds": "timing_dense_seconds",
    "dense_ran": "timing_dense_kernel",
    "spread": "timing_spread",
}
"""Short words for keys of the JSON: tables, CSV and ``--sort`` take either."""
_WORDS = {key: word for word, key in ALIASES.items()}


def is_word(key: str) -> bool:
    """Whether a column has that name: a word of the tables, or a key of the JSON."""
    from convaudit.reporters.csv import CSV_COLUMNS

    return key in COLUMNS or key in CSV_COLUMNS


def column_named(key: str) -> LayerColumn:
    """The column of a word, or of a key of the JSON: one that nobody laid out has the value as it is.

    Raises:
        UsageError: It is neither.
    """
    if (word := _WORDS.get(key, key)) in COLUMNS:
        return COLUMNS[word]
    from convaudit.reporters.csv import CSV_COLUMNS, flat_row

    if key not in CSV_COLUMNS:
        hint = did_you_mean(key, (*COLUMNS, *CSV_COLUMNS)) or ";"
        raise UsageError(
            f"unknown column {key!r}{hint} choose from {', '.join(COLUMNS)}, or the keys of --format json"
        )

    def value(row: Member) -> Any:
        found = flat_row(row)[key]
        return "" if found is None else found

    def order(row: Member, shown: Shown) -> tuple[bool, Any]:
        found = value(row)
        number = isinstance(found, int | float)
        return (not number, -found if number else str(found))

    column = member_column(key, lambda row, shown: str(value(row)), about="as in JSON")
    return replace(column, order=order)


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
    columns = {key: column_named(key) for key in keys or _usual_columns(about)}
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
