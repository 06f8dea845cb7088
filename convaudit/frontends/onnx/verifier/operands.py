"""What each operand of a convolution node is for, and the evidence for ``judge`` made of their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod, sqrt

import numpy as np
from onnx import NodeProto

from convaudit.engine.operands import Array
from convaudit.errors import UsageError
from convaudit.feeds import known_shape, random_array
from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.ops import CONV_OPS, op_of, split_axes
from convaudit.frontends.onnx.window import conv_window
from convaudit.judge.execution import Accounted, Activation, Deformation, Execution, Quantization, accounted
from convaudit.records import ConvLayer, Shape, Verification
from convaudit.shapes import Pair

Values = Mapping[str, Array]
"""Operands by role, and the output as ``output``."""

_DTYPES = {"x_scale": "float32", "w_scale": "float32", "y_scale": "float32", "pads": "int64"}
"""Element types that a role has in every op."""


def unsupported(layer: ConvLayer) -> Verification | None:
    """The verdict on a layer whose op no run can verify; None on any other."""
    reason = CONV_OPS[layer.op].not_supported
    return None if reason is None else Verification(status="not_supported", reason=reason)


def operands(node: NodeProto) -> dict[str, str]:
    """Names of the tensors that the node has, by role; absent ones are left out."""
    return CONV_OPS[op_of(node)].operands(node)


def dtype_of(layer: ConvLayer, role: str) -> str:
    """Element type of an operand, or of the ``output``, as far as the accounting knows it.

    What it calls the type of a weight is that of the stored tensor, which may be dequantised first.
    """
    if role in _DTYPES:
        return _DTYPES[role]
    if not CONV_OPS[layer.op].quantized:
        return layer.dtype
    match role:
        case "weight" | "w_zero_point":  # of a real one, quantised at run time, inference knows more
            return "unknown" if layer.weight_dtype.startswith(("float", "bfloat")) else layer.weight_dtype
        case "bias":
            return "int32"
        case "output" | "y_zero_point":
            return layer.output_dtype
    return layer.dtype


def made_up(
    role: str, layer: ConvLayer, node: NodeProto, sizes: Mapping[str, int], generator: np.random.Generator
) -> Array:
    """A value for an operand that is computed at run time, to run its layer alone.

    Args:
        role: Role of the operand.
        layer: As it was accounted for.
        node: As it will run.
        sizes: Sizes of the symbolic dimensions.
        generator: Generator of the random numbers.

    Raises:
        UsageError: Its shape or its element type is not known.
    """
    if role in ("x_scale", "w_scale", "y_scale"):
        # the spread of sums of 8-bit integers, scaled so that the output neither saturates nor vanishes
        _, *filters = known_shape(layer.weight_shape, sizes) or (1, 1)
        return np.array(sqrt(prod(filters)) / 30 if role == "y_scale" else 1 / 64, np.float32)
    if role == "pads":
        return np.zeros(2 * len(layer.kernel_size or ()), np.int64)
    shape = known_shape(_shape_of(role, layer, node), sizes)
    if shape is None:
        raise UsageError(f"the shape of its {role} is not known; give the model's inputs with --input")
    return random_array(generator, shape, dtype_of(layer, role))


def _shape_of(role: str, layer: ConvLayer, node: NodeProto) -> Shape | None:
    batch, *_ = layer.input_shape or (None,)
    kernel = layer.kernel_size or ()
    taps = offset_groups(node) * prod(kernel)
    before = [dilation * (size - 1) for size, dilation in zip(kernel, layer.dilation or (), strict=False)]
    shapes: dict[str, Shape | None] = {
        "x": layer.input_shape,
        "weight": layer.weight_shape,
        "bias": (layer.out_channels,),
        "residual": layer.output_shape,
        "offset": (batch, 2 * taps, *(layer.output_shape or (None,) * 2)[2:]),
        "mask": (batch, taps, *(layer.output_shape or (None,) * 2)[2:]),
        "past_state": (batch, layer.in_channels, *before),
    }
    return shapes.get(role, ())  # of the zero points, whatever their model has: one for all channels


def execution(layer: ConvLayer, node: NodeProto, values: Values) -> Execution:
    """One run of a layer, as ``judge`` wants it: the runtime's values, and the accounting's attributes."""
    attributes = Attributes(node, layer.name)
    given = values["pads"].tolist() if "pads" in values else None
    pads = _as_extended(padding(layer, node, values["x"].shape, given), layer, node, values)
    if "past_state" in values:  # it stands where the padding would be
        pads = ((0, 0),) * len(pads)
    return Execution(
        x=values["x"],
        weight=values["weight"],
        output=values["output"],
        bias=values.get("bias"),
        residual=values.get("residual"),
        past_state=values.get("past_state"),
        stride=layer.stride or (),
        padding=pads,
        dilation=layer.dilation or (),
        groups=layer.groups,
        transposed=layer.transposed,
        output_padding=layer.output_padding,
        layout="channels_last" if layer.layout == "channels_last" else "channels_first",
        activation=_activation(attributes),
        quantization=_quantization(values) if CONV_OPS[layer.op].quantized else None,
        deformation=Deformation(
            offset=values["offset"], mask=values.get("mask"), offset_groups=offset_groups(node)
        )
        if layer.deformable
        else None,
    )


def claimed(layer: ConvLayer, values: Values, sizes: Mapping[str, int]) -> Accounted:
    """What the accounting claims of this run; of a layer that another run showed, not the sizes of that."""
    if "run" in layer.shapes_from:
        layer = replace(layer, input_shape=values["x"].shape, output_shape=values["output"].shape)
    return accounted(layer, sizes)


def padding(
    layer: ConvLayer, node: NodeProto, input_shape: tuple[int, ...], pads: Sequence[int] | None = None
) -> tuple[Pair, ...]:
    """The layer's padding in one run.

    Args:
        layer: As it was accounted for.
        node: As it ran.
        input_shape: As it ran: a SAME padding depends on it.
        pads: Values of the operand, of an op whose pads are one.
    """
    attributes = Attributes(node, layer.name)
    depends = "auto_pad" in attributes or "output_shape" in attributes
    if layer.padding is not None and (layer.input_shape == input_shape or not depends):
        return layer.padding
    window = conv_window(CONV_OPS[layer.op], attributes, layer.kernel_size or ())
    window = window if pads is None else window.padded_by(pads)
    _, _, sizes = split_axes(input_shape, layer.layout)
    resolved, _ = window.resolve(sizes, who=layer.name)
    return resolved or ()


def known_padding(layer: ConvLayer, node: NodeProto, sizes: Mapping[str, int]) -> tuple[Pair, ...] | None:
    """The layer's padding with these sizes of the symbolic dimensions; None where the input's are unknown."""
    shape = known_shape(layer.input_shape, sizes)
    return layer.padding if shape is None else padding(layer, node, shape)


def _as_extended(
    pads: tuple[Pair, ...], layer: ConvLayer, node: NodeProto, values: Values
) -> tuple[Pair, ...]:
    """Padding of what ran: where SAME asks for positions behind the last tap, onnxruntime leaves them out."""
    attributes = Attributes(node, layer.name)
    if not attributes.string("auto_pad", "").startswith("SAME") or "output_shape" in attributes:
        return pads
    *_, sizes = split_axes(values["x"].shape, layer.layout)
    *_, ran = split_axes(values["output"].shape, layer.layout)
    return tuple(
        (before, min(0, after + max(0, size * stride - out)) if after < 0 else after)
        for (before, after), size, out, stride in zip(pads, sizes, ran, layer.stride or (), strict=True)
    )


def _quantization(values: Values) -> Quantization:
    return Quantization(
        x_zero_point=values.get("x_zero_point", 0),
        w_zero_point=values.get("w_zero_point", 0),
        y_zero_point=values.get("y_zero_point", 0),
        x_scale=values.get("x_scale"),
        w_scale=values.get("w_scale"),
        y_scale=values.get("y_scale"),
    )


def offset_groups(node: NodeProto) -> int:
    """How many groups of channels of a deformable convolution have offsets of their own."""
    return Attributes(node, node.name).integer("offset_group", 1)


def _activation(attributes: Attributes) -> Activation | None:
    name = attributes.string("activation", "")
    if not name or name.lower() == "none":
        return None
    return Activation(
        name=name.capitalize() if name.islower() else name, params=attributes.floats("activation_params")
    )
