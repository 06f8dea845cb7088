"""A node where it stands, with its tensors: their shapes, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, helper

from convaudit.engine.operands import Array
from convaudit.errors import ConvauditError, LoadError
from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.channels.compressed import (
    FEW_ELEMENTS,
    MOST_OF_A_FACT,
    MOST_OF_ALL_FACTS,
    squeezed_known,
)
from convaudit.frontends.onnx.channels.facts import KnownElements, ValueKey
from convaudit.frontends.onnx.channels.stored import Stored
from convaudit.frontends.onnx.graphs import Address, bodies
from convaudit.frontends.onnx.ops import op_of
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown
from convaudit.frontends.onnx.walker import Walked
from convaudit.linting.weights import WeightFacts
from convaudit.records import ConvLayer, Shape

_CONSTANT_SINCE = 4  # IR version: before, each initializer had to be an input, and none was meant to be given


class GraphTensors:
    """The tensors of a model: shapes, small constants, and what is known of the others.

    Attributes:
        known: Filled while the nodes are visited in order, as is the rest.
        weights: What the layers' weights tell.
        fixed: Tensors that are calculated from what is stored alone.
    """

    def __init__(self, walked: Walked, known: Mapping[ValueKey, KnownElements] | None = None) -> None:
        self.walked = walked
        self.stored = Stored(walked)
        self.graphs = self.stored.graphs
        self.known: dict[ValueKey, KnownElements] = dict(known or {})
        self.layers = {walked.addresses[layer.name]: layer for layer in walked.network.layers}
        self.weights: dict[str, WeightFacts] = {}
        self._room = MOST_OF_ALL_FACTS
        self.fixed: set[ValueKey] = set()
        self.matrices: dict[Any, Any] = {}  # packed, as ``transfers.matrices`` keeps them
        # of one run, or what the file claims: not proven for every input
        self.exact_sizes = not any(layer.shapes_from for layer in walked.network.layers)
        self._constants: dict[ValueKey, KnownElements | None] = {}
        self._shapes: dict[ValueKey, Shape | None] = {}
        model = walked.expanded.model
        self.opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 1)
        self._may_override = model.ir_version >= _CONSTANT_SINCE

    def key(self, scope: Address, name: str) -> ValueKey | None:
        """The tensor that a name means in one graph; None if nothing defines it."""
        home = self.graphs.home(scope, name)
        return None if home is None else (home.address, name)

    def shape(self, key: ValueKey) -> Shape | None:
        """Shape of a tensor; None if not even the rank is known."""
        if key not in self._shapes:
            tensor = self.graphs.at(key[0]).initializers.get(key[1])
            self._shapes[key] = self.walked.inferred.shape(*key) if tensor is None else tuple(tensor.dims)
        return self._shapes[key]

    def element_dtype(self, key: ValueKey | None) -> np.dtype[Any] | None:
        """NumPy's element type of a tensor that no file holds; None if it is not known."""
        number = 0 if key is None else self.walked.inferred.element_type(*key)
        return helper.tensor_dtype_to_np_dtype(number) if number else None

    def is_stored(self, key: ValueKey) -> bool:
        """Whether the file holds it and no caller can give another in its place."""
        index = self.graphs.at(key[0])
        if index.stored(key[1]) is None:
            return False
        return not (self._may_override and key[1] in index.inputs)

    def takes(self, elements: int) -> bool:
        """Whether there is room for one more large fact; it is then taken."""
        self._room -= elements
        return self._room >= 0

    def is_fixed(self, key: ValueKey) -> bool:
        """Whether it is stored, or calculated from what is stored by ops that give the same each time."""
        return key in self.fixed or self.is_stored(key)

    def array(self, key: ValueKey) -> Array | None:
        """Elements of a tensor that is stored, or calculated from what is stored; None of any other."""
        if not self.is_fixed(key):
            return None
        try:
            return self.stored.value(*key)
        except ConvauditError:
            return None

    def of(self, key: ValueKey) -> KnownElements | None:
        """What is known of a tensor; of a stored one, its elements if they are few."""
        if key in self.known:
            return self.known[key]
        if key not in self._constants:
            self._constants[key] = self._constant(key)
        return self._constants[key]

    def _constant(self, key: ValueKey) -> KnownElements | None:
        if not self.is_stored(key):
            return None
        tensor = self.graphs.at(key[0]).stored(key[1])
        elements = prod(tensor.dims) if tensor is not None else 0
        if tensor is None or not elements or elements > MOST_OF_A_FACT:
            return None
        if elements > FEW_ELEMENTS and not self.takes(elements):
            return None
        try:
            values = np.asarray(self.walked.model.array(tensor))
        except LoadError:
            return None
        if values.dtype.kind not in "biufcV":
            return None
        return squeezed_known(KnownElements(np.ones((1,) * values.ndim, np.bool_), values))


