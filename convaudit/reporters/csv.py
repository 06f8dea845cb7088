"""CSV: one row a layer, or a model; exact integers, formulas as text, empty where unknown."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from convaudit.analyzer.blocks import Member
from convaudit.analyzer.examples import example_of
from convaudit.formulas.proportion import ratio
from convaudit.records import AuditReport, LayerCost, Verification
from convaudit.records.timing import Timing
from convaudit.reporters import DEFAULT_VIEW, View
from convaudit.reporters.columns import ALIASES, column_named, lookup
from convaudit.reporters.model_columns import selected_models
from convaudit.reporters.plain import keys_of, plain
from convaudit.reporters.selection import select
from convaudit.reporters.shown import shown
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
_MODEL_WORDS = ("name", "at", "saved")
"""Columns of the table of several models that the JSON has no key for."""
CSV_COLUMNS = (
    *(key for key in keys_of(LayerCost) if key not in _NESTED),
    *(f"verification_{key}" for key in _VERDICT),
    *(f"timing_{key}" for key in _TIMING),
)


def render_audit(report: AuditReport, view: View = DEFAULT_VIEW) -> str:
    """A header and one line a row; the columns are named as those of the tables, or by keys of the JSON.

    Raises:
        UsageError: A column is neither.
    """
    columns = view.columns or CSV_COLUMNS
    for column in columns:
        column_named(column)
    rows = select(report, view)
    about = shown(report, all_ops=view.all_ops)
    laid_out = {
        key: column_named(key).fill(rows, about).cells for key in columns if key in ("channels", "kernel")
    }
    flat = []
    for index, row in enumerate(rows):
        values = flat_row(row)
        values |= {word: values[key] for word, key in ALIASES.items() if word in columns}
        values |= {key: cells[index] for key, cells in laid_out.items()}
        if "share" in columns:
            values["share"] = about.share(row)
        if "share_conv" in columns:
            values["share_conv"] = about.share_conv(row)
        flat.append(values)
    return _written(flat, columns)


def render_models(reports: Sequence[AuditReport], view: View = DEFAULT_VIEW) -> str:
    """A header and one line a model."""
    rows = [_flat_model(report) for report in selected_models(reports, view)]
    known = list(rows[0])
    for column in view.columns or ():
        lookup(dict.fromkeys([*known, *_MODEL_WORDS]), column, "column of several models")
    if view.columns:
        for row, report in zip(rows, selected_models(reports, view), strict=True):
            example = example_of(report)
            saved = ratio(report.totals.macs_saved, report.totals.dense_macs, example.sizes)
            row |= dict(zip(_MODEL_WORDS, (report.source, str(example), saved), strict=True))
    return _written(rows, view.columns or known)


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


def flat_row(row: Member) -> dict[str, Scalar]:
    """The same of any row: what another op does not have is None."""
    if isinstance(row, LayerCost):
        return flat_layer(row)
    nested = plain(row)
    values = {key: nested["formula"].get(key, value) for key, value in nested.items() if key in CSV_COLUMNS}
    values["notes"] = "; ".join(nested["notes"])
    return {**dict.fromkeys(CSV_COLUMNS), **{key: _flat(value) for key, value in values.items()}}


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
