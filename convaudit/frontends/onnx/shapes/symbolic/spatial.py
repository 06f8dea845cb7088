"""Shapes of ops over spatial axes: convolutions, poolings, resizing, sampling."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from onnx import TensorProto

from convaudit.formulas import Count, add, ceil_divide, floor_divide, minimum, subtract
from convaudit.frontends.onnx.loader.tensors import data_type
from convaudit.frontends.onnx.ops import ConvOp, join_axes, split_axes
from convaudit.frontends.onnx.shapes.symbolic import reals
from convaudit.frontends.onnx.shapes.symbolic.calls import Call, Rule, fixed, normalized_all
from convaudit.frontends.onnx.shapes.symbolic.tensors import Tensor, Unknown
from convaudit.frontends.onnx.window import Window, conv_window, read_window
from convaudit.records import ChannelLayout, Shape
from convaudit.shapes import kernel_extent

# --- convolutions ----------------------------------------------------------------------------------------


def convolution(op: ConvOp, call: Call) -> Sequence[Tensor]:
    """A convolution, by its row in the table of convolution ops."""
    like = op.output_operand
    dtype = data_type(op.output_dtype) if like is None else call.dtype(like)
    if op.causal:
        return [Tensor(dtype, call.shape())]
    shape, weight = call.shape(), call.shape(op.weight)
    if len(shape) != len(weight) or len(shape) < 3:
        raise Unknown
    layout = op.layout_of(call.attributes)
    batch, in_channels, sizes = split_axes(shape, layout)
    groups = op.groups(call.attributes, weight)
    arranged = op.arranged(weight, call.attributes, in_channels, groups)
    if arranged is None:
        raise Unknown
    window = conv_window(op, call.attributes, tuple([fixed(size) for size in arranged[2:]]))
    if "pads" in op.operands(call.node):
        window = window.padded_by(_fixed_counts(call, op.roles.index("pads")))
    _, out_sizes = window.resolve(sizes, who=call.node.op_type)
    _, out_channels = op.channels(arranged, groups)
    return [Tensor(dtype, join_axes(batch, out_channels, out_sizes, layout))]


def _fixed_counts(call: Call, index: int) -> list[int] | None:
    try:
        return [fixed(count) for count in call.counts(index)]
    except Unknown:
        return None


# --- poolings --------------------------------------------------------------------------------------------


def pooling(*, last: bool = False) -> Rule:
    """The rule of MaxPool and its like."""

    def rule(call: Call) -> Sequence[Tensor]:
        shape = call.shape()
        rank = len(shape) - 2
        if rank < 1:
            raise Unknown
        layout = _layout(call, last)
        batch, channels, sizes = split_axes(shape, layout)
        kernel = call.attributes.sizes("kernel_shape", rank, default=1, minimum=1)
        window = read_window(call.attributes, kernel)
        if call.attributes.integer("ceil_mode", 0) and not window.is_same:
            spatial = tuple(
                [
                    None if size is None else _ceil_mode_size(window, axis, size)
                    for axis, size in enumerate(sizes)
                ]
            )
        else:
            _, spatial = window.resolve(sizes, who=call.node.op_type)
        if window.is_same:  # of a dilated window onnxruntime makes less than ONNX
            spatial = tuple(
                [
                    size if extent == 1 or dilation == 1 else None
                    for size, extent, dilation in zip(spatial, kernel, window.dilation, strict=True)
                ]
            )
        result = join_axes(batch, channels, spatial, layout)
        indices = [Tensor(TensorProto.INT64, result)] if len(call.node.output) > 1 else []
        return [Tensor(call.dtype(), result), *indices]

    return rule


def _layout(call: Call, last: bool) -> ChannelLayout:
    return "channels_last" if last or call.attributes.integer("channels_last", 0) else "channels_first"


def _ceil_mode_size(window: Window, axis: int, size: Count) -> Count:
    """Windows that start in the input or in the padding before it; none starts in the end padding."""
    stride = window.stride[axis]
    before, after = window.declared_padding(axis) or (0, 0)
    extent = kernel_extent(window.kernel_size[axis], window.dilation[axis])
    return minimum(
        ceil_divide(size + before + after - extent, stride) + 1, ceil_divide(size + before, stride)
    )


def global_pooling(*, last: bool = False) -> Rule:
    """The rule of GlobalAveragePool and its like."""

    def rule(call: Call) -> Sequence[Tensor]:
        layout = _layout(call, last)
        batch, channels, sizes = split_axes(call.shape(), layout)
        return [Tensor(call.dtype(), join_axes(batch, channels, (1,) * len(sizes), layout))]

    return rule


def max_unpool(call: Call) -> Sequence[Tensor]:
    """MaxUnpool: a given shape, or the pooling's input at least."""
    shape = call.shape()
    if call.has(2):
        return [Tensor(call.dtype(), tuple(call.counts(2)))]
    kernel = call.attributes.sizes("kernel_shape", len(shape) - 2, default=1, minimum=1)
    window = read_window(call.attributes, kernel)
    padding = window.padding or ()
    spatial = [
        None
        if size is None
        else (size - 1) * window.stride[axis] - sum(padding[axis]) + window.kernel_size[axis]
        for axis, size in enumerate(shape[2:])
    ]
    return [Tensor(call.dtype(), (*shape[:2], *spatial))]


