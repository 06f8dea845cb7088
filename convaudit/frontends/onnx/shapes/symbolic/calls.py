"""A node as a rule sees it: its attributes, what is known of its operands; stored tensors as values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from onnx import AttributeProto, NodeProto, SparseTensorProto, TensorProto

from convaudit.formulas import Count, Formula, is_nonnegative
from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.loader.tensors import decode
from convaudit.frontends.onnx.shapes.symbolic.reals import constant
from convaudit.frontends.onnx.shapes.symbolic.tensors import (
    FLOATS,
    INTEGERS,
    MOST_ELEMENTS,
    Tensor,
    Unknown,
    array,
)
from convaudit.records import Shape

Rule: TypeAlias = "Callable[[Call], Sequence[Tensor]]"
"""What is known of a node's results; Unknown is raised where nothing is."""
Sizes: TypeAlias = "list[Count | None]"
"""Sizes of a tensor's axes that are put together, or elements of an operand."""
Operation: TypeAlias = "Callable[[Call], np.ndarray]"
"""The elements of a node's first result; Unknown is raised where nothing is known."""


class Call:
    """A node with its operands."""

    def __init__(
        self, node: NodeProto, operands: Sequence[Tensor | None], opset: int, assumed: Sequence[Formula]
    ) -> None:
        self.node = node
        self.operands = operands
        self.opset = opset
        self.attributes = Attributes(node, node.name or node.op_type)
        self._assumed = assumed

    def tensor(self, index: int) -> Tensor:
        """What is known of an operand; nothing at all of one that is absent."""
        operand = self.operands[index] if index < len(self.operands) else None
        return operand if operand is not None else Tensor()

    def has(self, index: int) -> bool:
        """Whether the node has that operand."""
        return index < len(self.node.input) and bool(self.node.input[index])

    def dtype(self, index: int = 0) -> int:
        """Element type of an operand; 0 if unknown."""
        return self.tensor(index).dtype

    def shape(self, index: int = 0) -> Shape:
        """Shape of an operand; Unknown is raised if not even the rank is known."""
        shape = self.tensor(index).shape
        if shape is None:
            raise Unknown
        return shape

    def value(self, index: int) -> np.ndarray:
        """Elements of an operand, some of them maybe None; Unknown is raised if there are none."""
        value = self.tensor(index).value
        if value is None:
            raise Unknown
        return value

    def counts(self, index: int) -> list[Count | None]:
        """Elements of an operand that is a list of integers."""
        counts: list[Count | None] = self.value(index).ravel().tolist()
        if not all(isinstance(count, int | Formula | None) for count in counts):
            raise Unknown
        return counts

    def integers(self, name: str, index: int | None, since: int) -> list[Count | None] | None:
        """Integers that moved from an attribute to an operand at an opset.

        Args:
            name: Name of the attribute.
            index: Index of the operand; None: there is none.
            since: The opset from which the operand counts.

        Returns:
            The integers; None if they are not given.

        Raises:
            Unknown: They are given, but not known.
        """
        if self.opset < since or index is None:
            given = self.attributes.integers(name)
            return None if given is None else list(given)
        return self.counts(index) if self.has(index) else None

    def fixed_integers(self, name: str, index: int | None, since: int) -> list[int] | None:
        """The same as ``integers``, where only numbers will do."""
        given = self.integers(name, index, since)
        if given is None:
            return None
        return [fixed(element) for element in given]

    def is_nonnegative(self, count: Count) -> bool:
        """Whether a count is at least 0 in every run: as proven, or as it exceeds the size of a tensor."""
        return is_nonnegative(count) or any(is_nonnegative(count - size) for size in self._assumed)


def fixed(element: Count | None) -> int:
    """A number; Unknown is raised for what depends on a dimension."""
    if not isinstance(element, int):
        raise Unknown
    return element


def normalized(axis: int, rank: int) -> int:
    """An axis counted from the front; Unknown is raised if there is no such axis."""
    if not -rank <= axis < rank:
        raise Unknown
    return axis % rank


def normalized_all(axes: Sequence[int], rank: int) -> list[int]:
    """Axes counted from the front."""
    return [normalized(axis, rank) for axis in axes]


def stored_tensor(tensor: TensorProto) -> Tensor:
    """A stored tensor; its elements if they are few and in the file."""
    shape = tuple(tensor.dims)
    return Tensor(tensor.data_type, shape, elements_of(tensor))


def sparse_tensor(tensor: SparseTensorProto) -> Tensor:
    """A sparse tensor: its shape."""
    return Tensor(tensor.values.data_type, tuple(tensor.dims))


def elements_of(tensor: TensorProto) -> np.ndarray | None:
    """Elements of a small tensor of numbers; None of any other."""
    known = tensor.data_type in INTEGERS | FLOATS | {TensorProto.BOOL}
    if not known or tensor.data_location == TensorProto.EXTERNAL:
        return None
    if not 0 <= np.prod(tensor.dims, dtype=object) <= MOST_ELEMENTS:
        return None
    try:
        decoded = decode(tensor, None, "raw_data", f"tensor {tensor.name!r}")
    except Exception:  # a damaged tensor is not ours to judge; its values stay unknown
        return None
    return _objects(decoded)


def constant_node(call: Call) -> Tensor:
    """What a Constant holds, in whichever of its attributes."""
    return next((_VALUES[a.name](a) for a in call.node.attribute if a.name in _VALUES), Tensor())


_VALUES: dict[str, Callable[[AttributeProto], Tensor]] = {
    "value": lambda a: stored_tensor(a.t),
    "sparse_value": lambda a: sparse_tensor(a.sparse_tensor),
    "value_int": lambda a: Tensor(TensorProto.INT64, (), array([a.i], ())),
    "value_ints": lambda a: _list(TensorProto.INT64, list(a.ints)),
    "value_float": lambda a: Tensor(TensorProto.FLOAT, (), array([constant(a.f, TensorProto.FLOAT)], ())),
    "value_floats": lambda a: _list(
        TensorProto.FLOAT, [constant(value, TensorProto.FLOAT) for value in a.floats]
    ),
    "value_string": lambda a: Tensor(TensorProto.STRING, ()),
    "value_strings": lambda a: Tensor(TensorProto.STRING, (len(a.strings),)),
}


def attribute_tensor(call: Call, name: str) -> TensorProto | None:
    """A tensor attribute."""
    for attribute in call.node.attribute:
        if attribute.name == name and attribute.type in (AttributeProto.TENSOR, AttributeProto.UNDEFINED):
            tensor: TensorProto = attribute.t
            return tensor
    return None


def zero() -> np.ndarray:
    """What ConstantOfShape makes unless it is told otherwise."""
    return array([constant(0.0, TensorProto.FLOAT)])


def _list(dtype: int, values: Sequence[object]) -> Tensor:
    return Tensor(dtype, (len(values),), array(values) if len(values) <= MOST_ELEMENTS else None)


def _objects(decoded: np.ndarray) -> np.ndarray:
    if decoded.dtype.kind in "iub":
        return array([int(element) for element in decoded.ravel()], decoded.shape)
    return array(list(decoded.ravel()), decoded.shape)
