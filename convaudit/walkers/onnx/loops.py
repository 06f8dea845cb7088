"""How often a control-flow node runs its body."""

from __future__ import annotations

from onnx import GraphProto, TensorProto

from convaudit.formulas import Count
from convaudit.loaders.tensors import decode
from convaudit.walkers.onnx.scopes import Node, Scope
from convaudit.walkers.onnx.weights import stored_tensor


def iterations(node: Node, body: GraphProto) -> Count | None:
    """Runs of ``body`` in one run of ``node``; None if that depends on data."""
    if node.op == "If":
        return 1
    if node.op == "Scan":
        return _scan_length(node)
    if node.op == "Loop":
        return _trip_count(node, body)
    return None


def _scan_length(node: Node) -> Count | None:
    attributes = node.attributes
    if node.scope.opset < 9:
        return None  # it had a batch axis and lengths of its own then
    scanned = attributes.integer("num_scan_inputs", 0)
    first = len(node.proto.input) - scanned
    shape = node.input_shape(first) if 0 <= first < len(node.proto.input) else None
    axis = (attributes.integers("scan_input_axes") or [0])[0]
    return shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None


def _trip_count(node: Node, body: GraphProto) -> Count | None:
    """A constant count under a condition that is always true."""
    count = _constant(node.scope, node.input(0))
    if count is None or not _always_true(node, body):
        return None
    return max(count, 0)


def _always_true(node: Node, body: GraphProto) -> bool:
    start = node.input(1)
    if start and _constant(node.scope, start) != 1:
        return False
    if len(body.input) < 2 or not body.output:
        return False
    producers = {name: inner for inner in body.node for name in inner.output}
    name = body.output[0].name
    while name in producers and producers[name].op_type == "Identity":
        name = producers.pop(name).input[0]
    if name == body.input[1].name:
        return True
    inner = Scope(body, node.scope.expanded, node.scope.inferred, parent=node.scope)
    return _constant(inner, name) == 1


def _constant(scope: Scope, name: str) -> int | None:
    """Value of a stored scalar."""
    home, stored = stored_tensor(scope, name)
    if home is None:
        return None
    tensor = home.stored.get(stored)
    if tensor is None:
        producer = home.producers[stored]
        values = {attribute.name: attribute for attribute in producer.attribute}
        if producer.op_type == "Constant" and "value_int" in values:
            return int(values["value_int"].i)
        tensor = values["value"].t if producer.op_type == "Constant" and "value" in values else None
    if not isinstance(tensor, TensorProto) or tensor.data_location == TensorProto.EXTERNAL:
        return None
    array = decode(tensor, None, "raw_data", f"tensor {tensor.name!r}")
    return int(array.item()) if array.size == 1 and array.dtype.kind in "iub" else None
