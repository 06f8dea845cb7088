"""What a reader of the totals must know: what is unknown, missing from them, or was chosen."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from convaudit.analyzer.totals import ArmCount, calls_macs, exclusive_sum
from convaudit.formulas import Count
from convaudit.records import COSTS, AuditReport, LayerCost, OtherOp, Totals

# the counterpart with groups=1 is known where the layer is
_COUNTS = (*(name for name in COSTS if not name.startswith("dense_")), "calls")


def warnings(
    layers: Sequence[LayerCost],
    totals: Totals,
    other_ops: Sequence[OtherOp],
    text: Callable[[Count | None], str],
) -> tuple[str, ...]:
    """One line for each way in which the totals say less, or other, than their reader would think.

    Args:
        layers: With their costs.
        totals: Theirs.
        other_ops: The other multiplying ops.
        text: How a count is written.
    """
    unseen = any(other.opaque for other in other_ops)
    if not layers and not unseen:
        return ("the model contains no convolution",)
    return (
        *_dynamic_weights(layers),
        *_unknown_counts(layers, totals, text),
        *_iterations(layers, totals, text),
        *_branches(layers, text),
        *_unknown_other_ops(other_ops),
    )


def _dynamic_weights(layers: Sequence[LayerCost]) -> Iterator[str]:
    weights = [layer.name for layer in layers if layer.weight_name is None]
    biases = [layer.name for layer in layers if layer.bias and layer.bias_name is None]
    for parameter, names in (("weight", weights), ("bias", biases)):
        if names:
            yield (
                f"{_layers(names)}: the {parameter} is computed at run time, not stored; "
                "the total of the parameters leaves it out"
            )


def _unknown_counts(
    layers: Sequence[LayerCost], totals: Totals, text: Callable[[Count | None], str]
) -> Iterator[str]:
    without_macs = [layer.name for layer in layers if layer.macs is None]
    if without_macs:
        yield f"{_layers(without_macs)}: MACs unknown; the total is at least {text(totals.macs_at_least)}"
    without_params = [layer.name for layer in layers if layer.params is None]
    if without_params:
        yield f"{_layers(without_params)}: parameters unknown, so is their total"


def _iterations(
    layers: Sequence[LayerCost], totals: Totals, text: Callable[[Count | None], str]
) -> Iterator[str]:
    looped = [layer for layer in layers if layer.calls is None]
    if looped:
        once = exclusive_sum((layer.branches, layer.macs) for layer in looped)
        yield (
            f"{_layers([layer.name for layer in looped])}: in a loop of unknown length, "
            f"{_number(once, text)} MACs per iteration; "
            f"the total without it is at least {text(totals.macs_at_least)}"
        )


def _branches(layers: Sequence[LayerCost], text: Callable[[Count | None], str]) -> Iterator[str]:
    choices: dict[str, dict[str, list[ArmCount]]] = {}
    for layer in layers:
        for depth, branch in enumerate(layer.branches, start=1):
            parts = choices.setdefault(branch.choice, {}).setdefault(branch.arm, [])
            parts.append((layer.branches[depth:], calls_macs(layer)))
    for choice, arms in choices.items():
        each = ", ".join(f"{arm} {_number(exclusive_sum(parts), text)} MACs" for arm, parts in arms.items())
        yield f"{choice}: exclusive branches ({each}); the total takes the costlier one"


def _unknown_other_ops(other_ops: Sequence[OtherOp]) -> Iterator[str]:
    numbers: Counter[str] = Counter()
    for other in other_ops:
        if other.macs is None:
            reason = other.reason or "no rule for this op"
            what = "MACs unknown"
            if other.opaque and is_convolution_by_name(other.op):
                what = "a convolution by its name; it has no row, and the convolutions' totals are unknown"
            elif other.opaque:
                what = "convolutions may run in it unseen, so their totals are unknown"
            numbers[f"{other.op}: {what} ({reason})"] += other.count
    for text, number in numbers.items():
        yield f"{number} {text}"


def is_convolution_by_name(op: str) -> bool:
    """Whether the name of an op, without its domain, says that it convolves.

    >>> is_convolution_by_name("custom.MyConv"), is_convolution_by_name("my.conv.ConvertThing")
    (True, False)
    """
    return _CONVOLVES.search(op.rpartition(".")[2]) is not None


_CONVOLVES = re.compile(r"(?i)conv(?!ert|ers|ex|ent)")


def _number(count: Count | None, text: Callable[[Count | None], str]) -> str:
    return "an unknown number of" if count is None else text(count)


def _layers(names: Sequence[str], most: int = 3) -> str:
    listed = ", ".join(names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"


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
