"""Text for a terminal: tables as wide as it is, and sentences that wrap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from convaudit.records import AuditReport
from convaudit.reporters import DEFAULT_VIEW, View
from convaudit.reporters.grid import laid_out, wrapped
from convaudit.reporters.lines import cautions, example_lines, heading, remarks, summary, verdicts
from convaudit.reporters.selection import tables
from convaudit.reporters.text import printable
from convaudit.reporters.times import time_lines

if TYPE_CHECKING:
    from convaudit.checks.diff import Difference
    from convaudit.checks.outcome import CheckedModel
    from convaudit.records.explanation import Explanation
    from convaudit.records.findings import LintReport
    from convaudit.records.timing import Sweep


def render_audit(report: AuditReport, view: View = DEFAULT_VIEW) -> str:
    """Heading, the rows with their totals, the blocks, the summary, warnings, and the verdicts."""
    shown = tables(report, view)
    text = wrapped([heading(report), *example_lines(report)], view.width)
    for columns, chosen in ((shown.columns, view.columns), (shown.blocks, None)):
        if columns is not None:
            text += "\n" + laid_out(columns, replace(view, columns=chosen)) + "\n"
    noted = cautions(report) if view.remarks else []
    lines = [*summary(report, shown), *noted, *verdicts(report), *time_lines(report)]
    return text + "\n" + wrapped(lines, view.width)


def render_models(reports: Sequence[AuditReport], view: View = DEFAULT_VIEW) -> str:
    """One row a model, then what to be wary of in each."""
    from convaudit.reporters.model_columns import example_remarks, model_columns, selected_models

    listed = selected_models(reports, view)
    lines = example_remarks(listed) + [
        f"{printable(report.source)}: {line}"
        for report in listed
        for line in remarks(report, with_cautions=view.remarks)
    ]
    table = laid_out(model_columns(listed, view.columns), view) + "\n"
    return table + ("\n" + wrapped(lines, view.width) if lines else "")


def render_diff(difference: Difference, view: View = DEFAULT_VIEW) -> str:
    """The layers that differ, the totals with their deltas, and what explains them."""
    from convaudit.reporters.differences import layer_rows, notes, time_columns, time_notes, total_columns

    before, after = difference.before, difference.after
    parts = [f"--- {before.source} ({before.format})", f"+++ {after.source} ({after.format})"]
    text = wrapped([printable(part) for part in parts], view.width)
    rows = [f"{sign} {name}: {what}" for sign, name, what in layer_rows(difference)]
    if rows:
        text += "\n" + wrapped(rows, None)
    text += "\n" + laid_out(total_columns(difference), view) + "\n"
    if difference.times:
        text += "\n" + laid_out(time_columns(difference), view) + "\n"
    return text + "\n" + wrapped([*notes(difference), *time_notes(difference)], view.width)


def render_check(models: Sequence[CheckedModel], view: View = DEFAULT_VIEW) -> str:
    """One block a model, one line an outcome, what it rests on below, and a last line for all.

    Why a model could not be audited is not repeated: it went to standard error.
    """
    from convaudit.reporters.outcomes import overall

    return "\n".join([*(line for model in models for line in _checked(model)), overall(models)]) + "\n"


def render_sweep(sweep: Sweep, view: View = DEFAULT_VIEW) -> str:
    """Heading, a row for each number of groups, and what they say."""
    from convaudit.reporters.sweeps import sweep_columns, sweep_heading, sweep_lines

    table = "\n" + laid_out(sweep_columns(sweep), view) + "\n\n"
    return wrapped([sweep_heading(sweep)], view.width) + table + wrapped(sweep_lines(sweep), view.width)


def render_sweeps(sweeps: Sequence[Sweep], view: View = DEFAULT_VIEW) -> str:
    """One row a layer, and where a better groups exists."""
    from convaudit.reporters.sweeps import summary_columns, summary_lines

    return laid_out(summary_columns(sweeps), view) + "\n\n" + wrapped(summary_lines(sweeps), view.width)


def render_explain(explanations: Sequence[Explanation], view: View = DEFAULT_VIEW) -> str:
    """What each layer is, its wiring and its window drawn, and the arithmetic of every number."""
    return "\n\n".join(_explained(told, view) for told in explanations)


def _explained(told: Explanation, view: View) -> str:
    from convaudit.reporters.explained import explained_heading, explained_lines, explained_sections
    from convaudit.reporters.sketches import sketched

    text = wrapped([explained_heading(told)], view.width) + "\n"
    text += wrapped(explained_lines(told), view.width, "- ")
    for title, lines in sketched(told).items():
        text += f"\n{title}\n" + "".join(f"  {line}".rstrip() + "\n" for line in lines)
    for title, rows in explained_sections(told).items():
        text += "\n" + wrapped([title], view.width)
        indent = max(len(name) for name, _ in rows) + 4
        for name, line in rows:
            text += wrapped([line], view.width, f"  {name}".ljust(indent), " " * indent)
    return text


def render_lint(reports: Sequence[LintReport], view: View = DEFAULT_VIEW) -> str:
    """Findings by layer and what could go, model by model; of several, a row each at the end.

    Why a model could not be looked at is not repeated: it went to standard error.
    """
    from convaudit.reporters.findings import lint_summary

    shown = [report for report in reports if report.error is None]
    text = "\n".join(_linted(report, view) for report in shown)
    if len(shown) < 2:
        return text
    return f"{text}\n{laid_out(lint_summary(shown), view)}\n"


def _linted(report: LintReport, view: View) -> str:
    """One model's findings, the rule beside what it says, or above it where there is little room."""
    from convaudit.reporters.findings import by_layer, finding_lines, lint_heading, removable_lines

    text = wrapped([lint_heading(report)], view.width)
    names = [f"{finding.rule} {finding.name}" for finding in report.findings]
    indent = max(map(len, names), default=0) + 4
    beside = view.width is None or view.width >= 2 * indent
    for layer, findings in by_layer(report).items():
        text += "\n" + wrapped([printable(layer)], None)
        for finding in findings:
            rule = f"  {finding.rule} {finding.name}"
            blank = " " * (indent if beside else 4)
            lines = list(finding_lines(finding, report))
            starts = [rule.ljust(indent), *[blank] * len(lines)] if beside else [blank] * len(lines)
            text += "" if beside else f"{rule}\n"
            text += "".join(
                wrapped([line], view.width, start, blank) for start, line in zip(starts, lines, strict=False)
            )
    lines = removable_lines(report)
    return text + ("\n" + wrapped(lines, view.width) if lines else "")


def _checked(model: CheckedModel) -> Iterator[str]:
    from convaudit.reporters.outcomes import contributor_lines, verdict

    yield f"{printable(model.source)}: {verdict(model)}"
    width = max((len(outcome.rule) for outcome in model.outcomes), default=0)
    for outcome in model.outcomes:
        status = outcome.status.upper() if outcome.status == "failed" else outcome.status
        yield f"  {status:7}  {outcome.rule:{width}}  {printable(outcome.message)}"
        for line in contributor_lines(outcome):
            yield f"{'':{width + 13}}{line}"
    yield ""
