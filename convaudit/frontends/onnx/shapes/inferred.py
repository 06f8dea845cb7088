"""Shapes and element types of a model's tensors, from whichever stage of inference knows them.

Sizes are read as counts: integers, formulas of the inputs' dimensions, or unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from onnx import GraphProto, ModelProto, SparseTensorProto, TensorProto, TensorShapeProto, TypeProto

from convaudit.arguments import LARGEST_TENSOR
from convaudit.formulas import Count, Formula, parse, term_count
from convaudit.frontends.onnx.graphs import Address, graphs
from convaudit.frontends.onnx.loader.tensors import dtype_name
from convaudit.records import Shape

_MOST_TERMS = 32  # of one size that a file writes


class Dimensions:
    """Reads the sizes that shape inference writes.

    Args:
        symbols: What the names mean that the inputs' open dimensions had during inference. A text with any
            other name in it depends on data that no input's shape determines: that is unknown.
    """

    def __init__(self, symbols: Mapping[str, Count]) -> None:
        self._symbols = symbols
        self._read: dict[str, Count | None] = {}

    def shape(self, declared: TypeProto | None) -> Shape | None:
        """Shape of a tensor's type; None if it has none."""
        if declared is None or not declared.tensor_type.HasField("shape"):
            return None
        return tuple([self._size(dim) for dim in declared.tensor_type.shape.dim])

    def _size(self, dim: TensorShapeProto.Dimension) -> Count | None:
        if dim.HasField("dim_value"):
            return dim.dim_value if 0 <= dim.dim_value <= LARGEST_TENSOR else None
        text = dim.dim_param
        if text not in self._read:
            self._read[text] = self._meaning(text)
        return self._read[text]

    def _meaning(self, text: str) -> Count | None:
        if not text:
            return None
        value = parse(text)
        if isinstance(value, Formula):
            if not value.symbols <= self._symbols.keys() or term_count(value) > _MOST_TERMS:
                return None
            return value.substitute(self._symbols)
        return value if value >= 0 else None


class Known(Protocol):
    """What one stage knows of a tensor."""

    @property
    def shape(self) -> Shape | None:
        """Its sizes; None if not even the rank is known."""

    @property
    def dtype(self) -> int:
        """Its element type, as in TensorProto; 0 if unknown."""


class Stage(Protocol):
    """One stage's findings."""

    def of(self, graph: Address, name: str) -> Known | None:
        """What it knows of a tensor; None if nothing."""


class Inferred:
    """What the stages of shape inference found, the first one first; a later one fills what is still open."""

    def __init__(self, dimensions: Dimensions) -> None:
        self._dimensions = dimensions
        self._stages: list[Stage] = []
        self._shapes: dict[tuple[Address, str], Shape | None] = {}

    def add(self, model: ModelProto, dimensions: Dimensions | None = None) -> None:
        """Add what one more stage inferred.

        Args:
            model: The same graphs, with value_info of its own.
            dimensions: Reads its sizes, where it has other names for them than the stages before.
        """
        types = {address: _declared(graph) for address, graph in graphs(model.graph)}
        self._add(_Types(types, dimensions or self._dimensions))

    def add_found(self, found: Mapping[Address, Mapping[str, Known]]) -> None:
        """Add what one more stage found, by graph and tensor."""
        self._add(_Found(found))

    def _add(self, stage: Stage) -> None:
        self._stages.append(stage)
        self._shapes.clear()

    def shape(self, graph: Address, name: str) -> Shape | None:
        """Shape of a tensor of one graph; None if not even the rank is known."""
        key = (graph, name)
        if key not in self._shapes:
            self._shapes[key] = self._merged(graph, name)
        return self._shapes[key]

    def dtype(self, graph: Address, name: str, stored: TensorProto | SparseTensorProto | None) -> str:
        """Element type of a tensor of one graph, or ``unknown``."""
        if stored is not None:
            tensor = stored.values if isinstance(stored, SparseTensorProto) else stored
            return dtype_name(tensor.data_type)
        return dtype_name(self.element_type(graph, name))

    def element_type(self, graph: Address, name: str) -> int:
        """Element type of a tensor that is not stored, as in TensorProto; 0 if unknown."""
        for stage in self._stages:
            known = stage.of(graph, name)
            if known is not None and known.dtype:
                return known.dtype
        return 0

    def _merged(self, graph: Address, name: str) -> Shape | None:
        merged: Shape | None = None
        for stage in self._stages:
            known = stage.of(graph, name)
            merged = first_known(merged, known.shape if known is not None else None)
            if merged is not None and None not in merged:
                break
        return merged


class _Typed(NamedTuple):
    shape: Shape | None
    dtype: int


class _Types(NamedTuple):
    """A model's value_info, and how its sizes read."""

    types: Mapping[Address, Mapping[str, TypeProto]]
    dimensions: Dimensions

    def of(self, graph: Address, name: str) -> Known | None:
        declared = self.types.get(graph, {}).get(name)
        if declared is None:
            return None
        return _Typed(self.dimensions.shape(declared), declared.tensor_type.elem_type)


class _Found(NamedTuple):
    found: Mapping[Address, Mapping[str, Known]]

    def of(self, graph: Address, name: str) -> Known | None:
        return self.found.get(graph, {}).get(name)


def first_known(shape: Shape | None, later: Shape | None) -> Shape | None:
    """``shape``, its unknown sizes taken from ``later`` where that has as many axes."""
    if shape is None or later is None or len(shape) != len(later):
        return later if shape is None else shape
    return tuple(other if known is None else known for known, other in zip(shape, later, strict=True))


def _declared(graph: GraphProto) -> dict[str, TypeProto]:
    types: dict[str, TypeProto] = {}
    for values in (graph.value_info, graph.output, graph.input):
        for value in values:
            known = types.get(value.name)
            # of an output or input, value_info may tell what the declaration itself leaves open
            if known is None or value.type.tensor_type.HasField("shape"):
                types[value.name] = value.type
    return types
