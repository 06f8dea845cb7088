"""Whether onnx's data propagation may be let loose on a model.

Data propagation works out shapes that are themselves data. Its ``Slice`` counts in 32 bits (onnx 1.23): with
a step of 2**32 it never arrives, until memory is full, and one of 2**31 ends the process.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from convaudit.walkers.onnx.inferred import graphs

_STEPS = 4  # the input of Slice
_MAX_STEP = 2**31 - 1


def propagates_safely(model: ModelProto) -> bool:
    """True if every step of every ``Slice``, in any graph, is a constant of less than 32 bits.

    Functions must be expanded already.
    """
    steps = {
        node.input[_STEPS]
        for _, graph in graphs(model.graph)
        for node in graph.node
        if node.op_type == "Slice" and len(node.input) > _STEPS and node.input[_STEPS]
    }
    if not steps:
        return True
    # equal names in different graphs are not told apart: all of them must be small
    found = [item for _, graph in graphs(model.graph) for item in _definitions(graph, steps)]
    return all(small for _, small in found) and steps == {name for name, _ in found}


def _definitions(graph: GraphProto, names: set[str]) -> Iterator[tuple[str, bool]]:
    """Of the named tensors, those that the graph defines, and whether it is as a small constant."""
    for tensor in graph.initializer:
        if tensor.name in names:
            yield tensor.name, _is_small(tensor)
    for node in graph.node:
        for name in names.intersection(node.output):
            yield name, _makes_small_constant(node)


def _makes_small_constant(node: NodeProto) -> bool:
    if node.op_type != "Constant" or len(node.attribute) != 1:
        return False
    value = node.attribute[0]
    if value.name == "value":
        return _is_small(value.t)
    return value.name in ("value_int", "value_ints") and _all_small([value.i, *value.ints])


def _is_small(tensor: TensorProto) -> bool:
    try:
        return _all_small(numpy_helper.to_array(tensor).ravel().tolist())
    except (ValueError, TypeError, KeyError, OSError):  # damaged, or its data are elsewhere
        return False


def _all_small(values: list[int]) -> bool:
    return all(abs(value) <= _MAX_STEP for value in values)
