"""The model's parameters: elements of its stored weights and biases, each tensor once.

Statistics (BatchNorm's running mean and variance), quantisation scales, states, shapes, indices and scalars
in formulas (``x + 3`` of a hard-swish) are stored as well and are not parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod

from convaudit.errors import ModelError
from convaudit.frontends.onnx.loader.tensors import is_floating
from convaudit.frontends.onnx.ops import CONV_OPS, ConvOp
from convaudit.frontends.onnx.walker.multiplying_ops import MULTIPLYING_OPS, MultiplyingOp
from convaudit.frontends.onnx.walker.scopes import Node
from convaudit.frontends.onnx.walker.weights import PASS_THROUGH, TracedOperand, is_dequantised, trace_all
from convaudit.records import Shape

# Operands of ops that multiply nothing: settings, statistics or scales, even where they are real numbers.
_SETTINGS: dict[str, frozenset[int]] = {
    "BatchNormalization": frozenset({3, 4}),
    "Clip": frozenset({1, 2}),
    "ConstantOfShape": frozenset({0}),
    "DequantizeLinear": frozenset({1, 2}),
    "Dropout": frozenset({1, 2}),
    "Expand": frozenset({1}),
    "OneHot": frozenset({1, 2}),
    "Pad": frozenset({1, 2, 3}),
    "Pow": frozenset({1}),
    "QuantizeLinear": frozenset({1, 2}),
    "Range": frozenset({0, 1, 2}),
    "Resize": frozenset({1, 2, 3}),
    "Upsample": frozenset({1}),
}
_INTEGER_PARAMETERS = {"DequantizeLinear": frozenset({0})}
_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class StoredParameter:
    """A stored tensor that a node computes with."""

    index: int  # of the operand
    name: str  # unique in the model
    shape: Shape | None  # as the node sees it
    dtype: str  # as it is stored
    elements: int | None  # None: nobody can tell


def count_parameters(parameters: Iterable[StoredParameter]) -> int | None:
    """Elements of all stored parameters, each once; None if the size of one is unknown."""
    found: dict[str, int | None] = {}
    for parameter in parameters:
        found.setdefault(parameter.name, parameter.elements)
    return None if None in found.values() else sum(size for size in found.values() if size is not None)


def parameters_of(node: Node) -> Iterator[StoredParameter]:
    """The stored tensors that a node computes with, in the order of its operands.

    Raises:
        ModelError: The node uses a tensor that nothing defines.
    """
    op_type = node.proto.op_type
    passes = op_type in PASS_THROUGH and op_type != "DequantizeLinear"  # whoever uses the result decides
    row = CONV_OPS.get(node.op) or MULTIPLYING_OPS.get(node.op)
    settings = row.settings if row else _SETTINGS.get(op_type, _NONE)
    for index, name in enumerate(node.proto.input):
        if name and node.scope.home(name) is None:
            raise ModelError(f"{node.who}: {_undefined(node, index, name)}")
        if name and not passes and index not in settings:
            for operand in trace_all(node.scope, name):
                found = _parameter(node, row, index, operand)
                if found is not None:
                    yield found


def _undefined(node: Node, index: int, name: str) -> str:
    row = CONV_OPS.get(node.op)
    role = row.roles[index] if row is not None and index < len(row.roles) else ""
    if role not in ("weight", "bias"):
        return f"nothing defines its input {name!r}"
    return (
        f"its {role} {name!r} is not defined: no initializer, input or node has that name; "
        "export the model with its weights"
    )


def _parameter(
    node: Node, row: ConvOp | MultiplyingOp | None, index: int, operand: TracedOperand
) -> StoredParameter | None:
    if operand.name is None:
        return None
    if isinstance(row, MultiplyingOp) and row.packed == index:
        sizes = [node.attributes.size(name, default=0, minimum=0) for name in ("N", "K")]
        return StoredParameter(index, operand.name, tuple(sizes), operand.dtype, prod(sizes))
    if operand.dtype == "unknown" and operand.shape != ():
        return StoredParameter(index, operand.name, operand.shape, operand.dtype, None)
    integers = row.integer_parameters if row else _INTEGER_PARAMETERS.get(node.proto.op_type, _NONE)
    if operand.shape == ():
        return None
    if index in integers or is_floating(operand.dtype) or is_dequantised(node.scope, node.input(index)):
        return StoredParameter(index, operand.name, operand.shape, operand.dtype, operand.elements)
    return None
