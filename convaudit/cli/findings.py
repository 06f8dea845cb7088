"""What an audit found that its exit code has to say."""

from __future__ import annotations

from collections.abc import Sequence

from convaudit.cli.errors import fail
from convaudit.records import AuditReport


def failed_verification(report: AuditReport) -> bool:
    """Whether verification caught a layer, or its accounting, to be wrong."""
    return any(layer.verification and layer.verification.failed for layer in report.layers)


def reported_unproven(reports: Sequence[AuditReport]) -> bool:
    """Name on stderr every report whose verification compared nothing at all: that is no pass."""
    unproven = False
    for report in reports:
        verdicts = [layer.verification for layer in report.layers if layer.verification]
        if verdicts and not any(verdict.verified or verdict.failed for verdict in verdicts):
            fail(f"{report.source}: not one layer could be verified; the report says why")
            unproven = True
    return unproven


def reported_unknowns(reports: Sequence[AuditReport]) -> bool:
    """Name on stderr what is unknown; whether anything is."""
    from convaudit.analyzer import unknowns

    lines = [f"{report.source}: {line}" for report in reports for line in unknowns(report)]
    for line in lines:
        fail(f"strict: {line}")
    return bool(lines)
