"""Markdown in GitHub's and GitLab's dialect, for pull requests, job summaries and READMEs.

Names from a model stand in code spans, or with every mark escaped: nothing in them is markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from convaudit.records import AuditReport
from convaudit.reporters import DEFAULT_VIEW, View
from convaudit.reporters.comment import MOST_CHARACTERS, check_comment
from convaudit.reporters.filling import Column
from convaudit.reporters.grid import tabulated
from convaudit.reporters.lines import cautions, example_lines, heading, remarks, summary, verdicts
from convaudit.reporters.model_columns import example_remarks, model_columns, selected_models
from convaudit.reporters.selection import tables
from convaudit.reporters.text import markdown_code, markdown_text
from convaudit.reporters.times import time_lines

if TYPE_CHECKING:
    from convaudit.checks.diff import Difference
    from convaudit.checks.outcome import CheckedModel
    from convaudit.records.explanation import Explanation
    from convaudit.records.findings import LintReport
    from convaudit.records.timing import Sweep

_FOLDED = 10
"""Findings of a model from which on a reader has to unfold them."""


def render_audit(report: AuditReport, view: View = DEFAULT_VIEW) -> str:
    """Heading, table and lists."""
    shown = tables(report, view, paths=True)
    parts = [f"### {markdown_text(heading(report))}", *map(markdown_text, example_lines(report))]
    parts += [_table(columns, code=("name",)) for columns in (shown.columns, shown.blocks) if columns]
    parts += [
        _list(summary(report, shown)),
        _list([*cautions(report), *verdicts(report), *time_lines(report)]),
    ]
    return _document(parts)


def render_models(reports: Sequence[AuditReport], view: View = DEFAULT_VIEW) -> str:
    """One row a model, and a list of what to be wary of in each."""
    listed = selected_models(reports, view)
    lines = example_remarks(listed)
    lines += [f"{report.source}: {line}" for report in listed for line in remarks(report)]
    return _document([_table(model_columns(listed, view.columns), code=("name",)), _list(lines)])


def render_diff(difference: Difference, view: View = DEFAULT_VIEW) -> str:
    """The layers that differ, the totals with their deltas, and what explains them."""
    from convaudit.reporters.differences import layer_rows, notes, time_columns, time_notes, total_columns

    sources = " → ".join(
        f"{markdown_code(report.source)} ({report.format})"
        for report in (difference.before, difference.after)
    )
    parts = [f"### convaudit diff: {sources}"]
    rows = list(layer_rows(difference))
    if rows:
        cells = map(list, zip(*rows, strict=True))
        headers = {"sign": "", "name": "layer", "change": "change"}
        columns = {
            key: Column(header=header, cells=texts, left=True)
            for (key, header), texts in zip(headers.items(), cells, strict=True)
        }
        parts.append(_table(columns, code=("sign", "name")))
    parts.append(_table(total_columns(difference)))
    if difference.times:
        parts.append(_table(time_columns(difference), code=("layer",)))
    return _document([*parts, _list([*notes(difference), *time_notes(difference)])])


def render_check(models: Sequence[CheckedModel], view: View = DEFAULT_VIEW) -> str:
    """A heading, one row a model, then each model's checks."""
    return check_comment(models)


def render_sweep(sweep: Sweep, view: View = DEFAULT_VIEW) -> str:
    """A heading, a row for each number of groups, and a list of what they say."""
    from convaudit.reporters.sweeps import sweep_columns, sweep_heading, sweep_lines

    heading = f"### {markdown_text(sweep_heading(sweep))}"
    return _document([heading, _table(sweep_columns(sweep)), _list(sweep_lines(sweep))])


def render_sweeps(sweeps: Sequence[Sweep], view: View = DEFAULT_VIEW) -> str:
    """One row a layer, and a list of where a better groups exists."""
    from convaudit.reporters.sweeps import summary_columns, summary_lines

    return _document([_table(summary_columns(sweeps), code=("name",)), _list(summary_lines(sweeps))])


def render_explain(explanations: Sequence[Explanation], view: View = DEFAULT_VIEW) -> str:
    """For each layer a heading, a list, its wiring and window drawn, and a table of its arithmetic."""
    from convaudit.reporters.explained import explained_heading, explained_lines, explained_sections
    from convaudit.reporters.sketches import sketched

    parts = []
    for told in explanations:
        parts += [f"### {markdown_text(explained_heading(told))}", _list(explained_lines(told))]
        parts += [f"{title}:\n\n{_fenced(lines)}" for title, lines in sketched(told).items()]
        for title, rows in explained_sections(told).items():
            cells = "\n".join(f"| {markdown_text(name)} | {markdown_code(text)} |" for name, text in rows)
            parts.append(f"| {markdown_text(title)} |  |\n|---|---|\n{cells}")
    return _document(parts)


def _fenced(lines: Sequence[str]) -> str:
    """A block of code, which nothing in it can end."""
    text = "\n".join(lines)
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"


def render_lint(reports: Sequence[LintReport], view: View = DEFAULT_VIEW) -> str:
    """A summary, one row a model; then a table of each one's findings, as long as there is room for them."""
    from convaudit.reporters.findings import lint_summary, note_lines, removable_lines

    shown = [report for report in reports if report.error is None]
    parts = ["## convaudit lint", _list(f"{one.source}: {one.error}" for one in reports if one.error)]
    if shown:
        parts.append(_cut(_table(lint_summary(shown), code=("name",)), MOST_CHARACTERS // 2, "models"))
    room = MOST_CHARACTERS - sum(map(len, parts))
    for report in shown:
        told = [*removable_lines(report), *note_lines(report.notes)]
        if not (told or report.findings):
            continue
        head = f"### {markdown_code(report.source)}\n\n{_list(told)}"
        findings = _findings(report, room - len(head))
        room -= len(head) + len(findings)
        if room < 0:
            parts.append("The rest does not fit here: see `--format json`.")
            break
        parts += [head, findings]
    return _document(parts)


def _findings(report: LintReport, room: int) -> str:
    """A table of the findings that there is room for, folded where it is long."""
    from convaudit.reporters.findings import finding_columns

    if not report.findings:
        return ""
    table = _cut(_table(finding_columns(report), code=("layer",)), room, "findings")
    if len(report.findings) <= _FOLDED:
        return table
    return f"<details><summary>{len(report.findings)} findings</summary>\n\n{table}\n\n</details>"


def _cut(table: str, room: int, what: str) -> str:
    """The rows of a table that fit, and how many more there are."""
    lines = table.splitlines()
    kept, size = 0, 0
    for line in lines:
        size += len(line) + 1
        if size > room:
            break
        kept += 1
    rest = len(lines) - max(kept, 2)
    if rest <= 0 or kept == len(lines):
        return table
    more = f"and {rest} more {what}: see `--format json`"
    return "\n".join([*lines[:kept], "", more] if kept > 2 else [more])


def _document(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {markdown_text(line)}" for line in lines)


def _table(columns: Mapping[str, Column], code: Sequence[str] = ()) -> str:
    """The columns as a table; the cells of those in ``code`` as code spans."""
    return tabulated([_escaped(column, key in code) for key, column in columns.items()], "pipe")


def _escaped(column: Column, code: bool) -> Column:
    style = markdown_code if code else markdown_text
    return replace(
        column,
        header=markdown_text(column.header.replace("\n", "")),
        cells=[style(cell) for cell in column.cells],
        listed=f"**{markdown_text(column.listed)}**" if column.listed else "",
        total=f"**{markdown_text(column.total)}**" if column.total else "",
    )
