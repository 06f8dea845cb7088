"""One function for each kind of budget: a report and a limit in, an outcome out.

What is unknown, or depends on a symbolic dimension, never passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

from convaudit.analyzer import unknowns
from convaudit.analyzer.totals import calls_macs
from convaudit.checks.outcome import Contributor, Outcome, percent
from convaudit.checks.quantities import CONVOLUTION_MACS, Quantity, largest_parts, why_unknown
from convaudit.formulas import floor_divide
from convaudit.records import AuditReport, LayerCost

if TYPE_CHECKING:
    from convaudit.records.findings import LintReport

BudgetRule: TypeAlias = Callable[[str, AuditReport, Any], Outcome]
"""``rule(name, report, limit)``; the limit has the type of the budget's field."""


def at_most(quantity: Quantity) -> BudgetRule:
    """The rule that a total stays within a limit."""

    def rule(name: str, report: AuditReport, limit: int) -> Outcome:
        value = quantity.total(report)
        contributors: tuple[Contributor, ...] = ()
        if not isinstance(value, int):
            message = f"{why_unknown(quantity, report)} (limit {limit:,})"
        elif value > limit:
            over = f" ({percent(Fraction(value - limit, limit))})" if limit else ""
            message = f"{value:,} {quantity.noun}, {value - limit:,}{over} over the limit of {limit:,}"
            contributors = largest_parts(quantity, report, value)
        else:
            message = f"{value:,} {quantity.noun}, within {limit:,}"
        kept = isinstance(value, int) and value <= limit
        return Outcome(
            rule=name,
            status="passed" if kept else "failed",
            message=message,
            value=value,
            limit=limit,
            contributors=contributors,
        )

    return rule


def min_saving(name: str, report: AuditReport, limit: Fraction) -> Outcome:
    """The MACs that ``groups`` saves, of those that the convolutions would take with groups=1."""
    saved, dense = report.totals.macs_saved, report.totals.dense_macs
    if not isinstance(saved, int) or not isinstance(dense, int):
        why = why_unknown(CONVOLUTION_MACS, report)
        return Outcome(
            rule=name, status="failed", message=f"{why} (at least {percent(limit)} is to be saved)"
        )
    value = Fraction(saved, dense) if dense else Fraction(0)
    kept = value >= limit
    return Outcome(
        rule=name,
        status="passed" if kept else "failed",
        message=f"groups save {percent(value)} of the convolutions' MACs, "
        f"{'at least' if kept else 'less than'} {percent(limit)}",
        value=value,
        limit=limit,
        contributors=() if kept else largest_parts(CONVOLUTION_MACS, report, dense - saved),
    )


def max_removable(name: str, report: AuditReport, limit: Fraction) -> Outcome:
    """The share of the convolutions' parameters that is proven to do nothing."""
    lint = report.lint
    if lint is not None and not lint.layers and not report.opaque_ops:
        return Outcome(rule=name, status="skipped", message="the model contains no convolution", limit=limit)
    allowed = f"at most {percent(limit)}"
    if lint is None or not isinstance(lint.totals.removable_params, int) or not lint.totals.params:
        why = "nobody looked for what does nothing; audit it with lint=True" if lint is None else None
        why = why or f"how much does nothing is unknown, {_why_not_removable(report)}"
        return Outcome(rule=name, status="failed", message=f"{why} ({allowed} may)", limit=limit)
    params, removable = lint.totals.params, lint.totals.removable_params
    value = Fraction(removable, params) if isinstance(params, int) else None
    unseen = lint.layers - lint.examined
    kept = value is not None and value <= limit
    message = f"{removable:,} of {params:,} convolution parameters do nothing"
    message += (
        "" if value is None else f" ({percent(value)}), {'within' if kept else 'over'} {percent(limit)}"
    )
    if unseen and kept:
        message += f", but the weights of {unseen} of {lint.layers} convolutions could not be looked at"
    return Outcome(
        rule=name,
        status="passed" if kept and not unseen else "failed",
        message=message,
        value=value,
        limit=limit,
        contributors=() if kept else _largest_findings(lint),
    )


def layer_macs(name: str, report: AuditReport, limit: int) -> Outcome:
    """No convolution takes more MACs than ``limit``, over all its calls in one run."""

    def fault(layer: LayerCost) -> str | None:
        macs = calls_macs(layer)
        if isinstance(macs, int):
            return f"{macs:,} MACs" if macs > limit else None
        return "an unknown number of MACs" if macs is None else f"{macs} MACs; fix the size by --dim"

    outcome = _every_layer(
        name, report, report.layers, fault, f"take at most {limit:,} MACs", f"take more than {limit:,} MACs"
    )
    macs = [calls_macs(layer) for layer in report.layers]
    known = [count for count in macs if isinstance(count, int)]
    return replace(outcome, limit=limit, value=max(known) if known and len(known) == len(macs) else None)


