"""One node as a rule sees it: attributes, and what is known of its operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from onnx import NodeProto

from convaudit.formulas import Count, Formula, is_nonnegative
from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.shapes.symbolic.tensors import Tensor, Unknown
from convaudit.records import Shape

Rule: TypeAlias = "Callable[[Call], Sequence[Tensor]]"
"""What is known of a node's results; Unknown is raised where nothing is."""


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
        """Integers that moved from an attribute to an operand at an opset; None if they are not given.

        Raises  Unknown if they are given, but not known.
        """
        if self.opset < since or index is None:
            given = self.attributes.integers(name)
            return None if given is None else list(given)
        return self.counts(index) if self.has(index) else None

    def fixed_integers(self, name: str, index: int | None, since: int) -> list[int] | None:
        """The same, where only numbers will do."""
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
