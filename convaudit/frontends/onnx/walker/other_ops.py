"""The ops that are not convolutions: what the multiplying ones cost, and how many of the others there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from convaudit.errors import ModelError
from convaudit.formulas import Count
from convaudit.frontends.onnx.ops import CONV_OPS
from convaudit.frontends.onnx.walker.multiplying_ops import MULTIPLYING_OPS, multiplies_nothing
from convaudit.frontends.onnx.walker.scopes import Node
from convaudit.records import Branch, OtherOp

UNKNOWN_SHAPE = "a shape is unknown"
_UNKNOWN_OP = "convaudit does not know this op"
_UNKNOWN_LOOP = "in a loop of unknown length"


def count_other_ops(nodes: Iterable[Node]) -> tuple[tuple[OtherOp, ...], tuple[tuple[str, int], ...]]:
    """Count the ops that are not convolutions.

    An op that nobody knows may multiply, and convolve: its MACs are unknown, and so are the convolutions'
    totals.

    Returns:
        The multiplying ops with their MACs, by op and exclusive branch; the others' types and numbers. Both
        are in the order of the first appearance.
    """
    multiplying: dict[tuple[str, tuple[Branch, ...]], list[tuple[Count | None, str | None]]] = {}
    uncounted: Counter[str] = Counter()
    for node in nodes:
        op = node.op
        if op in CONV_OPS:
            continue
        if multiplies_nothing(node.proto.domain, node.proto.op_type):
            uncounted[op] += 1
        else:
            multiplying.setdefault((op, node.scope.branches), []).append(_macs(op, node))
    others = [_other_op(op, branches, parts) for (op, branches), parts in multiplying.items()]
    return tuple(others), tuple(uncounted.items())


def _macs(op: str, node: Node) -> tuple[Count | None, str | None]:
    """MACs in one run of the model, or the reason why they are unknown."""
    row = MULTIPLYING_OPS.get(op)
    if row is None:
        return None, _UNKNOWN_OP
    if isinstance(row.macs, str):
        return None, row.macs
    try:
        macs = row.macs(node)
    except (ModelError, IndexError, ZeroDivisionError):
        macs = None
    if macs is None:
        return None, UNKNOWN_SHAPE
    if node.scope.calls is None:
        return None, _UNKNOWN_LOOP
    return macs * node.scope.calls, None


def _other_op(
    op: str, branches: tuple[Branch, ...], parts: Sequence[tuple[Count | None, str | None]]
) -> OtherOp:
    known = [macs for macs, _ in parts if macs is not None]
    reasons = dict.fromkeys(reason for _, reason in parts if reason is not None)
    return OtherOp(
        op=op,
        count=len(parts),
        macs=sum(known) if not reasons else None,
        reason="; ".join(reasons) or None,
        branches=branches,
        opaque=_UNKNOWN_OP in reasons,
    )
