"""What an audit could not find out, for those who want to be told: ``--strict`` and budgets."""

from __future__ import annotations

from collections.abc import Iterator

from convaudit.records import AuditReport

_COUNTS = ("params", "macs", "weight_bytes", "activation_bytes", "calls")


def unknowns(report: AuditReport) -> tuple[str, ...]:
    """One line for each number that is unknown; a formula in symbolic dimensions is known.

    A report without layers is complete: nothing of it is unknown.
    """
    return tuple(_unknowns(report))


def _unknowns(report: AuditReport) -> Iterator[str]:
    for layer in report.layers:
        missing = [count for count in _COUNTS if getattr(layer, count) is None]
        if missing:
            yield f"{layer.name}: {', '.join(missing)} unknown"
    for other in report.other_ops:
        if other.macs is None:
            unseen = ", and what convolutions run in it" if other.opaque else ""
            yield f"{other.count} {other.op}: macs unknown{unseen}"
    if report.totals.model_params is None:
        yield "the model's parameters: number unknown"
