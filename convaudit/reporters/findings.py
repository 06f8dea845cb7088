"""Findings as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from convaudit.records.findings import LintReport
from convaudit.reporters import View
from convaudit.reporters.text import printable


def lint_text(reports: Sequence[LintReport], view: View) -> str:
    """Findings by layer, and what could go."""
    lines = []
    for report in reports:
        lines.append(printable(report.source))
        lines += [
            f"  {printable(found.layer)}: {found.rule} {printable(found.message)}"
            for found in report.findings
        ]
    return "".join(f"{line}\n" for line in lines)
