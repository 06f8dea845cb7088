"""CSV: one row a layer, or a model; exact integers, formulas as text, empty where unknown."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from convaudit.records import AuditReport, LayerCost, Verification
from convaudit.records.timing import Timing
from convaudit.reporters import DEFAULT_VIEW, View
from convaudit.reporters.columns import lookup
from convaudit.reporters.plain import keys_of, plain
from convaudit.reporters.selection import selected_layers
from convaudit.reporters.text import printable
from convaudit.shapes import as_text

if TYPE_CHECKING:
    from convaudit.records.findings import LintReport
    from convaudit.records.timing import Sweep

Scalar: TypeAlias = str | int | float | bool | None
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # wide ones too
_NESTED = ("formula", "verification", "timing", "branches")
_VERDICT = tuple(key for key in keys_of(Verification) if key != "worst_index")
_INTERVAL, _ENDS = "realised_interval", ("realised_low", "realised_high")
_TIMING = tuple(name for key in keys_of(Timing) for name in (_ENDS if key == _INTERVAL else (key,)))
_MODEL_TIMING = (
    *("seconds", "spread", "runs", "grouped_layers", "left_out", "promised", "realised", *_ENDS),
    *("efficiency", "with_reorders", "noise", "too_noisy"),
)
"""Of a whole model: what is one number."""
CSV_COLUMNS = (
    *(key for key in keys_of(LayerCost) if key not in _NESTED),
    *(f"verification_{key}" for key in _VERDICT),
    *(f"timing_{key}" for key in _TIMING),
)


def render_audit(report: AuditReport, view: View = DEFAULT_VIEW) -> str:
    """A header and one line a layer.

    Raises:
        UsageError: A column is not one of ``CSV_COLUMNS``.
    """
    for column in view.columns or ():
        lookup(dict.fromkeys(CSV_COLUMNS), column, "CSV column")
    return _written(
        [flat_layer(layer) for layer in selected_layers(report, view)],
        view.columns or CSV_COLUMNS,
    )


def render_models(reports: Sequence[AuditReport], view: View = DEFAULT_VIEW) -> str:
    """A header and one line a model."""
    rows = [_flat_model(report) for report in reports]
    return _written(rows, list(rows[0]))


def render_sweep(sweep: Sweep, view: View = DEFAULT_VIEW) -> str:
    """A header and one line for each number of groups."""
    return render_sweeps([sweep], view)


def render_sweeps(sweeps: Sequence[Sweep], view: View = DEFAULT_VIEW) -> str:
    """The same of several layers, one below the other."""
    from convaudit.records.timing import SweepRow

    columns = [key for key in keys_of(SweepRow) if key != "formula"]
    keys = [name for key in columns for name in (_ENDS if key == _INTERVAL else (key,))]
    named = [({"source": sweep.source, "layer": sweep.layer}, row) for sweep in sweeps for row in sweep.rows]
    rows = [
        {**name, **{key: _flat(value) for key, value in _with_ends(plain(row)).items()}}
        for name, row in named
    ]
    return _written(rows, ["source", "layer", *keys])


def render_lint(reports: Sequence[LintReport], view: View = DEFAULT_VIEW) -> str:
    """A header and one line for each finding of every model; channels as ``0-3 17``."""
    from convaudit.records.findings import Finding
    from convaudit.reporters.findings import channel_ranges

    columns = ("source", *(key for key in keys_of(Finding) if key != "formula"))
    rows = []
    for report in reports:
        for finding in report.findings:
            nested = plain(finding)
            flat = {key: nested["formula"].get(key, value) for key, value in nested.items()}
            if finding.channels is not None:
                flat["channels"] = channel_ranges(finding.channels, None).replace(",", "")
            rows.append({"source": report.source, **flat})
    return _written(rows, columns)


def flat_layer(layer: LayerCost) -> dict[str, Scalar]:
    """The JSON layer without nesting: ``1x3x224x224``, ``118013952*batch``, ``verification_status``."""
    return {key: _flat(value) for key, value in nested_columns(layer).items()}


def nested_columns(layer: LayerCost) -> dict[str, Any]:
    """The same, its shapes still lists."""
    nested = plain(layer)
    verdict = nested["verification"] or {}
    flat = {key: nested["formula"].get(key, value) for key, value in nested.items() if key not in _NESTED}
    flat["notes"] = "; ".join(nested["notes"])
    flat |= {f"verification_{key}": verdict.get(key) for key in _VERDICT}
    times = _with_ends(nested["timing"] or {})
    return flat | {f"timing_{key}": times.get(key) for key in _TIMING}


def _with_ends(times: Mapping[str, Any]) -> dict[str, Any]:
    """An interval is two numbers, each in a column of its own."""
    low, high = times.get(_INTERVAL) or (None, None)
    return {key: value for key, value in times.items() if key != _INTERVAL} | dict(
        zip(_ENDS, (low, high), strict=True)
    )


def _flat_model(report: AuditReport) -> dict[str, Scalar]:
    totals = plain(report.totals)
    formula = totals.pop("formula")
    exact = {key: formula.get(key, value) for key, value in totals.items()}
    times = _with_ends(plain(report.timing) if report.timing is not None else {})
    return {
        "source": report.source,
        "format": report.format,
        "file_bytes": report.file_bytes,
        **exact,
        **{f"timing_{key}": _flat(times.get(key)) for key in _MODEL_TIMING},
    }


def _written(rows: Sequence[Mapping[str, Scalar]], columns: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row[column]) for column in columns] for row in rows)
    return text.getvalue()


def _flat(value: Any) -> Scalar:
    """A list as text: sizes with ``x`` between them, padding as ``1:1x0:1``."""
    if not isinstance(value, list):
        return value  # type: ignore[no-any-return]  # a scalar, as the JSON's schema says
    if any(isinstance(item, list) for item in value):
        return "x".join(f"{before}:{after}" for before, after in value)
    return as_text(value)


def _cell(value: Scalar) -> Scalar:
    """Text that a spreadsheet would take for a formula gets an apostrophe: names come from the file."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
