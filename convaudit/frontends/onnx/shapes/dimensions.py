"""Sizes as a model writes them, read as counts: integers, formulas of the inputs' dimensions, or unknown."""

from __future__ import annotations

from collections.abc import Mapping

from onnx import TensorShapeProto, TypeProto

from convaudit.arguments import LARGEST_TENSOR
from convaudit.formulas import Count, Formula, parse, term_count
from convaudit.records import Shape

_MOST_TERMS = 32  # of one size that a file writes


class Dimensions:
    """Reads the sizes that shape inference writes.

    ``symbols`` maps the names that the inputs' open dimensions had during inference to what they mean. A text
    with any other name in it depends on data that no input's shape determines: that is unknown.
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
