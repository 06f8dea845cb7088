"""The report as Markdown, for pull requests and READMEs."""

from __future__ import annotations

from dataclasses import replace

from convaudit.records import AuditReport
from convaudit.reporters.columns import Column
from convaudit.reporters.lines import cautions, heading, summary, verdicts
from convaudit.reporters.select import EVERYTHING, Selection, select
from convaudit.reporters.table import filled_columns, tabulated
from convaudit.reporters.text import markdown_code, markdown_text


def render_markdown(
    report: AuditReport, selection: Selection = EVERYTHING, columns: tuple[str, ...] | None = None
) -> str:
    """Heading, table and lists in GitHub's dialect; names are code, so that nothing in them is markup."""
    layers = select(report, selection)
    parts = [f"### {markdown_text(heading(report))}"]
    if report.layers:
        filled = filled_columns(report, layers, columns)
        parts.append(markdown_table([*filled.values()], code=[key == "name" for key in filled]))
    for lines in (summary(report, len(layers)), [*cautions(report), *verdicts(report)]):
        parts.append("\n".join(f"- {markdown_text(line)}" for line in lines))
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_table(columns: list[Column], code: list[bool]) -> str:
    """The columns as a table; those marked in ``code`` as code spans."""
    return tabulated([_as_markdown(column, span) for column, span in zip(columns, code, strict=True)], "pipe")


def _as_markdown(column: Column, code: bool) -> Column:
    style = markdown_code if code else markdown_text
    return replace(
        column,
        header=markdown_text(column.header.replace("\n", "")),
        cells=[style(cell) for cell in column.cells],
        total=f"**{markdown_text(column.total)}**" if column.total else "",
    )
