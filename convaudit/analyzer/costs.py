"""What one layer costs: a record in, exact integers (or formulas, or None) beside it out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, replace

from convaudit.errors import ModelError
from convaudit.formulas import Count, add, ceil_divide, floor_divide, multiply, product, subtract
from convaudit.records import ConvLayer, LayerCost, Shape

_DEFORMABLE_NOTE = "its bilinear sampling of the input is not counted"
_MAX_RANK = 64  # NumPy's


def layer_cost(layer: ConvLayer) -> LayerCost:
    """The layer's record with its costs; every count is of one call.

    Raises:
        ModelError: A tensor has more axes than any runtime's.
    """
    _check_rank(layer)
    weight, bias, taken = weight_elements(layer), bias_elements(layer), macs(layer)
    if layer.deformable:
        layer = replace(layer, notes=(*layer.notes, _DEFORMABLE_NOTE))
    return LayerCost(
        **{field.name: getattr(layer, field.name) for field in fields(ConvLayer)},
        params=add(weight, bias),
        macs=taken,
        dense_params=add(multiply(weight, layer.groups), bias),
        dense_macs=multiply(taken, layer.groups),
        weight_bytes=weight_bytes(layer),
        activation_bytes=activation_bytes(layer),
    )


def weight_elements(layer: ConvLayer) -> Count | None:
    """Elements of the weight: ``out_channels * in_channels/groups * prod(kernel_size)``."""
    if layer.weight_shape is not None:
        return product(layer.weight_shape)
    if layer.kernel_size is None:
        return None
    return multiply(layer.out_channels, floor_divide(layer.in_channels, layer.groups), *layer.kernel_size)


def bias_elements(layer: ConvLayer) -> Count | None:
    """Elements of the bias, one per output channel; 0 without a bias."""
    return layer.out_channels if layer.bias else 0


def stored_weight_elements(layer: ConvLayer) -> Count | None:
    """What the model stores for the weight: more than its elements under weight_norm or pruning."""
    if layer.stored_params is None:
        return weight_elements(layer)
    return subtract(layer.stored_params, bias_elements(layer))


def macs(layer: ConvLayer) -> Count | None:
    """Multiply-accumulates of one call: every weight element once per position.

    A convolution applies its weight at every output position, a transposed one at every input position:
    ``N * out_channels * prod(out_spatial) * in_channels/groups * prod(kernel_size)``, or
    ``N * in_channels * prod(in_spatial) * out_channels/groups * prod(kernel_size)``.
    """
    positions = _positions(layer.input_shape if layer.transposed else layer.output_shape, layer)
    return multiply(weight_elements(layer), positions)


def weight_bytes(layer: ConvLayer) -> Count | None:
    """Bytes of weight and bias as the model stores them."""
    weight = tensor_bytes(stored_weight_elements(layer), layer.weight_dtype)
    if not layer.stored:
        return add(weight, bias_bytes(layer))
    computed = [weight] if layer.weight_name is None else []
    computed += [bias_bytes(layer)] if layer.bias_name is None else []
    return add(*(size for _, _, size in stored_sizes(layer)), *computed)


def stored_sizes(layer: ConvLayer) -> Iterator[tuple[str, Count | None, Count | None]]:
    """Name, elements and bytes of each tensor that the model stores for the layer."""
    for info in layer.stored:
        elements = product(info.shape)
        yield info.name, elements, tensor_bytes(elements, info.dtype)
    if layer.stored:
        return
    if layer.weight_name is not None:
        elements = stored_weight_elements(layer)
        yield layer.weight_name, elements, tensor_bytes(elements, layer.weight_dtype)
    if layer.bias_name is not None:
        yield layer.bias_name, bias_elements(layer), bias_bytes(layer)


def bias_bytes(layer: ConvLayer) -> Count | None:
    """Bytes of the bias; 0 without a bias."""
    return tensor_bytes(bias_elements(layer), layer.bias_dtype or "unknown") if layer.bias else 0


def activation_bytes(layer: ConvLayer) -> Count | None:
    """Bytes of the input and the output of one call."""
    return add(
        tensor_bytes(product(layer.input_shape), layer.dtype),
        tensor_bytes(product(layer.output_shape), layer.output_dtype),
    )


def tensor_bytes(elements: Count | None, dtype: str) -> Count | None:
    """Bytes of a tensor; types narrower than a byte are packed, as ONNX stores them (two int4 a byte)."""
    bits = multiply(elements, dtype_bits(dtype))
    return None if bits is None else ceil_divide(bits, 8)


def dtype_bits(dtype: str) -> int | None:
    """Bits of one element: the number in the type's name (``bfloat16``, ``int4``, ``float8_e4m3fn``)."""
    if dtype == "bool":
        return 8
    match = re.match(r"[a-z]+(\d+)", dtype)
    return int(match[1]) if match else None


def _positions(shape: Shape | None, layer: ConvLayer) -> Count | None:
    """Batch size times spatial positions: every axis but the channels; there may be no batch."""
    if shape is None or layer.kernel_size is None:
        return None
    channels = -1 if layer.layout == "channels_last" else -1 - len(layer.kernel_size)
    axes = list(shape)
    del axes[channels]
    return product(axes)


def _check_rank(layer: ConvLayer) -> None:
    """A hostile file may declare thousands of axes, whose product has more digits than Python prints."""
    for name in ("input_shape", "output_shape", "weight_shape", "kernel_size"):
        sizes = getattr(layer, name)
        if sizes is not None and len(sizes) > _MAX_RANK:
            raise ModelError(
                f"{layer.name}: {name} has {len(sizes)} axes; no runtime goes beyond {_MAX_RANK}"
            )
