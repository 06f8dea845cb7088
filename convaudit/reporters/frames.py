"""A report as rows for pandas: the columns of the CSV, shapes as tuples, and what sums over all calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convaudit.formulas import Count, multiply
from convaudit.formulas.proportion import ratio
from convaudit.records import AuditReport, LayerCost
from convaudit.reporters.csv import CSV_COLUMNS, nested_columns

if TYPE_CHECKING:
    import pandas

TOTAL_COLUMNS = {
    "macs": "macs_total",
    "flops": "flops_total",
    "dense_macs": "dense_macs_total",
    "macs_saved": "macs_saved_total",
}
"""Counts of one call, and the columns of all calls of a run: that many times ``calls``."""
SHARES = ("share", "share_conv")
_LARGEST = 2**63 - 1


def frame_of(report: AuditReport) -> pandas.DataFrame:
    """One row a layer. Counts that depend on open dimensions are text, what is unknown is missing.

    Raises:
        ImportError: pandas is not installed.
    """
    import pandas

    rows = [_row(layer, report) for layer in report.layers]
    columns = {name: _values([row[name] for row in rows]) for name in frame_columns()}
    return pandas.DataFrame(columns)


def frame_columns() -> tuple[str, ...]:
    """The columns of the CSV, each total after what it is a total of, the shares at the end of the counts."""
    names: list[str] = []
    for name in CSV_COLUMNS:
        if name not in SHARES:
            names += [name, *([TOTAL_COLUMNS[name]] if name in TOTAL_COLUMNS else [])]
    at = names.index(TOTAL_COLUMNS["macs_saved"]) + 1
    return (*names[:at], *SHARES, *names[at:])


def _row(layer: LayerCost, report: AuditReport) -> dict[str, Any]:
    row = {name: _tuples(value) for name, value in nested_columns(layer).items()}
    totals = {name: multiply(getattr(layer, count), layer.calls) for count, name in TOTAL_COLUMNS.items()}
    macs = totals["macs_total"]
    row |= {name: _plain(total) for name, total in totals.items()}
    row["share"] = ratio(macs, report.totals.model_macs)
    row["share_conv"] = ratio(macs, report.totals.macs)
    return row


def _plain(count: Count | None) -> int | str | None:
    return count if count is None or isinstance(count, int) else str(count)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _values(values: list[Any]) -> Any:
    """Integers stay exact where others are missing, of which pandas would make floats."""
    import pandas

    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {int} and all(value is None or abs(value) <= _LARGEST for value in values):
        return pandas.array(values, dtype="Int64" if None in values else "int64")
    if kinds == {float}:
        return pandas.Series(values, dtype="float64")
    return pandas.Series(values, dtype="bool" if kinds == {bool} and None not in values else "object")
