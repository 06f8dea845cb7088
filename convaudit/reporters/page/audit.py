"""What the page of one model shows."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from convaudit.records import AuditReport, LayerCost
from convaudit.reporters import View
from convaudit.reporters.lines import cautions, example_lines, heading, summary, verdicts
from convaudit.reporters.page.drawn import drawings
from convaudit.reporters.page.panels import layer_panels
from convaudit.reporters.page.rows import MOST_ROWS, LayerTable, layer_table
from convaudit.reporters.page.tiles import report_tiles
from convaudit.reporters.page.told import Pictures
from convaudit.reporters.text import printable
from convaudit.reporters.times import time_lines


def audit_context(report: AuditReport, view: View) -> dict[str, Any]:
    """All that ``audit.html`` shows."""
    pictures = Pictures()
    return {
        "title": file_title(report.source),
        "model": model_context(report, view, pictures),
        "charts": drawings(report),
        "pictures": pictures.stored(),
    }


def file_title(source: str) -> str:
    """A file's name without its folders, any other source as it is."""
    name = PurePath(source).name if "/" in source or "\\" in source else source
    return printable(name or source)


def model_context(
    report: AuditReport, view: View, pictures: Pictures, prefix: str = "layer", most: int = MOST_ROWS
) -> dict[str, Any]:
    """What is shown of one model.

    Args:
        report: What an audit found.
        view: Which of its layers to list, and how.
        pictures: Where pictures are kept.
        prefix: What the ids of its layers begin with.
        most: How many rows it may have.
    """
    table = layer_table(report, view, prefix, most)
    return {
        "name": file_title(report.source),
        "heading": heading(report),
        "tiles": report_tiles(report),
        "table": table,
        "panels": layer_panels(report, [(row.id, row.member) for row in table.rows], pictures),
        "costliest": _costliest(table),
        "cautions": cautions(report),
        "lines": [*example_lines(report), *summary(report), *verdicts(report), *time_lines(report)],
        "warned": len(report.warnings),
    }


def _costliest(table: LayerTable) -> str:
    """The id of the row that a wide page shows until one is chosen: the costliest, with groups if any has."""
    grouped = [row for row in table.rows if isinstance(row.member, LayerCost) and row.member.groups > 1]
    row = max(grouped or table.rows, key=lambda row: row.share or 0.0, default=None)
    return "" if row is None else row.id
