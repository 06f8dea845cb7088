"""The columns of several models, a row each, and which of them are listed in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from convaudit.analyzer.examples import Example, example_of
from convaudit.formulas import Count
from convaudit.formulas.proportion import ratio
from convaudit.records import AuditReport, Totals
from convaudit.reporters import View
from convaudit.reporters.columns import lookup
from convaudit.reporters.filling import Column, largest_first
from convaudit.reporters.lines import verified_text
from convaudit.reporters.plain import keys_of
from convaudit.reporters.text import printable
from convaudit.reporters.time_cells import model_time_columns
from convaudit.units import human, human_percentage

_HEADERS = {"macs": "MACs", "flops": "FLOPs", "model_macs": "model MACs", "macs_saved": "MACs saved"}
_TIMES = ("time", "promised", "realised")
_NOT_NUMBERS = ("formula",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelColumn:
    """What ``--columns`` shows of several models, and ``--sort`` sorts them by.

    Attributes:
        header: Stands above it.
        cell: The text of a model, counts at its example.
        order: What it is sorted by, the least first.
        left: Whether it is text.
    """

    header: str
    cell: Callable[[AuditReport, Example], str]
    order: Callable[[AuditReport, Example], Any]
    left: bool = False


def _count(header: str, of: Callable[[AuditReport], Count | None]) -> ModelColumn:
    return ModelColumn(
        header=header,
        cell=lambda report, example: human(example.value(of(report))),
        order=lambda report, example: largest_first(of(report), example),
    )


def _total(key: str) -> ModelColumn:
    return _count(_HEADERS.get(key, key.replace("_", " ")), lambda report: getattr(report.totals, key))


def _text(header: str, of: Callable[[AuditReport, Example], str]) -> ModelColumn:
    return ModelColumn(header=header, cell=of, order=of, left=True)


def macs_text(report: AuditReport, example: Example) -> str:
    """MACs of all convolutions, or what they are at least."""
    totals = report.totals
    known = totals.macs is not None
    return f"{'' if known else '>='}{human(example.value(totals.macs if known else totals.macs_at_least))}"


def _saved(report: AuditReport, example: Example) -> float | None:
    return ratio(report.totals.macs_saved, report.totals.dense_macs, example.sizes)


def _seconds(report: AuditReport, example: Example) -> Any:
    seconds = None if report.timing is None else report.timing.seconds
    return largest_first(seconds, example)


MODEL_COLUMNS: dict[str, ModelColumn] = {
    "name": _text("model", lambda report, example: report.source),
    "format": _text("format", lambda report, example: report.format),
    "file_bytes": _count("file bytes", lambda report: report.file_bytes),
    "at": _text("at (example)", lambda report, example: str(example)),
    **{key: _total(key) for key in keys_of(Totals) if key not in _NOT_NUMBERS},
    "macs": ModelColumn(
        header="MACs",
        cell=macs_text,
        order=lambda report, example: largest_first(report.totals.macs_at_least, example),
    ),
    "saved": ModelColumn(
        header="saved",
        cell=lambda report, example: human_percentage(_saved(report, example)),
        order=lambda report, example: largest_first(_saved(report, example), example),
    ),
    "verified": _text("verified", lambda report, example: verified_text(report)),
}
"""What can be shown of each of several models, beside what was timed: a new field of the totals is so."""


def model_columns(reports: Sequence[AuditReport], keys: Sequence[str] | None = None) -> dict[str, Column]:
    """The columns of several models, one row each; counts of open dimensions at sizes that are told.

    Args:
        reports: Those that are listed.
        keys: The names of the columns; None: the usual ones.

    Raises:
        UsageError: A column is unknown.
    """
    examples = [example_of(report) for report in reports]
    times = model_time_columns(reports)
    known = dict.fromkeys([*MODEL_COLUMNS, *_TIMES])
    found: dict[str, Column] = {}
    for key in keys or _usual(reports):
        lookup(known, key, "column of several models")
        if key in times:
            found[key] = times[key]
        else:
            column = MODEL_COLUMNS[key]
            texts = [column.cell(report, example) for report, example in zip(reports, examples, strict=True)]
            found[key] = Column(header=column.header, cells=list(map(printable, texts)), left=column.left)
    return found


def selected_models(reports: Sequence[AuditReport], view: View) -> list[AuditReport]:
    """The models to list: sorted, and the first of them; ``top`` alone takes those of the most MACs.

    Raises:
        UsageError: The column to sort by is unknown.
    """
    sort = view.sort or ("macs" if view.top is not None else None)
    orders = {key: column.order for key, column in MODEL_COLUMNS.items()} | {"time": _seconds}
    found = list(reports)
    if sort is not None:
        order = lookup(orders, sort, "sort key of several models")
        found.sort(key=lambda report: order(report, example_of(report)))
    return found[: view.top]


def example_remarks(reports: Sequence[AuditReport]) -> list[str]:
    """At which sizes the counts of each model stand there that leaves sizes open."""
    examples = [(report, example_of(report)) for report in reports]
    return [
        printable(f"{report.source}: at {example} (an example: give -i or --dim)")
        for report, example in examples
        if example
    ]


def _usual(reports: Sequence[AuditReport]) -> tuple[str, ...]:
    times = _TIMES if any(report.timing for report in reports) else ()
    judged = any(layer.verification for report in reports for layer in report.layers)
    return (
        *("name", "layers", "params", "macs", "saved", "model_params", "model_macs"),
        *(*times, *(("verified",) if judged else ())),
    )