class Site:
    """One node.

    Attributes:
        inputs: Its operands; None where one is absent.
        outputs: Its results; None where one is absent.
        layer: Its record, if it is a convolution.
        weight: Its weight, as ``Stored.weight`` gives it, only while facts pass the node forward.
    """

    def __init__(self, tensors: GraphTensors, address: Address, node: NodeProto) -> None:
        self.tensors = tensors
        self.address = address
        self.node = node
        scope = address[:-1]
        self.inputs = [tensors.key(scope, name) if name else None for name in node.input]
        self.outputs: list[ValueKey | None] = [(scope, name) if name else None for name in node.output]
        self.layer: ConvLayer | None = tensors.layers.get(address)
        self.weight: Array | None = None

    @cached_property
    def op(self) -> str:
        """Op type, with its domain unless that is ONNX's own."""
        return op_of(self.node)

    @property
    def opset(self) -> int:
        """Version of ONNX's own operators."""
        return self.tensors.opset

    @cached_property
    def attributes(self) -> Attributes:
        """The node's attributes, checked as they are read."""
        return Attributes(self.node, self.node.name or self.node.op_type)

    @cached_property
    def in_steps(self) -> bool:
        """Whether it computes with dequantised integers: what is added to its bias moves roundings."""
        return sum(map(self._is_dequantised, self.inputs)) > 1

    def _is_dequantised(self, key: ValueKey | None) -> bool:
        maker = None if key is None else self.tensors.graphs.at(key[0]).producers.get(key[1])
        return maker is not None and op_of(maker) in ("DequantizeLinear", "com.microsoft.DequantizeLinear")

    def has(self, index: int) -> bool:
        """Whether the node has that operand."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def gives(self, index: int) -> bool:
        """Whether the node has that result."""
        return index < len(self.outputs) and self.outputs[index] is not None

    def shape(self, index: int = 0) -> Shape | None:
        """Shape of an operand; None if it is absent, or not even its rank is known."""
        key = self.inputs[index] if index < len(self.inputs) else None
        return None if key is None else self.tensors.shape(key)

    def ranked(self, index: int = 0) -> Shape:
        """Shape of an operand; Unknown is raised if not even its rank is known."""
        shape = self.shape(index)
        if shape is None:
            raise Unknown
        return shape

    def output_shape(self, index: int = 0) -> Shape:
        """Shape of a result; Unknown is raised if not even its rank is known."""
        key = self.outputs[index] if index < len(self.outputs) else None
        shape = None if key is None else self.tensors.shape(key)
        if shape is None:
            raise Unknown
        return shape

    def known(self, index: int = 0) -> KnownElements | None:
        """What is known of an operand; None if it is nothing, or the operand is absent."""
        key = self.inputs[index] if index < len(self.inputs) else None
        return None if key is None else self.tensors.of(key)

    def constant(self, index: int) -> np.ndarray:
        """An operand all of whose elements are known; Unknown is raised of any other."""
        known, shape = self.known(index), self.shape(index)
        if known is None or shape is None or not known.mask.all():
            raise Unknown
        if not all(isinstance(size, int) for size in shape):
            raise Unknown
        return np.broadcast_to(known.values, tuple(int(size) for size in shape))  # type: ignore[arg-type]

    def integers(self, name: str, index: int | None, since: int) -> list[int] | None:
        """Integers that moved from an attribute to an operand at an opset; None if they are not given.

        Raises:
            Unknown: They are computed at run time.
        """
        if self.opset < since or index is None:
            return self.attributes.integers(name)
        return [int(value) for value in self.constant(index).ravel()] if self.has(index) else None


def sites(tensors: GraphTensors) -> Iterator[Site]:
    """All nodes, each after those whose results it reads, and after those of its bodies."""
    for address, node in _nodes(tensors.walked.expanded.model.graph):
        yield Site(tensors, address, node)


def _nodes(graph: GraphProto) -> Iterator[tuple[Address, NodeProto]]:
    waiting: list[tuple[Address, NodeProto, bool]] = [
        ((index,), node, False) for index, node in reversed(list(enumerate(graph.node)))
    ]
    while waiting:
        address, node, entered = waiting.pop()
        inner = [] if entered else bodies(node)
        if not inner:
            yield address, node
            continue
        waiting.append((address, node, True))
        for attribute, body in inner:
            waiting += [
                ((*address, attribute, index), each, False)
                for index, each in reversed(list(enumerate(body.node)))
            ]
