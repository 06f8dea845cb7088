"""What checks found as annotations of GitHub Actions: workflow commands on standard output.

GitHub shows ten errors, ten warnings and ten notices of a step, and drops the others without a word: so each
model has one annotation, and where there are more than ten of a kind the last one counts the rest.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convaudit.checks.outcome import CheckedModel
from convaudit.reporters import DEFAULT_VIEW, View
from convaudit.reporters.outcomes import contributor_lines, verdict
from convaudit.reporters.places import repository_path
from convaudit.reporters.text import listed, printable, shorten

if TYPE_CHECKING:
    from convaudit.records.findings import LintReport

MOST_ANNOTATIONS = 10
"""Of each kind in all: what GitHub shows for a step."""
_MOST_LINES = 60
_LONGEST_LINE = 1_000
_LONGEST_NAME = 120
_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
"""A finding's severity as GitHub calls it, the gravest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Annotation:
    """What is said of one model."""

    command: str
    source: str
    title: str
    lines: Sequence[str]

    def __str__(self) -> str:
        file = repository_path(self.source)
        place = "" if file is None else f"file={_property(file)},"
        name = shorten(printable(self.source), _LONGEST_NAME)
        return _command(self.command, f"{place}title={_property(f'{name}: {self.title}')}", self.lines)


def render_check(models: Sequence[CheckedModel], view: View = DEFAULT_VIEW) -> str:
    """One error for each model that failed, with all that failed in it, or that could not be audited."""
    return _text(
        [
            _Annotation(
                command="error",
                source=model.source,
                title=f"convaudit: {verdict(model)}",
                lines=[*_failures(model)],
            )
            for model in models
            if model.error is not None or model.failures
        ]
    )


def render_lint(reports: Sequence[LintReport], view: View = DEFAULT_VIEW) -> str:
    """One command for each model with findings, as grave as the gravest of them, which come first."""
    from convaudit.reporters.findings import finding_lines, lint_heading, removable_lines

    annotations = []
    for report in reports:
        ordered = sorted(report.findings, key=lambda finding: [*_COMMANDS].index(finding.severity))
        if report.error is not None:
            error, title = [printable(report.error)], "convaudit lint: could not be looked at"
            annotations.append(_Annotation(command="error", source=report.source, title=title, lines=error))
        elif ordered:
            lines = [
                f"{finding.rule} {finding.name}: {printable(finding.layer)}: "
                + " ".join(finding_lines(finding, report))
                for finding in ordered[:_MOST_LINES]
            ]
            annotations.append(
                _Annotation(
                    command=_COMMANDS[ordered[0].severity],
                    source=report.source,
                    title=f"convaudit lint: {lint_heading(report).rpartition(': ')[2]}",
                    lines=[*removable_lines(report)[:1], *lines, *_more(len(ordered) - len(lines))],
                )
            )
    return _text(annotations)


def _failures(model: CheckedModel) -> Iterator[str]:
    """Why a model could not be audited, or each check that failed, and below it what it rests on."""
    if model.error is not None:
        yield printable(model.error)
    for failure in model.failures:
        yield f"{failure.rule}: {printable(failure.message)}"
        yield from (f"  {line}" for line in contributor_lines(failure))


def _text(annotations: Sequence[_Annotation]) -> str:
    """A line each, in their order; of more than ten of a kind nine, and one that counts the others."""
    lines = []
    for kind in _COMMANDS.values():
        found = [annotation for annotation in annotations if annotation.command == kind]
        shown = found if len(found) <= MOST_ANNOTATIONS else found[: MOST_ANNOTATIONS - 1]
        lines += [str(annotation) for annotation in shown]
        if rest := found[len(shown) :]:
            names = [shorten(printable(annotation.source), _LONGEST_NAME) for annotation in rest]
            title = f"title={_property(f'convaudit: {len(rest)} more models')}"
            lines.append(_command(kind, title, [listed(names, 20), "The job's log has what is wrong there."]))
    return "".join(f"{line}\n" for line in lines)


def _more(number: int) -> list[str]:
    return [f"and {number} more findings"] if number else []


def _command(command: str, properties: str, lines: Sequence[str]) -> str:
    data = "%0A".join(shorten(line, _LONGEST_LINE).replace("%", "%25") for line in lines)
    return f"::{command} {properties}::{data}"


def _property(value: str) -> str:
    escaped = printable(value).replace("%", "%25")
    return escaped.replace(":", "%3A").replace(",", "%2C")