def groups_multiple_of(name: str, report: AuditReport, limit: int) -> Outcome:
    """The channels of a group fill vectors of ``limit`` lanes, on the way in and out.

    It is about grouped layers only: depthwise kernels vectorise over groups, not inside of one.
    """

    def fault(layer: LayerCost) -> str | None:
        channels = [layer.in_channels, layer.out_channels]
        per_group = [floor_divide(count, layer.groups) for count in channels]
        if all(isinstance(count, int) and count % limit == 0 for count in per_group):
            return None
        return " -> ".join("?" if count is None else str(count) for count in per_group) + " channels a group"

    grouped = [layer for layer in report.layers if layer.grouping == "grouped"]
    multiple = f"a multiple of {limit} channels a group"
    outcome = _every_layer(
        name, report, grouped, fault, f"have {multiple}", f"do not have {multiple}", "grouped convolution"
    )
    return replace(outcome, limit=limit)


def forbid(name: str, report: AuditReport, limit: tuple[str, ...]) -> Outcome:
    """No layer is of a forbidden kind."""

    def fault(layer: LayerCost) -> str | None:
        return ", ".join(kind for kind in limit if kind in layer.kinds) or None

    outcome = _every_layer(
        name, report, report.layers, fault, f"avoid {', '.join(limit)}", f"are {' or '.join(limit)}"
    )
    return replace(outcome, limit=limit)


def require_verified(name: str, report: AuditReport, _: bool) -> Outcome:
    """Every layer was re-executed and found right; a model in which nothing was verified fails."""

    def fault(layer: LayerCost) -> str | None:
        verdict = layer.verification
        if verdict is None:
            return "not verified"
        return None if verdict.verified else f"{verdict.words}: {verdict.reason}"

    outcome = _every_layer(name, report, report.layers, fault, "are verified", "are not verified")
    return outcome if report.layers else replace(outcome, status="failed")


def forbid_unknown(name: str, report: AuditReport, _: bool) -> Outcome:
    """Nothing that an audit counts is unknown; formulas in symbolic dimensions are known."""
    found = unknowns(report)
    contributors = tuple(Contributor(name=line, detail="", is_layer=False) for line in found)
    return Outcome(
        rule=name,
        status="failed" if found else "passed",
        message=f"{len(found)} unknown" if found else "nothing is unknown",
        contributors=contributors,
    )


def _why_not_removable(report: AuditReport) -> str:
    unknown = unknowns(report)
    return unknown[0] if unknown else "since the sizes of weights are not fixed"


def _largest_findings(lint: LintReport) -> tuple[Contributor, ...]:
    """Findings by what they save, the most first."""
    saved = [(one.removable_params, one) for one in lint.findings if isinstance(one.removable_params, int)]
    return tuple(
        Contributor(name=one.layer, detail=f"{params:,} by {one.rule} {one.name}")
        for params, one in sorted(saved, key=lambda pair: -pair[0])
        if params
    )


def _every_layer(
    name: str,
    report: AuditReport,
    layers: Sequence[LayerCost],
    fault: Callable[[LayerCost], str | None],
    virtue: str,
    vice: str,
    noun: str = "convolution",
) -> Outcome:
    """The rule that no layer has a fault; of those that have one, the ones with most MACs come first.

    Convolutions that may run unseen keep no rule.
    """
    unseen = [
        Contributor(name=other.op, detail=other.reason or "not seen", is_layer=False)
        for other in report.opaque_ops
    ]
    if not layers and not unseen:
        return Outcome(rule=name, status="skipped", message=f"the model contains no {noun}")
    contributors = [
        Contributor(name=layer.name, detail=text)
        for layer in sorted(layers, key=_known_macs, reverse=True)
        if (text := fault(layer)) is not None
    ]
    kept = not contributors
    message = (
        f"{len(layers) if kept else len(contributors)} of {len(layers)} {noun}s {virtue if kept else vice}"
    )
    if unseen:
        message += "; others may run unseen"
    return Outcome(
        rule=name,
        status="passed" if kept and not unseen else "failed",
        message=message,
        contributors=(*contributors, *unseen),
    )


def _known_macs(layer: LayerCost) -> int:
    macs = calls_macs(layer)
    return macs if isinstance(macs, int) else 0
