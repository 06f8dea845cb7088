"""What the accounting claims of one call of a convolution, held against the call that ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from convaudit.analyzer import costs
from convaudit.feeds import settled
from convaudit.formulas import Formula
from convaudit.judge.execution import Execution
from convaudit.records import ConvLayer, Verification
from convaudit.shapes import as_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounted:
    """Sizes and multiply-accumulates of one call; None where the accounting does not know them."""

    input_shape: tuple[int | None, ...] | None = None  # laid out as the execution's, as are the others
    weight_shape: tuple[int | None, ...] | None = None
    output_shape: tuple[int | None, ...] | None = None
    macs: int | None = None


def accounted(layer: ConvLayer, sizes: Mapping[str, int]) -> Accounted:
    """What the accounting claims of a layer, with these sizes of the symbolic dimensions."""
    macs = costs.macs(layer)
    if isinstance(macs, Formula):
        macs = macs.substitute(sizes)
    return Accounted(
        input_shape=settled(layer.input_shape, sizes),
        weight_shape=settled(layer.weight_shape, sizes),
        output_shape=settled(layer.output_shape, sizes),
        macs=macs if isinstance(macs, int) else None,
    )


def held_against_accounting(verdict: Verification, execution: Execution, claim: Accounted) -> Verification:
    """The verdict on the values that ran, or ``miscounted`` if their sizes are not the accounted ones."""
    claimed, ran = [], []
    for name, shape, array in (
        ("input", claim.input_shape, execution.x),
        ("weight", claim.weight_shape, execution.weight),
        ("output", claim.output_shape, execution.output),
    ):
        if not _agree(shape, array.shape):
            claimed.append(f"{name} {as_text(shape)}")
            ran.append(f"{name} {as_text(array.shape)}")
    if claim.macs is not None and verdict.executed_macs not in (None, claim.macs):
        claimed.append(f"{claim.macs:,} MACs")
        ran.append(f"{verdict.executed_macs:,} MACs")
    if not claimed:
        return verdict
    compared = verdict.max_abs_error is not None
    values = "right" if verdict.verified else "wrong" if verdict.failed and compared else "not proven"
    reason = (
        f"the accounting claims {', '.join(claimed)}, but {', '.join(ran)} ran; "
        f"the values of that size are {values} ({verdict.words}: {verdict.reason})"
    )
    return replace(verdict, status="miscounted", reason=reason)


def _agree(claimed: tuple[int | None, ...] | None, ran: tuple[int, ...]) -> bool:
    if claimed is None:
        return True
    return len(claimed) == len(ran) and all(
        size in (None, actual) for size, actual in zip(claimed, ran, strict=True)
    )
