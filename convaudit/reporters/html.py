"""The report as HTML, for a notebook's output cell."""

from __future__ import annotations

from html import escape

from convaudit.records import AuditReport
from convaudit.reporters.lines import cautions, heading, summary, verdicts
from convaudit.reporters.table import filled_columns, tabulated


def render_html(report: AuditReport) -> str:
    """Heading, table and lines; every text from the model is escaped."""
    columns = filled_columns(report, report.layers)
    table = tabulated(list(columns.values()), "html") if report.layers else ""
    lines = [*summary(report, len(report.layers)), *cautions(report), *verdicts(report)]
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<p><b>{escape(heading(report))}</b></p>{table}<ul>{items}</ul>"
