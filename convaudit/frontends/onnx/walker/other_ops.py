"""The ops that are no convolutions: what the multiplying ones cost, and how many of the others there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

from onnx import defs

from convaudit.errors import ModelError
from convaudit.formulas import Count
from convaudit.frontends.onnx.ops import CONV_OPS
from convaudit.frontends.onnx.walker.mac_counters import MAC_COUNTERS, NO_COUNTER
from convaudit.frontends.onnx.walker.onnxruntime_ops import (
    NO_RULE,
    NOT_MULTIPLYING,
    REORDERING,
    STANDARD_DOMAIN,
)
from convaudit.frontends.onnx.walker.scopes import Node
from convaudit.records import Branch, OtherOp

_REORDERED = frozenset({"com.microsoft.nchwc", "com.ms.internal.nhwc"})  # layouts of known ops
_UNKNOWN_OP = "convaudit does not know this op"
_NO_RULE = "no counting rule"
UNKNOWN_SHAPE = "a shape is unknown"
_UNKNOWN_LOOP = "in a loop of unknown length"


def count_other_ops(nodes: Iterable[Node]) -> tuple[tuple[OtherOp, ...], tuple[tuple[str, int], ...]]:
    """Multiplying ops with their MACs, by op and exclusive branch; and the others' types and numbers.

    Both are in the order of the first appearance. An op that nobody knows may multiply, and convolve: its
    MACs are unknown, and so are the convolutions' totals.
    """
    multiplying: dict[tuple[str, tuple[Branch, ...]], list[tuple[Count | None, str | None]]] = {}
    uncounted: Counter[str] = Counter()
    for node in nodes:
        op = node.op
        if op in CONV_OPS:
            continue
        if op in MAC_COUNTERS or not _multiplies_nothing(op, node):
            multiplying.setdefault((op, node.scope.branches), []).append(_macs(op, node))
        else:
            uncounted[op] += 1
    others = [_other_op(op, branches, parts) for (op, branches), parts in multiplying.items()]
    return tuple(others), tuple(uncounted.items())


def _multiplies_nothing(op: str, node: Node) -> bool:
    if op in NO_COUNTER:
        return False
    domain, name = node.proto.domain, node.proto.op_type
    if domain == "com.microsoft":
        return name in NOT_MULTIPLYING
    if domain in _REORDERED:
        multiplies = name in CONV_OPS or name in MAC_COUNTERS or name in NO_COUNTER
        return name in NOT_MULTIPLYING or name in REORDERING or (_is_standard(name, "") and not multiplies)
    if domain in ("", "ai.onnx"):
        return _is_standard(name, "") or name in STANDARD_DOMAIN
    return _is_standard(name, domain)


@cache
def _is_standard(name: str, domain: str) -> bool:
    return bool(defs.has(name, domain=domain))


def _macs(op: str, node: Node) -> tuple[Count | None, str | None]:
    """MACs in one run of the model, or the reason why they are unknown."""
    counter = MAC_COUNTERS.get(op)
    if counter is None:
        no_rule = node.proto.domain == "com.microsoft" and node.proto.op_type in NO_RULE
        return None, NO_COUNTER.get(op, _NO_RULE if no_rule else _UNKNOWN_OP)
    try:
        macs = counter(node)
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
