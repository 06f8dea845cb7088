"""What checks found as annotations of GitHub Actions: workflow commands on standard output.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from collections.abc import Sequence

from convaudit.checks.outcome import CheckedModel
from convaudit.reporters import DEFAULT_VIEW, View
from convaudit.reporters.outcomes import contributor_lines
from convaudit.reporters.text import printable


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


def _error(file: str, title: str, lines: Sequence[str]) -> str:
    data = "%0A".join(line.replace("%", "%25") for line in lines)
    return f"::error file={_property(file)},title={_property(title)}::{data}"


def _property(value: str) -> str:
    escaped = printable(value).replace("%", "%25")
    return escaped.replace(":", "%3A").replace(",", "%2C")