# --- resizing --------------------------------------------------------------------------------------------


def resize(call: Call) -> Sequence[Tensor]:
    """Resize, by scales or to sizes."""
    shape = call.shape()
    scales, sizes = (1, None) if call.opset < 11 else (2, 3)
    given = call.attributes.integers("axes") if call.opset >= 18 else None
    axes = normalized_all(given, len(shape)) if given is not None else list(range(len(shape)))
    result = list(shape)
    if sizes is not None and call.has(sizes):
        for axis, size in zip(axes, _resized_to(call, sizes, shape, axes), strict=True):
            result[axis] = size
    elif call.has(scales):
        for axis, size in zip(
            axes, _scaled(call, scales, tuple([shape[axis] for axis in axes])), strict=True
        ):
            result[axis] = size
    else:
        raise Unknown
    return [Tensor(call.dtype(), tuple(result))]


def upsample(call: Call) -> Sequence[Tensor]:
    """Upsample: an attribute ``scales`` until opset 9."""
    shape = call.shape()
    if call.opset >= 9:
        return [Tensor(call.dtype(), tuple(_scaled(call, 1, shape)))]
    scales = call.attributes.floats("scales")
    if len(scales) != len(shape):
        raise Unknown
    factors = [reals.constant(scale, TensorProto.FLOAT) for scale in scales]
    return [Tensor(call.dtype(), tuple(map(_times_scale, shape, factors)))]


def _scaled(call: Call, index: int, sizes: Shape) -> list[Count | None]:
    try:
        factors = list(call.value(index).ravel())
    except Unknown:
        return [None] * len(sizes)
    if len(factors) != len(sizes):
        raise Unknown
    return [_times_scale(size, factor) for size, factor in zip(sizes, factors, strict=True)]


def _times_scale(size: Count | None, factor: reals.Real | None) -> Count | None:
    """``floor(size * scale)`` in float32, as runtimes work it out."""
    if size is None or factor is None:
        return None
    real = reals.from_integer(size, TensorProto.FLOAT)
    scaled = None if real is None else reals.multiply(real, factor, TensorProto.FLOAT)
    return None if scaled is None else reals.to_integer(reals.floor(scaled))


def _resized_to(call: Call, index: int, shape: Shape, axes: Sequence[int]) -> list[Count | None]:
    try:
        sizes = call.counts(index)
    except Unknown:
        return [None] * len(axes)
    if len(sizes) != len(axes):
        raise Unknown
    policy = call.attributes.string("keep_aspect_ratio_policy", "stretch") if call.opset >= 18 else "stretch"
    if policy == "stretch":
        return sizes
    if min(call.attributes.integers("axes") or [0]) < 0:
        return [None] * len(axes)  # onnxruntime does not follow the policy there
    old = [shape[axis] for axis in axes]
    if not all(isinstance(size, int) and size > 0 for size in (*sizes, *old)):
        return [None] * len(axes)
    ratios = [np.float32(new) / np.float32(size) for new, size in zip(sizes, old, strict=True)]  # type: ignore[arg-type]
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    return [_rounded(scale, fixed(size)) for size in old]


def _rounded(scale: np.floating, size: int) -> int | None:
    """``round(scale * size)``; None where float32 may round to either side of the half."""
    exact = Fraction(float(scale)) * size
    half = Fraction(1, 2)
    slack = exact / 2**22
    low, high = (exact + half - slack) // 1, (exact + half + slack) // 1
    return int(low) if low == high else None


# --- sampling --------------------------------------------------------------------------------------------


def grid_sample(call: Call) -> Sequence[Tensor]:
    """GridSample: as many places as the grid has."""
    shape, grid = call.shape(), call.shape(1)
    return [Tensor(call.dtype(), (shape[0], shape[1], *grid[1:-1]))]


def affine_grid(call: Call) -> Sequence[Tensor]:
    """AffineGrid: coordinates of every place of a given shape."""
    size = call.counts(1)
    if len(size) not in (4, 5):
        raise Unknown
    return [Tensor(call.dtype(), (size[0], *size[2:], len(size) - 2))]


def roi_align(call: Call) -> Sequence[Tensor]:
    """RoiAlign and MaxRoiPool: as many boxes as there are, of a fixed size."""
    shape, boxes = call.shape(), call.shape(1)
    if call.node.op_type == "MaxRoiPool":
        height, width = call.attributes.sizes("pooled_shape", 2, default=1, minimum=1)
    else:
        height = call.attributes.integer("output_height", 1)
        width = call.attributes.integer("output_width", 1)
    return [Tensor(call.dtype(), (boxes[0], shape[1], height, width))]


def short_time_fourier(call: Call) -> Sequence[Tensor]:
    """STFT: frames of a signal, each with its spectrum."""
    signal = call.shape()
    step = fixed(call.value(1).item())
    frame = fixed(call.value(3).item() if call.has(3) else call.shape(2)[0])
    if step < 1:
        raise Unknown
    bins = frame // 2 + 1 if call.attributes.integer("onesided", 1) else frame
    frames = add(floor_divide(subtract(signal[1], frame), step), 1)
    return [Tensor(call.dtype(), (signal[0], frames, bins, 2))]
