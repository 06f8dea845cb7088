"""Markdown in GitHub's and GitLab's dialect, for pull requests, job summaries and READMEs.

Names from a model stand in code spans, or with every mark escaped: nothing in them is markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from convaudit.records import AuditReport
from convaudit.reporters import DEFAULT_VIEW, View
from convaudit.reporters.columns import filled_columns, model_columns, select
from convaudit.reporters.filling import Column
from convaudit.reporters.grid import tabulated
from convaudit.reporters.lines import cautions, heading, remarks, summary, verdicts
from convaudit.reporters.text import markdown_code, markdown_text
from convaudit.reporters.times import time_lines

if TYPE_CHECKING:
    from convaudit.checks.diff import Difference
    from convaudit.checks.outcome import CheckedModel
    from convaudit.records.timing import Sweep

CHECK_MARK = "<!-- convaudit check -->"
"""First line of a check, by which a bot finds its earlier comment and replaces it."""
_SIGNS = {"passed": ":white_check_mark:", "failed": ":x:", "skipped": ":heavy_minus_sign:"}


def render_audit(report: AuditReport, view: View = DEFAULT_VIEW) -> str:
    """Heading, table and lists."""
    layers = select(report, view)
    parts = [f"### {markdown_text(heading(report))}"]
    if report.layers:
        parts.append(_table(filled_columns(report, layers, view.columns), code=("name",)))
    parts += [
        _list(summary(report, len(layers))),
        _list([*cautions(report), *verdicts(report), *time_lines(report)]),
    ]
    return _document(parts)


def render_models(reports: Sequence[AuditReport], view: View = DEFAULT_VIEW) -> str:
    """One row a model, and a list of what to be wary of in each."""
    lines = [f"{report.source}: {line}" for report in reports for line in remarks(report)]
    return _document([_table(model_columns(reports), code=("name",)), _list(lines)])


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
    """A heading, and a table for each model."""
    from convaudit.reporters.outcomes import overall, verdict

    parts = [CHECK_MARK, f"## convaudit: {overall(models)}"]
    for model in models:
        parts.append(f"### {markdown_code(model.source)}: {verdict(model)}")
        parts.append(markdown_text(model.error) if model.error is not None else _outcomes(model))
    return _document(parts)


def render_sweep(sweep: Sweep, view: View = DEFAULT_VIEW) -> str:
    """A heading, a row for each number of groups, and a list of what they say."""
    from convaudit.reporters.sweeps import sweep_columns, sweep_heading, sweep_lines

    heading = f"### {markdown_text(sweep_heading(sweep))}"
    return _document([heading, _table(sweep_columns(sweep)), _list(sweep_lines(sweep))])


def render_sweeps(sweeps: Sequence[Sweep], view: View = DEFAULT_VIEW) -> str:
    """One row a layer, and a list of where a better groups exists."""
    from convaudit.reporters.sweeps import summary_columns, summary_lines

    return _document([_table(summary_columns(sweeps), code=("name",)), _list(summary_lines(sweeps))])


def _outcomes(model: CheckedModel) -> str:
    from convaudit.reporters.outcomes import contributor_lines

    rows = ["|  | check | finding |", "|---|---|---|"]
    for outcome in model.outcomes:
        finding = "<br>".join(map(markdown_text, [outcome.message, *contributor_lines(outcome)]))
        rows.append(f"| {_SIGNS[outcome.status]} | `{outcome.rule}` | {finding} |")
    return "\n".join(rows)


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
        total=f"**{markdown_text(column.total)}**" if column.total else "",
    )
