"""What onnx's shape inference must not be given: values with which onnx 1.23 fills the memory or crashes.

Inference itself crashes on a GatherND with negative ``batch_dims``, and makes room for as many outputs as a
Split claims. Data propagation, which works out shapes that are themselves data, counts the steps of Slice in
32 bits: with one of 2**32 it never arrives, one of 2**31 ends the process. And it lists every element of what
ConstantOfShape makes, and of what a chain of Concats does, each of which may double it.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from convaudit.walkers.onnx.attributes import Attributes
from convaudit.walkers.onnx.inferred import graphs

_STEPS, _MAX_STEP = 4, 2**31 - 1  # the input of Slice
_SHAPE, _MAX_ELEMENTS = 0, 2**10  # the input of ConstantOfShape
_RANK, _MAX_JOINED = 8, 2**14  # elements: of a shape, and of the longest list, at 800 bytes each


def hazard(model: ModelProto) -> str | None:
    """The node that crashes shape inference, in words; None if there is none."""
    for _, graph in graphs(model.graph):
        for node in graph.node:
            if node.op_type not in ("GatherND", "Split"):
                continue
            attributes = Attributes(node, f"{node.name} ({node.op_type})")
            batch_dims = attributes.integer("batch_dims", 0) if node.op_type == "GatherND" else 0
            if batch_dims < 0:
                return f"{node.name or node.op_type} has batch_dims={batch_dims}"
            parts = attributes.integer("num_outputs", 0) if node.op_type == "Split" else 0
            if parts > len(node.output):
                return f"{node.name or node.op_type} claims {parts} outputs and has {len(node.output)}"
    return None


def propagates_safely(model: ModelProto) -> bool:
    """True if data propagation meets no value, in any graph, that is too large for it.

    Functions must be expanded already.
    """
    steps = set(_operands(model, "Slice", _STEPS))
    small = _small_constants(model, steps, _MAX_STEP)
    if makes_long_lists(model) or not all(small.get(step, False) for step in steps):
        return False
    return not _concatenates_without_end(model)


def _concatenates_without_end(model: ModelProto) -> bool:
    """True if Concats may make a list that no memory holds."""
    joins = [node for _, graph in graphs(model.graph) for node in graph.node if _joins_lists(node)]
    if prod(len(node.input) for node in joins) <= _MAX_JOINED:
        return False  # not even if each were behind the other
    lengths: dict[str, int] = {}
    for _, graph in graphs(model.graph):
        lengths.update((tensor.name, prod(tensor.dims)) for tensor in graph.initializer)
        for node in graph.node:
            parts = [lengths.get(name, _RANK) for name in node.input if name]
            length = sum(parts) if _joins_lists(node) else min(max(parts, default=1), _MAX_JOINED)
            if _joins_lists(node) and length > _MAX_JOINED:
                return True
            for name in node.output:
                lengths[name] = _RANK if node.op_type == "Shape" else length
    return False


def _joins_lists(node: NodeProto) -> bool:
    return node.op_type == "Concat" and any(a.name == "axis" and a.i in (0, -1) for a in node.attribute)


def makes_long_lists(model: ModelProto) -> bool:
    """True if a stored number has ConstantOfShape make a list longer than any shape."""
    shapes = set(_operands(model, "ConstantOfShape", _SHAPE))
    return not all(_small_constants(model, shapes, _MAX_ELEMENTS).values())


def _small_constants(model: ModelProto, names: set[str], limit: int) -> dict[str, bool]:
    """Which of the named tensors are constants, and whether they are within the limit.

    Equal names in different graphs are not told apart: all of them must be small.
    """
    found: dict[str, bool] = {}
    for _, graph in graphs(model.graph) if names else ():
        for name, small in _constants(graph, names, limit):
            found[name] = found.get(name, True) and small
    return found


def _operands(model: ModelProto, op: str, index: int) -> Iterator[str]:
    """Names that all nodes of one op have as their input of that index."""
    for _, graph in graphs(model.graph):
        for node in graph.node:
            if node.op_type == op and len(node.input) > index and node.input[index]:
                yield node.input[index]


def _constants(graph: GraphProto, names: set[str], limit: int) -> Iterator[tuple[str, bool]]:
    for tensor in graph.initializer:
        if tensor.name in names:
            yield tensor.name, _is_within(tensor, limit)
    for node in graph.node:
        if node.op_type == "Constant":
            for name in names.intersection(node.output):
                yield name, _makes_constant_within(node, limit)


def _makes_constant_within(node: NodeProto, limit: int) -> bool:
    for value in node.attribute:
        if value.name == "value":
            return _is_within(value.t, limit)
        if value.name in ("value_int", "value_ints"):
            return _all_within([value.i, *value.ints], limit)
    return False


def _is_within(tensor: TensorProto, limit: int) -> bool:
    try:
        return _all_within(numpy_helper.to_array(tensor).ravel().tolist(), limit)
    except (ValueError, TypeError, KeyError, OSError):  # damaged, or its data are elsewhere
        return False


def _all_within(values: list[int], limit: int) -> bool:
    return all(abs(value) <= limit for value in values)
