"""What checks found as annotations of GitHub Actions: workflow commands on standard output.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convaudit.checks.outcome import CheckedModel
from convaudit.reporters import DEFAULT_VIEW, View
from convaudit.reporters.outcomes import contributor_lines
from convaudit.reporters.text import printable

if TYPE_CHECKING:
    from convaudit.records.findings import LintReport

MOST_ANNOTATIONS = 10
"""Of one model; GitHub shows ten of each kind for a step."""
_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def render_check(models: Sequence[CheckedModel], view: View = DEFAULT_VIEW) -> str:
    """One error command a line for each failed check and each model that could not be audited."""
    lines = []
    for model in models:
        if model.error is not None:
            lines.append(_error(model.source, "convaudit", [printable(model.error)]))
        for failure in model.failures:
            text = [printable(failure.message), *contributor_lines(failure)]
            lines.append(_error(model.source, f"convaudit {failure.rule}", text))
    return "".join(f"{line}\n" for line in lines)


def render_lint(reports: Sequence[LintReport], view: View = DEFAULT_VIEW) -> str:
    """One command a line for each finding, the rest of a model's in one; the gravest come first."""
    from convaudit.reporters.findings import finding_lines, removable_text

    lines = []
    for report in reports:
        if report.error is not None:
            lines.append(_error(report.source, "convaudit lint", [printable(report.error)]))
        ordered = sorted(report.findings, key=lambda finding: [*_COMMANDS].index(finding.severity))
        room = MOST_ANNOTATIONS if len(ordered) <= MOST_ANNOTATIONS else MOST_ANNOTATIONS - 1
        for finding in ordered[:room]:
            title = f"convaudit {finding.rule} {finding.name}"
            text = [printable(finding.layer), *finding_lines(finding, report)]
            lines.append(_command(_COMMANDS[finding.severity], report.source, title, text))
        if len(ordered) > room:
            text = [f"{len(ordered) - room} more findings", printable(removable_text(report))]
            lines.append(_command("notice", report.source, "convaudit lint", text))
    return "".join(f"{line}\n" for line in lines)


def _error(file: str, title: str, lines: Sequence[str]) -> str:
    return _command("error", file, title, lines)


def _command(command: str, file: str, title: str, lines: Sequence[str]) -> str:
    data = "%0A".join(line.replace("%", "%25") for line in lines)
    return f"::{command} file={_property(file)},title={_property(title)}::{data}"


def _property(value: str) -> str:
    escaped = printable(value).replace("%", "%25")
    return escaped.replace(":", "%3A").replace(",", "%2C")
