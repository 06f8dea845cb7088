"""The model's parameters: elements of its stored weights and biases, each tensor once.

Statistics (BatchNorm's running mean and variance), quantisation scales, shapes, indices and scalars in
formulas (``x + 3`` of a hard-swish) are stored as well and are no parameters.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from convaudit.errors import ModelError
from convaudit.frontends.onnx.dtypes import is_floating
from convaudit.frontends.onnx.ops import CONV_OPS
from convaudit.frontends.onnx.walker.scopes import Node
from convaudit.frontends.onnx.walker.weights import PASS_THROUGH, Parameter, find_parameters

# Operands that hold settings, statistics, states or scales even where their type is real.
_NO_PARAMETERS: dict[str, frozenset[int]] = {
    "BatchNormalization": frozenset({3, 4}),
    "Clip": frozenset({1, 2}),
    "ConstantOfShape": frozenset({0}),
    "Dropout": frozenset({1, 2}),
    "DequantizeLinear": frozenset({1, 2}),
    "QuantizeLinear": frozenset({1, 2}),
    "Expand": frozenset({1}),
    "GRU": frozenset({4, 5}),
    "LSTM": frozenset({4, 5, 6}),
    "RNN": frozenset({4, 5}),
    "OneHot": frozenset({1, 2}),
    "Pad": frozenset({1, 2, 3}),
    "Pow": frozenset({1}),
    "QAttention": frozenset({3, 4}),
    "QGemm": frozenset({1, 2, 4, 5, 7, 8}),
    "QLinearMatMul": frozenset({1, 2, 4, 5, 6, 7}),
    "Range": frozenset({0, 1, 2}),
    "Resize": frozenset({1, 2, 3}),
    "Upsample": frozenset({1}),
}
# Operands that hold weights although their type is an integer one.
_QUANTISED: dict[str, frozenset[int]] = {
    "DequantizeLinear": frozenset({0}),
    "MatMulInteger": frozenset({0, 1}),
    "QLinearMatMul": frozenset({0, 3}),
    "DynamicQuantizeLSTM": frozenset({1, 2}),
    "DynamicQuantizeMatMul": frozenset({1}),
    "MatMulIntegerToFloat": frozenset({1}),
    "QAttention": frozenset({1}),
    "QGemm": frozenset({3, 6}),
}
# Ops whose weight (operand 1) is packed: attributes K and N hold its logical sizes.
_PACKED = frozenset({"MatMulNBits", "MatMulBnb4"})
_NONE: frozenset[int] = frozenset()


def count_parameters(nodes: Iterable[Node]) -> int | None:
    """Elements of all stored parameters that ``nodes`` use; None if a parameter's size is unknown.

    Raises:
        ModelError: A node uses a tensor that nothing defines.
    """
    found: dict[str, int | None] = {}
    for node in nodes:
        op = node.proto.op_type
        passes = op in PASS_THROUGH and op != "DequantizeLinear"  # whoever uses the result decides
        conv = CONV_OPS.get(node.op)
        others = conv.settings if conv else _NO_PARAMETERS.get(op, _NONE)
        for index, name in enumerate(node.proto.input):
            if name and node.scope.home(name) is None:
                raise ModelError(f"{node.who}: nothing defines its input {name!r}")
            if name and not passes and index not in others:
                for parameter in find_parameters(node.scope, name):
                    _collect(node, index, parameter, found)
    return None if None in found.values() else sum(size for size in found.values() if size is not None)


def _collect(node: Node, index: int, parameter: Parameter, found: dict[str, int | None]) -> None:
    if parameter.name is None or parameter.name in found:
        return
    if node.proto.op_type in _PACKED:
        if index == 1:
            sizes = (node.attributes.size(name, default=0, minimum=0) for name in ("K", "N"))
            found[parameter.name] = prod(sizes)
        return
    if parameter.dtype == "unknown" and parameter.shape != ():
        found[parameter.name] = None  # what it holds, nobody can tell
        return
    conv = CONV_OPS.get(node.op)
    quantised = index in (conv.integer_parameters if conv else _QUANTISED.get(node.proto.op_type, _NONE))
    is_scalar = parameter.shape == ()
    if (quantised or is_floating(parameter.dtype)) and not is_scalar:
        found[parameter.name] = parameter.elements
