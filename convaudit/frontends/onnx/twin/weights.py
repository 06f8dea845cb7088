"""The groups=1 twin of one convolution node: its weight is block-diagonal, it computes the same function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from convaudit.engine import dense_weight
from convaudit.engine.operands import Array
from convaudit.errors import ModelError
from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.ops import CONV_OPS, op_of
from convaudit.frontends.onnx.verifier.extracted import Constants
from convaudit.frontends.onnx.verifier.operands import operands
from convaudit.records import ConvLayer

DEQUANTIZE = ("DequantizeLinear", "com.microsoft.DequantizeLinear")
"""Ops that make real numbers of integers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseNode:
    """The twin of a node, or another form of it, and what of it the model does not have yet.

    Attributes:
        node: The same node with other groups; its weight has another name.
        makers: Nodes that make its weight from ``tensors``, to stand before it.
        tensors: Constants that are new.
    """

    node: NodeProto
    makers: tuple[NodeProto, ...]
    tensors: tuple[TensorProto, ...]


def why_without_twin(layer: ConvLayer) -> str | None:
    """Why no convolution with groups=1 can stand for a layer; None: one can."""
    op = CONV_OPS[layer.op]
    if op.causal:
        return f"{layer.op} is depthwise by definition: it has no form with groups=1"
    return op.not_supported


def with_groups(node: NodeProto, groups: int) -> NodeProto:
    """A copy of a convolution node with other groups."""
    copy = NodeProto()
    copy.CopyFrom(node)
    kept = [item for item in copy.attribute if item.name != "group"]
    del copy.attribute[:]
    copy.attribute.extend([*kept, helper.make_attribute("group", groups)])
    return copy


def dense_node(
    layer: ConvLayer, node: NodeProto, constants: Constants, *, suffix: str = ".dense"
) -> DenseNode:
    """The twin of a convolution node.

    A weight that is dequantised at run time stays so: its integers are laid out, filled with their zero
    point. One that is calculated otherwise from stored tensors is calculated here.

    Args:
        layer: As it was accounted for.
        node: Its node.
        constants: What the node's graph sees.
        suffix: Ends the names of what is new.

    Raises:
        ModelError: It has no twin, and why.
        LoadError: Its weight is missing.
        ExecutionError: Its weight cannot be calculated.
    """
    why = why_without_twin(layer)
    if why is not None:
        raise ModelError(f"{layer.name}: {why}")
    twin = with_groups(node, 1)
    name = operands(node)["weight"]
    twin.input[CONV_OPS[op_of(node)].weight] = name + suffix
    dequantize = constants.producer(name)
    if dequantize is not None and op_of(dequantize) in DEQUANTIZE:
        quantized = _dense_dequantized(layer, dequantize, constants, suffix)
        if quantized is not None:
            return DenseNode(node=twin, makers=quantized[:1], tensors=quantized[1])
    weight = _known(constants, name, layer, "weight")
    zero_point = operands(node).get("w_zero_point")
    fill: Array | int = 0
    if zero_point is not None:
        along = 1 if layer.transposed else 0
        fill = _along(_known(constants, zero_point, layer, "weight's zero point"), along, weight.ndim)
    return DenseNode(
        node=twin, makers=(), tensors=(numpy_helper.from_array(_dense(layer, weight, fill), name + suffix),)
    )


def _dense(layer: ConvLayer, weight: Array, fill: Array | int) -> Array:
    """The twin's weight, in the layout in which the weight is stored."""
    last = layer.weight_shape is not None and weight.shape != layer.weight_shape
    if not last:
        return dense_weight(weight, layer.groups, fill=fill, name=layer.name)
    first = np.moveaxis(weight, -1, 1)  # NhwcConv's kernel has the channels last
    dense = dense_weight(first, layer.groups, fill=fill, name=layer.name)
    return np.ascontiguousarray(np.moveaxis(dense, 1, -1))


def _dense_dequantized(
    layer: ConvLayer, node: NodeProto, constants: Constants, suffix: str
) -> tuple[NodeProto, tuple[TensorProto, ...]] | None:
    """The DequantizeLinear of the twin, and its new constants; None where it has to be calculated."""
    attributes = Attributes(node, node.name)
    name, scale_name, *rest = node.input
    stored, scale = constants.value(name), constants.value(scale_name)
    zero_name = rest[0] if rest else ""
    zero = constants.value(zero_name) if zero_name else None
    if stored is None or scale is None or (zero_name and zero is None):
        return None
    if attributes.integer("block_size", 0) or scale.ndim > 1 or stored.shape != layer.weight_shape:
        return None
    axis = attributes.integer("axis", 1) % stored.ndim
    if axis == 1 and scale.size > 1:  # of a group's channels: the same in every group
        scale = np.tile(scale, layer.groups)
        zero = None if zero is None else np.tile(zero, layer.groups)
    fill = 0 if zero is None else _along(zero, axis, stored.ndim)
    dense = dense_weight(stored, layer.groups, fill=fill, name=layer.name)
    twin = NodeProto()
    twin.CopyFrom(node)
    twin.ClearField("name")
    new = {name: dense, scale_name: scale} | ({} if zero is None else {zero_name: zero})
    for index, source in enumerate(twin.input):
        twin.input[index] = source and source + suffix
    twin.output[0] += suffix
    tensors = tuple(numpy_helper.from_array(array, source + suffix) for source, array in new.items())
    return twin, tensors


def _known(constants: Constants, name: str, layer: ConvLayer, what: str) -> Array:
    value = constants.value(name)
    if value is None:
        raise ModelError(f"{layer.name}: its {what} is computed at run time, so a twin cannot be made of it")
    return value


def _along(values: Array, axis: int, rank: int) -> Array:
    """A scalar, or one value for each index of an axis, so that it broadcasts."""
    if values.size == 1:
        return values.reshape(())
    return values.reshape([-1 if index == axis else 1 for index in range(rank)])
