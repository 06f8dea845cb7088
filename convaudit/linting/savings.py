"""What claims save: weight elements counted once, by the accounting of the analyzer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from convaudit.analyzer.totals import exclusive_sum
from convaudit.formulas import Count, add, multiply, subtract
from convaudit.linting.ledger import Ledger
from convaudit.linting.rules import LINT_RULES
from convaudit.records import AuditReport
from convaudit.records.findings import Claim, Finding, LintTotals
from convaudit.records.report import LayerCost

_Saved = tuple[Count | None, Count | None, Count | None]
"""Parameters, MACs of one run, bytes."""


def findings_of(report: AuditReport, claims: Sequence[Claim]) -> tuple[tuple[Finding, ...], LintTotals]:
    """What claims save, and their totals.

    An element that several claims name is saved by one of them: by one that can be fixed before one that
    cannot, and then by the first in the order of the layers. So the sums over findings are the totals, and
    those over the fixable ones what a fix takes out; except that of exclusive arms only the costlier one
    counts in the totals' MACs.

    Args:
        report: What the network costs.
        claims: What was found in it.

    Returns:
        Findings in the order of the layers and of the rules' codes, and totals over the network.
    """
    places = {layer.name: place for place, layer in enumerate(report.layers)}
    ordered = sorted(claims, key=lambda claim: (places.get(claim.layer, len(places)), claim.rule))
    ledger = Ledger(report.layers)
    saved: dict[int, _Saved] = {}
    fixable_macs: Count | None = 0
    for fixable in (True, False):
        for index, claim in enumerate(ordered):
            if claim.fixable is fixable:
                saved[index] = (None, None, None) if claim.certainty == "observed" else ledger.enter(claim)
        if fixable:
            fixable_macs = _macs(report, ledger, _sum(saved.values(), 1))
    findings = tuple(_finding(claim, saved[index]) for index, claim in enumerate(ordered))
    proven = [finding for finding in findings if finding.certainty != "observed"]
    certain = [saved[index] for index, claim in enumerate(ordered) if claim.certainty != "observed"]
    fixed = [finding.removable_params for finding in proven if finding.fixable]
    totals = LintTotals(
        params=report.totals.params,
        macs=report.totals.macs,
        removable_params=_of_all(report, _sum(certain, 0)),
        removable_macs=_of_all(report, _macs(report, ledger, _sum(certain, 1))),
        removable_bytes=_of_all(report, _sum(certain, 2)),
        fixable_params=_of_all(report, add(*fixed)),
        fixable_macs=_of_all(report, fixable_macs),
    )
    return findings, totals


def _finding(claim: Claim, saved: _Saved) -> Finding:
    params, macs, size = saved
    rule = LINT_RULES[claim.rule]
    return Finding(
        rule=claim.rule,
        name=rule.name,
        layer=claim.layer,
        channels=claim.channels,
        message=claim.message,
        severity=rule.severity,
        certainty=claim.certainty,
        removable_params=params,
        removable_macs=macs,
        removable_bytes=size,
        fixable=claim.fixable,
        reason=claim.reason,
        blocks=claim.blocks,
    )


def _sum(saved: Iterable[_Saved], column: int) -> Count | None:
    return add(*(one[column] for one in saved))


def _of_all(report: AuditReport, count: Count | None) -> Count | None:
    """A sum over all convolutions, which is unknown where some may run unseen."""
    return None if report.opaque_ops else count


def _macs(report: AuditReport, ledger: Ledger, summed: Count | None) -> Count | None:
    """What the network's MACs are less: of exclusive arms the costlier one counts before and after."""
    if not any(layer.branches for layer in report.layers):
        return summed
    before = [(layer.branches, _calls_macs(layer)) for layer in report.layers]
    after = [
        (layer.branches, subtract(_calls_macs(layer), ledger.macs(layer.name))) for layer in report.layers
    ]
    return subtract(exclusive_sum(before), exclusive_sum(after))


def _calls_macs(layer: LayerCost) -> Count | None:
    return multiply(layer.macs, layer.calls)
