"""Regressions against a baseline: the audit that somebody agreed to, and committed (``baseline_file``)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from convaudit.checks.diff import Difference, difference_of
from convaudit.checks.outcome import Contributor, Outcome, OutcomeStatus, percent
from convaudit.checks.quantities import (
    ACTIVATION_BYTES,
    FILE_SIZE,
    MACS,
    PARAMS,
    WEIGHT_BYTES,
    Quantity,
    why_unknown,
)
from convaudit.records import AuditReport
from convaudit.shapes import as_text

QUANTITIES = {
    "baseline-params": PARAMS,
    "baseline-macs": MACS,
    "baseline-size": FILE_SIZE,
    "baseline-weight-bytes": WEIGHT_BYTES,
    "baseline-activation-bytes": ACTIVATION_BYTES,
}
"""What may not grow, by the rule's name."""


def check_baseline(
    baseline: AuditReport, report: AuditReport, tolerance: Fraction = Fraction(0)
) -> list[Outcome]:
    """One outcome for each quantity: failed if it grew by more than ``tolerance`` of its old value."""
    difference = difference_of(baseline, report)
    return [_compare(rule, quantity, difference, tolerance) for rule, quantity in QUANTITIES.items()]


def not_written(report: AuditReport) -> list[Outcome]:
    """One skipped outcome for each quantity that a baseline cannot hold, since it is not a number."""
    return [
        Outcome(
            rule=rule,
            status="skipped",
            message=f"not written: {why_unknown(quantity, report)}",
            value=quantity.total(report),
        )
        for rule, quantity in QUANTITIES.items()
        if not isinstance(quantity.total(report), int)
    ]


def new_model(name: str, where: str, *, required: bool) -> Outcome:
    """That a model is not in the baseline: nothing is compared, which fails only if it is required to be."""
    message = f"new: {name!r} is not in {where}; add it with --write-baseline"
    if required:
        return Outcome(rule="require-baseline", status="failed", message=message)
    return Outcome(rule="baseline", status="skipped", message=message)


def _compare(rule: str, quantity: Quantity, difference: Difference, tolerance: Fraction) -> Outcome:
    old, new = quantity.total(difference.before), quantity.total(difference.after)
    if not isinstance(old, int):
        message = f"{quantity.noun}: unknown in the baseline, so not compared"
        return Outcome(rule=rule, status="skipped", message=message, value=new)
    if not isinstance(new, int):
        message = f"{why_unknown(quantity, difference.after)} (in the baseline {old:,})"
        return Outcome(rule=rule, status="failed", message=message, value=new, limit=old)
    limit = old + int(old * tolerance)
    status: OutcomeStatus = "failed" if new > limit else "passed"
    return Outcome(
        rule=rule,
        status=status,
        message=_change_text(quantity, old, new, limit, tolerance) + _input_text(difference),
        value=new,
        limit=limit,
        contributors=_growth(quantity, difference) if status == "failed" else (),
    )


def _change_text(quantity: Quantity, old: int, new: int, limit: int, tolerance: Fraction) -> str:
    if new == old:
        return f"{new:,} {quantity.noun}, as in the baseline"
    share = f" ({'+' if new > old else ''}{percent(Fraction(new - old, old))})" if old else ""
    change = f"{old:,} -> {new:,} {quantity.noun}{share}"
    if new < old:
        return f"{change}, improved; --write-baseline keeps it"
    return f"{change}, {'more than' if new > limit else 'within'} the tolerance of {percent(tolerance)}"


def _input_text(difference: Difference) -> str:
    before, after = (
        ", ".join(as_text(tensor.shape) for tensor in report.inputs)
        for report in (difference.before, difference.after)
    )
    return "" if before == after else f"; the input changed from {before} to {after}"


def _growth(quantity: Quantity, difference: Difference, most: int = 3) -> tuple[Contributor, ...]:
    """The layers that grew most, and what changed in them."""
    growths = [(delta, name, why) for delta, name, why in _layer_growths(quantity, difference) if delta > 0]
    growths.sort(key=lambda growth: -growth[0])
    return tuple(Contributor(name=name, detail=f"+{delta:,}: {why}") for delta, name, why in growths[:most])


def _layer_growths(quantity: Quantity, difference: Difference) -> Iterator[tuple[int, str, str]]:
    for layer in difference.added:
        amount = quantity.of_layer(layer)
        if isinstance(amount, int):
            yield amount, layer.name, "new"
    for change in difference.changed:
        old, new = quantity.of_layer(change.before), quantity.of_layer(change.after)
        if isinstance(old, int) and isinstance(new, int):
            causes = [str(field) for field in change.changes if field.field not in ("params", "macs")]
            yield new - old, change.after.name, ", ".join(causes)
