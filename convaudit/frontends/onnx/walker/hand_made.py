"""Finds groups that a graph makes by hand: parts of a tensor, a convolution of each, joined in that order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convaudit.errors import ModelError
from convaudit.frontends.onnx.ops import CONV_OPS
from convaudit.frontends.onnx.walker.scopes import Node, Scope
from convaudit.frontends.onnx.walker.weights import stored_integers
from convaudit.records import ConvLayer, CutOut, HandMadeGroups, parts_of_one

_CHANNELS = 1
_MOST_STEPS = 8
"""Operators between a part and its convolution, and between that and where the parts are joined."""
_NAMES = """
    Abs BatchNormalization Celu Clip Elu Erf Exp Gelu HardSigmoid HardSwish Identity LeakyRelu Mish Neg Relu
    Selu Sigmoid Softplus Softsign Swish Tanh ThresholdedRelu
"""
_ELEMENTWISE = frozenset(_NAMES.split())
"""Of one tensor, or with one number for each channel."""


def hand_made_groups(
    nodes: Sequence[Node], convolutions: Sequence[Node], layers: Sequence[ConvLayer]
) -> tuple[HandMadeGroups, ...]:
    """Convolutions of a tensor's parts that are joined again.

    Args:
        nodes: Of all graphs.
        convolutions: Those of the layers.
        layers: In the same order.
    """
    rows = {
        (id(node.scope), node.proto.output[0]): (node, layer)
        for node, layer in zip(convolutions, layers, strict=True)
        if layer.layout == "channels_first" and CONV_OPS[node.op].plain
    }
    cut = {
        (id(node.scope), name): CutOut(
            ("split", id(node.scope), node.proto.input[0], node.proto.output[0]), i, i + 1
        )
        for node in nodes
        if node.op == "Split" and _axis(node) == _CHANNELS
        for i, name in enumerate(node.proto.output)
    }
    found: dict[tuple[str, ...], HandMadeGroups] = {}
    for node in nodes if len(rows) > 1 else ():
        if node.op == "Concat" and _axis(node) == _CHANNELS:
            parts = [_convolved_part(node.scope, name, rows, cut) for name in node.proto.input]
            for run in parts_of_one(parts):
                names = tuple(layer.name for layer in run)
                found[names] = HandMadeGroups(layers=names, groups=len(run) * run[0].groups)
    return tuple(found.values())


def _convolved_part(
    scope: Scope,
    name: str,
    rows: Mapping[tuple[int, str], tuple[Node, ConvLayer]],
    cut: Mapping[tuple[int, str], CutOut],
) -> tuple[CutOut, ConvLayer] | None:
    """The part whose convolution a tensor is, through elementwise operators."""
    name = _behind(scope, name)
    node, layer = rows.get((id(scope), name), (None, None))
    if node is None or layer is None:
        return None
    source = _behind(scope, node.proto.input[0])
    part = cut.get((id(scope), source)) or _sliced(scope, source)
    return None if part is None else (part, layer)


def _behind(scope: Scope, name: str) -> str:
    for _ in range(_MOST_STEPS):
        node = scope.producers.get(name)
        if node is None or node.op_type not in _ELEMENTWISE or not node.input:
            break
        name = node.input[0]
    return name


def _axis(node: Node) -> int | None:
    try:
        return node.attributes.integer("axis", 0)
    except ModelError:  # nothing is counted by it
        return None


def _sliced(scope: Scope, name: str) -> CutOut | None:
    node = scope.producers.get(name)
    if node is None:
        return None
    if node.op_type == "Slice" and len(node.input) >= 4:
        lists = [stored_integers(scope, operand) for operand in node.input[1:] if operand]
        if any(values is None or len(values) != 1 for values in lists):
            return None
        start, stop, axis, *step = [values[0] for values in lists if values]
        if axis == _CHANNELS and 0 <= start < stop and step in ([], [1]):
            return CutOut((id(scope), node.input[0]), start, stop)
    return None
