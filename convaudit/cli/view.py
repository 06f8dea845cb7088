"""How the audit command shows its reports: the options on it, and the reporter each combination calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convaudit.errors import UsageError
from convaudit.records import AuditReport
from convaudit.reporters.select import EVERYTHING, Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How the result is to be shown."""

    format: str
    style: str | None  # None: ours
    selection: Selection
    columns: tuple[str, ...] | None
    width: int | None


def check_view(view: View, *, several: bool) -> None:
    """Refuse options that would be ignored."""
    if view.style and view.format != "table":
        raise UsageError(f"--table-style is for tables, not for {view.format}")
    if view.columns and view.format == "json":
        raise UsageError("--columns is for tables and CSV; JSON has everything")
    if several and view.format != "json" and (view.columns or view.selection != EVERYTHING):
        raise UsageError(
            "--only, --sort, --top and --columns choose among one model's layers; of several models there is "
            "one row each (or use --format json)"
        )


def rendered(reports: Sequence[AuditReport], view: View, *, several: bool) -> str:
    """The reports in the view's format; of several models one summary row each, in JSON all of all."""
    if view.format == "json":
        from convaudit.reporters.json import render_json

        return render_json(reports, view.selection, as_list=several)
    return _rendered_models(reports, view) if several else _rendered_layers(reports[0], view)


def _rendered_layers(report: AuditReport, view: View) -> str:
    if view.format == "csv":
        from convaudit.reporters.csv import render_csv

        return render_csv(report, view.selection, view.columns)
    if view.format == "markdown":
        from convaudit.reporters.markdown import render_markdown

        return render_markdown(report, view.selection, view.columns)
    from convaudit.reporters.table import COMPACT, Layout, render_table

    layout = Layout(width=view.width, style=view.style or COMPACT, columns=view.columns)
    return render_table(report, view.selection, layout)


def _rendered_models(reports: Sequence[AuditReport], view: View) -> str:
    from convaudit.reporters.models import render_models_csv, render_models_markdown, render_models_table
    from convaudit.reporters.table import COMPACT, Layout

    if view.format == "csv":
        return render_models_csv(reports)
    if view.format == "markdown":
        return render_models_markdown(reports)
    return render_models_table(reports, Layout(width=view.width, style=view.style or COMPACT))
