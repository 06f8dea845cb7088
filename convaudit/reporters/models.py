"""Several models on one screen: one summary row each."""

from __future__ import annotations

from collections.abc import Sequence

from convaudit.formulas.growth import ratio
from convaudit.records import AuditReport, Totals
from convaudit.reporters.cells import macs_text
from convaudit.reporters.columns import Column
from convaudit.reporters.csv import Scalar, written
from convaudit.reporters.lines import cautions, verdicts, verified_text
from convaudit.reporters.markdown import markdown_table
from convaudit.reporters.plain import plain
from convaudit.reporters.table import Layout, laid_out, wrapped
from convaudit.reporters.text import markdown_text, printable
from convaudit.units import human, human_percentage


def render_models_table(reports: Sequence[AuditReport], layout: Layout) -> str:
    """One row a model, then what to be wary of in each."""
    lines = [f"{printable(report.source)}: {line}" for report in reports for line in _remarks(report)]
    table = laid_out(_columns(reports), layout) + "\n"
    return table + ("\n" + wrapped(lines, layout.width) if lines else "")


def render_models_markdown(reports: Sequence[AuditReport]) -> str:
    """The same as a Markdown table and a list."""
    columns = _columns(reports)
    table = markdown_table([*columns.values()], code=[key == "name" for key in columns])
    items = [
        f"- {markdown_text(f'{report.source}: {line}')}" for report in reports for line in _remarks(report)
    ]
    return "\n".join([table, *(["", *items] if items else [])]) + "\n"


def render_models_csv(reports: Sequence[AuditReport]) -> str:
    """The same as CSV, with exact integers."""
    rows = [_flat_model(report) for report in reports]
    return written(rows, list(rows[0]))


def _flat_model(report: AuditReport) -> dict[str, Scalar]:
    totals = plain(report.totals)
    formula = totals.pop("formula")
    exact = {key: formula.get(key, value) for key, value in totals.items()}
    return {"source": report.source, "format": report.format, "file_bytes": report.file_bytes, **exact}


def _columns(reports: Sequence[AuditReport]) -> dict[str, Column]:
    totals = [report.totals for report in reports]
    columns = {
        "name": Column(header="model", cells=[printable(report.source) for report in reports], left=True),
        "layers": Column(header="layers", cells=[str(total.layers) for total in totals]),
        "params": Column(header="params", cells=[printable(human(total.params)) for total in totals]),
        "macs": Column(header="MACs", cells=[macs_text(total) for total in totals]),
        "saved": Column(header="saved", cells=[_saved(total) for total in totals]),
        "model_params": Column(header="model params", cells=[human(total.model_params) for total in totals]),
        "model_macs": Column(
            header="model MACs", cells=[printable(human(total.model_macs)) for total in totals]
        ),
    }
    if any(layer.verification for report in reports for layer in report.layers):
        cells = [verified_text(report) for report in reports]
        columns["verified"] = Column(header="verified", cells=cells, left=True)
    return columns


def _saved(totals: Totals) -> str:
    return human_percentage(ratio(totals.macs_saved, totals.dense_macs))


def _remarks(report: AuditReport) -> list[str]:
    return [*cautions(report), *verdicts(report)[:-1]]
