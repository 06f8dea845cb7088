"""What claims save: weight elements counted once, by the accounting of the analyzer."""

from __future__ import annotations

from collections.abc import Sequence

from convaudit.lint.rules import LINT_RULES
from convaudit.records import AuditReport
from convaudit.records.findings import Claim, Finding, LintTotals


def findings_of(report: AuditReport, claims: Sequence[Claim]) -> tuple[tuple[Finding, ...], LintTotals]:
    """Findings in the order of the layers, with what each saves that no earlier one does; totals."""
    found = [
        Finding(
            rule=claim.rule,
            name=LINT_RULES[claim.rule].name,
            layer=claim.layer,
            channels=claim.channels,
            message=claim.message,
            severity=LINT_RULES[claim.rule].severity,
            certainty=claim.certainty,
            removable_params=None,
            removable_macs=None,
            removable_bytes=None,
            fixable=claim.fixable,
            reason=claim.reason,
        )
        for claim in claims
    ]
    totals = LintTotals(
        params=report.totals.params,
        macs=report.totals.macs,
        removable_params=None,
        removable_macs=None,
        removable_bytes=None,
        fixable_params=None,
        fixable_macs=None,
    )
    return tuple(found), totals
