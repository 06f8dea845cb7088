"""A convolution node with another number of groups, and random weights."""

from __future__ import annotations

from math import prod, sqrt

import numpy as np
from onnx import NodeProto, TensorProto, numpy_helper

from convaudit.engine.operands import Array
from convaudit.errors import ModelError
from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.ops import CONV_OPS, op_of
from convaudit.frontends.onnx.twin.weights import DEQUANTIZE, DenseNode, why_without_twin, with_groups
from convaudit.frontends.onnx.verifier.extracted import Constants
from convaudit.frontends.onnx.verifier.operands import operands
from convaudit.records import ConvLayer

_LARGEST = 100  # of random integers


def regrouped_node(layer: ConvLayer, node: NodeProto, constants: Constants, groups: int) -> DenseNode:
    """A convolution node with other groups: the same channels, kernel and element types, random weights.

    Args:
        layer: As it was accounted for.
        node: Its node.
        constants: What the node's graph sees.
        groups: A divisor of its channels.

    Raises:
        ModelError: It has no such form, and why.
        LoadError: A scale is missing.
    """
    why = why_without_twin(layer)
    shape = _shape(layer, groups)
    if why is not None or shape is None:
        raise ModelError(f"{layer.name}: {why or 'the shape of its weight is not known'}")
    name = operands(node)["weight"]
    suffix = f".groups{groups}"
    twin = with_groups(node, groups)
    twin.input[CONV_OPS[op_of(node)].weight] = name + suffix
    dequantize = constants.producer(name)
    if dequantize is not None and op_of(dequantize) in DEQUANTIZE:
        maker, tensors = _dequantized(layer, dequantize, constants, shape, suffix)
        return DenseNode(node=twin, makers=(maker,), tensors=tensors)
    weight = constants.value(name)
    if weight is None:
        raise ModelError(f"{layer.name}: its weight is computed at run time, so none can be made for it")
    last = weight.shape != layer.weight_shape  # NhwcConv's kernel has the channels last
    random = _random((shape[0], *shape[2:], shape[1]) if last else shape, weight.dtype)
    return DenseNode(node=twin, makers=(), tensors=(numpy_helper.from_array(random, name + suffix),))


def _shape(layer: ConvLayer, groups: int) -> tuple[int, ...] | None:
    sizes = tuple(size for size in layer.weight_shape or () if isinstance(size, int))
    if len(sizes) < 2 or len(sizes) != len(layer.weight_shape or ()):
        return None
    first, second, *kernel = sizes
    channels = second * layer.groups
    return None if first % groups or channels % groups else (first, channels // groups, *kernel)


def _random(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
    """Weights with which sums neither vanish nor overflow."""
    generator = np.random.default_rng(0)
    if np.issubdtype(dtype, np.integer) or (dtype.kind == "V" and "int" in dtype.name):
        low = 0 if dtype.name.startswith("u") else -_LARGEST
        narrow = 7 if "4" in dtype.name else _LARGEST
        return generator.integers(max(low, -narrow), narrow, shape).astype(dtype)
    scale = 1 / sqrt(max(1, prod(shape[1:])))
    values: Array = (generator.standard_normal(shape, dtype=np.float32) * scale).astype(dtype)
    return values


def _dequantized(
    layer: ConvLayer, node: NodeProto, constants: Constants, shape: tuple[int, ...], suffix: str
) -> tuple[NodeProto, tuple[TensorProto, ...]]:
    """The DequantizeLinear of random integers, and their scales and zero points."""
    attributes = Attributes(node, node.name)
    values = [constants.value(source) if source else None for source in node.input]
    stored, scale = values[0], values[1]
    if stored is None or scale is None or attributes.integer("block_size", 0) or scale.ndim > 1:
        raise ModelError(
            f"{layer.name}: its weight is quantised in blocks: none can be made for other groups"
        )
    by_channel = attributes.integer("axis", 1) % stored.ndim == 1 and scale.size > 1
    twin = NodeProto()
    twin.CopyFrom(node)
    twin.ClearField("name")
    twin.output[0] += suffix
    tensors = []
    for index, (source, value) in enumerate(zip(node.input, values, strict=True)):
        if value is None:
            continue
        made = _random(shape, value.dtype) if index == 0 else value
        made = np.resize(value, shape[1]) if index and by_channel else made
        twin.input[index] = source + suffix
        tensors.append(numpy_helper.from_array(made, source + suffix))
    return twin, tuple(tensors)
