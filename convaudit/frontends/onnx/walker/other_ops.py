"""The ops that are not convolutions: what the multiplying ones cost, and how many of the others there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from convaudit.analyzer.warnings import is_convolution_by_name
from convaudit.errors import ModelError
from convaudit.formulas import Count, add
from convaudit.frontends.onnx.graphs import Address
from convaudit.frontends.onnx.ops import CONV_OPS
from convaudit.frontends.onnx.walker.convolutions import NEVER, is_known
from convaudit.frontends.onnx.walker.multiplying_ops import (
    MULTIPLYING_OPS,
    MultiplyingOp,
    multiplies_nothing,
)
from convaudit.frontends.onnx.walker.names import Names
from convaudit.frontends.onnx.walker.params import StoredParameter
from convaudit.frontends.onnx.walker.scopes import Node
from convaudit.records import Branch, OtherLayer, OtherOp, TensorInfo
from convaudit.shapes import known_elements

UNKNOWN_SHAPE = "a shape is unknown"
_UNKNOWN_OP = "convaudit does not know this op"
_UNDEFINED_CONVOLUTION = f"{_UNKNOWN_OP}; defined by a function in the file, it would be counted"
UNKNOWN_LOOP = "in a loop of unknown length"


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


def other_layers(
    nodes: Iterable[Node], parameters: Mapping[Address, Sequence[StoredParameter]], names: Names
) -> tuple[OtherLayer, ...]:
    """A row for each multiplying op that is not a convolution; an op that nobody knows has none.

    Args:
        nodes: All nodes of the model.
        parameters: What each of them computes with, by its address.
        names: Gives each a name that no convolution has.
    """
    return tuple(
        [
            _other_layer(node, row, parameters[node.address], names.of_layer(node.origin))
            for node in nodes
            if node.op not in CONV_OPS and (row := MULTIPLYING_OPS.get(node.op)) is not None
        ]
    )


def _other_layer(
    node: Node, row: MultiplyingOp, operands: Sequence[StoredParameter], name: str
) -> OtherLayer:
    macs, reason = _macs_of_a_call(node, row)
    parameters = {parameter.name: parameter for parameter in operands}
    weight = next((one for one in parameters.values() if one.index not in row.added), None)
    notes = [] if reason is None else [_unknown_sizes(node) if reason == UNKNOWN_SHAPE else reason]
    if node.scope.calls is None:
        notes.append(UNKNOWN_LOOP)
    if node.scope.calls == 0:
        notes.append(NEVER)
    return OtherLayer(
        name=name,
        op=node.op,
        params=add(*(parameter.elements for parameter in parameters.values())),
        macs=macs,
        input_shape=node.input_shape(0),
        output_shape=next((node.scope.shape(name) for name in node.proto.output if name), None),
        weight_shape=weight.shape if weight else None,
        weight_name=weight.name if weight else None,
        dtype=node.scope.dtype(node.input(0)) if node.input(0) else "unknown",
        stored=tuple([_stored(parameter) for parameter in parameters.values()]),
        scope=node.origin.scope,
        branches=node.scope.branches,
        calls=node.scope.calls,
        notes=tuple(notes),
    )


def _stored(parameter: StoredParameter) -> TensorInfo:
    """A stored tensor; of one that is not stored as the node sees it the elements are its only size."""
    as_seen = known_elements(parameter.shape) == parameter.elements
    shape = parameter.shape if as_seen else (parameter.elements,)
    return TensorInfo(name=parameter.name, shape=shape, dtype=parameter.dtype)


def _unknown_sizes(node: Node) -> str:
    """Which of a node's tensors have sizes that nobody knows, for its note."""
    names = [*node.proto.input, *node.proto.output]
    unknown = [name for name in names if name and not is_known(node.scope.shape(name))]
    listed = ", ".join(map(repr, unknown[:3])) + (", ..." if len(unknown) > 3 else "")
    return f"{UNKNOWN_SHAPE}: of {listed}" if unknown else UNKNOWN_SHAPE


def _macs(op: str, node: Node) -> tuple[Count | None, str | None]:
    """MACs in one run of the model, or the reason why they are unknown."""
    row = MULTIPLYING_OPS.get(op)
    if row is None:
        return None, _UNDEFINED_CONVOLUTION if is_convolution_by_name(op) else _UNKNOWN_OP
    macs, reason = _macs_of_a_call(node, row)
    if macs is None:
        return None, reason
    if node.scope.calls is None:
        return None, UNKNOWN_LOOP
    return macs * node.scope.calls, None


def _macs_of_a_call(node: Node, row: MultiplyingOp) -> tuple[Count | None, str | None]:
    if isinstance(row.macs, str):
        return None, row.macs
    try:
        macs = row.macs(node)
    except (ModelError, IndexError, ZeroDivisionError):
        macs = None
    return macs, UNKNOWN_SHAPE if macs is None else None


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
        opaque=not reasons.keys().isdisjoint((_UNKNOWN_OP, _UNDEFINED_CONVOLUTION)),
    )
