"""From claims to a report: by the chosen rules, with what each finding saves."""

from __future__ import annotations

from collections.abc import Sequence

from convaudit.linting.savings import findings_of
from convaudit.records import AuditReport
from convaudit.records.findings import Linted, LintReport


def lint_report(report: AuditReport, linted: Linted, rules: Sequence[str]) -> LintReport:
    """What was found in a network.

    Args:
        report: What it costs.
        linted: What its front end claims.
        rules: Codes of the rules to heed.

    Returns:
        Findings in the order of the layers, of the codes, and of the channels.
    """
    claims = sorted(
        (claim for claim in linted.claims if claim.rule in rules), key=lambda claim: claim.channels or ()
    )
    findings, totals = findings_of(report, claims)
    return LintReport(
        source=report.source,
        format=report.format,
        layers=len(report.layers),
        examined=len(linted.examined),
        rules=tuple(rules),
        findings=findings,
        totals=totals,
        notes=(*linted.notes, *_unseen(report)),
    )


def _unseen(report: AuditReport) -> list[str]:
    """What may run convolutions that nobody saw: sums over all convolutions are unknown then."""
    return [
        f"{other.op}: {other.reason or 'not seen'}; convolutions may run in it, so all sums are unknown"
        for other in report.opaque_ops
    ]
