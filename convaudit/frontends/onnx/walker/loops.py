"""How often a control-flow node runs its body."""

from __future__ import annotations

from onnx import GraphProto

from convaudit.formulas import Count
from convaudit.frontends.onnx.walker.scopes import Node, Scope
from convaudit.frontends.onnx.walker.weights import stored_integers


def choice(node: Node) -> str | None:
    """The arm of an If that a constant condition chooses, by its attribute; None if that depends on data."""
    condition = _constant(node.scope, node.input(0)) if node.op == "If" else None
    return None if condition is None else "then_branch" if condition else "else_branch"


def iterations(node: Node, name: str, body: GraphProto) -> Count | None:
    """Runs of ``body``, the attribute ``name``, in one run of ``node``; None if that depends on data."""
    if node.op == "If":
        return 1 if choice(node) in (None, name) else 0
    if node.op == "Scan":
        return _scan_length(node)
    if node.op == "Loop":
        return _trip_count(node, name, body)
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


def _trip_count(node: Node, attribute: str, body: GraphProto) -> Count | None:
    """A constant count under a condition that is always true."""
    count = _constant(node.scope, node.input(0))
    if count is None or not _always_true(node, attribute, body):
        return None
    return max(count, 0)


def _always_true(node: Node, attribute: str, body: GraphProto) -> bool:
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
    scope = node.scope
    inner = Scope(scope.expanded, scope.inferred, parent=scope, address=(*node.address, attribute))
    return _constant(inner, name) == 1


def _constant(scope: Scope, name: str) -> int | None:
    """Value of a stored scalar."""
    values = stored_integers(scope, name)
    return values[0] if values is not None and len(values) == 1 else None
