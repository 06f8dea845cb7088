"""Stored operands of a model's nodes, as their node sees them: dequantised, transposed, one at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from convaudit.engine.operands import Array
from convaudit.frontends.onnx.graphs import Address, Graphs
from convaudit.frontends.onnx.ops import CONV_OPS
from convaudit.frontends.onnx.verifier.extracted import Constants
from convaudit.frontends.onnx.verifier.operands import operands
from convaudit.frontends.onnx.verifier.sparse import with_dense_tensors
from convaudit.frontends.onnx.walker import Walked
from convaudit.records import ConvLayer


class Stored:
    """The way to the constants of one model."""

    def __init__(self, walked: Walked) -> None:
        self._walked = walked
        self._whole = with_dense_tensors(walked.model, walked.expanded.model)
        self.graphs = Graphs(self._whole)

    def weight(self, layer: ConvLayer) -> Array | None:
        """As ``layer.weight_shape`` says, integers without their zero point; None if computed at run time.

        Raises:
            LoadError: It is missing.
            ExecutionError: It cannot be calculated from what is stored.
        """
        weight = self._operand(layer, "weight")
        if weight is None or not CONV_OPS[layer.op].quantized:
            return weight
        zero = self._operand(layer, "w_zero_point")
        if zero is None:
            return weight if "w_zero_point" not in self._names(layer) else None
        axes = (-1,) + (1,) * (weight.ndim - 1) if zero.ndim else ()
        return weight.astype(np.int32) - zero.astype(np.int32).reshape(axes)

    def bias(self, layer: ConvLayer) -> Array | None:
        """(out,); None if there is none, or it is computed at run time. Raises as ``weight``."""
        return self._operand(layer, "bias")

    def surroundings(self, layer: ConvLayer) -> dict[str, Any]:
        """What ``examine`` must know of a layer beside its weight, by its keywords. Raises as ``weight``."""
        names = self._names(layer)
        scale = self._operand(layer, "w_scale")
        unknown = scale is None and "w_scale" in names
        return {
            "scale": scale if scale is not None and scale.size > 1 else None,
            "residual": "residual" in names or unknown,
            "zero_padded": "past_state" not in names,
        }

    def _names(self, layer: ConvLayer) -> dict[str, str]:
        return operands(self.graphs.node(self._walked.addresses[layer.name]))

    def _operand(self, layer: ConvLayer, role: str) -> Array | None:
        name = self._names(layer).get(role)
        if name is None:
            return None
        return self.value(self._walked.addresses[layer.name][:-1], name)

    def value(self, scope: Address, name: str) -> Array | None:
        """Elements of a tensor that the graph at ``scope`` sees; None if it is computed at run time.

        Raises:
            LoadError: They are missing.
            ExecutionError: They cannot be calculated from what is stored.
        """
        dequantised = self._dequantised(scope, name)
        if dequantised is not None:
            return dequantised
        return Constants(self._walked.model, self._whole, self.graphs, scope).value(name)

    def _dequantised(self, scope: Address, name: str) -> Array | None:
        """What a DequantizeLinear makes of stored integers, of which a model has many; else None."""
        home = self.graphs.home(scope, name)
        node = home.producers.get(name) if home is not None else None
        if home is None or node is None or node.op_type != "DequantizeLinear":
            return None
        homes = [self.graphs.home(home.address, operand) for operand in node.input]
        tensors = [
            None if at is None else at.stored(operand) for at, operand in zip(homes, node.input, strict=True)
        ]
        arrays = [None if tensor is None else self._walked.model.array(tensor) for tensor in tensors]
        if any(array is None for array in arrays) or not 2 <= len(arrays) <= 3:
            return None
        values, scale, *zero = (np.asarray(array) for array in arrays)
        settings = {attribute.name: attribute.i for attribute in node.attribute}
        axis = settings.get("axis", 1)
        one = scale.size == 1
        known = values.dtype in (np.int8, np.uint8, np.int32) and scale.dtype == np.float32
        along = one or (scale.ndim == 1 and -values.ndim <= axis < values.ndim)
        if not known or not along or any(part.size != scale.size for part in zero):
            return None
        if not one and values.shape[axis] != scale.size:
            return None
        shape = [1] * values.ndim
        if not one:
            shape[axis] = scale.size
        integers = values.astype(np.int32) - (zero[0].astype(np.int32).reshape(shape) if zero else 0)
        return np.asarray(integers.astype(np.float32) * scale.reshape(shape))
