"""Shapes of ops over spatial axes: convolutions, poolings, resizing, sampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from onnx import TensorProto

from convaudit.formulas import Count, add, ceil_divide, floor_divide, minimum, multiply, subtract
from convaudit.frontends.onnx.geometry import Geometry, read_geometry, resolve
from convaudit.frontends.onnx.shapes.symbolic import reals
from convaudit.frontends.onnx.shapes.symbolic.calls import Call, Rule, fixed, normalized_all
from convaudit.frontends.onnx.shapes.symbolic.tensors import Tensor, Unknown
from convaudit.frontends.onnx.weight_layout import channels_second
from convaudit.records import Shape
from convaudit.shapes import Pair, kernel_extent

# --- convolutions ----------------------------------------------------------------------------------------


def convolution(
    *,
    weight: int = 1,
    pads: int | None = None,
    transposed: bool = False,
    dtype_of: int | None = 0,
    dtype: int = 0,
    last: bool = False,
    any_weight_layout: bool = False,
) -> Rule:
    """The rule of a convolution.

    Args:
        weight: Index of the weight.
        pads: Index of the padding, where that is an operand.
        transposed: Whether it is a transposed one.
        dtype_of: Operand whose element type the result has; None: ``dtype``.
        dtype: Element type of the result.
        last: Whether channels are the last axis, whatever the attribute ``channels_last`` says.
        any_weight_layout: Whether the weight's channels may be last as well.
    """

    def rule(call: Call) -> Sequence[Tensor]:
        result_type = dtype if dtype_of is None else call.dtype(dtype_of)
        shape, kernel = call.shape(), call.shape(weight)
        if len(shape) != len(kernel) or len(shape) < 3:
            raise Unknown
        at_end = last or bool(call.attributes.integer("channels_last", 0))
        sizes = shape[1:-1] if at_end else shape[2:]
        groups = call.attributes.integer("group", 1)
        if any_weight_layout:
            arranged = channels_second(kernel, call.attributes.integers("kernel_shape"), shape[-1], groups)
            if arranged is None:
                raise Unknown
            kernel = arranged
        window = tuple([fixed(size) for size in kernel[2:]])
        who = call.node.op_type
        geometry = read_geometry(call.attributes, window, transposed=transposed, who=who)
        if pads is not None and call.has(pads) and geometry.auto_pad == "NOTSET":
            geometry = replace(geometry, padding=_pairs(call.counts(pads), len(window)))
        _, spatial = resolve(geometry, sizes, transposed=transposed, who=who)
        channels = kernel[0]
        if transposed:
            channels = multiply(kernel[1], groups)
        return [Tensor(result_type, _assembled(shape[0], channels, spatial, at_end))]

    return rule


def _pairs(pads: Sequence[Count | None], rank: int) -> tuple[Pair, ...]:
    if len(pads) != 2 * rank:
        raise Unknown
    known = [fixed(pad) for pad in pads]
    return tuple(zip(known[:rank], known[rank:], strict=True))


def deformable(call: Call) -> Sequence[Tensor]:
    """DeformConv: a convolution."""
    return convolution()(call)


def _assembled(batch: Count | None, channels: Count | None, spatial: Shape, last: bool) -> Shape:
    return (batch, *spatial, channels) if last else (batch, channels, *spatial)


# --- poolings --------------------------------------------------------------------------------------------


def pooling(*, last: bool = False) -> Rule:
    """The rule of MaxPool and its like."""

    def rule(call: Call) -> Sequence[Tensor]:
        shape = call.shape()
        rank = len(shape) - 2
        if rank < 1:
            raise Unknown
        at_end = last or bool(call.attributes.integer("channels_last", 0))
        sizes = shape[1:-1] if at_end else shape[2:]
        kernel = call.attributes.sizes("kernel_shape", rank, default=1, minimum=1)
        geometry = read_geometry(call.attributes, kernel, transposed=False, who=call.node.op_type)
        if call.attributes.integer("ceil_mode", 0) and not geometry.auto_pad.startswith("SAME"):
            spatial = tuple(
                [
                    None if size is None else _ceil_mode_size(geometry, axis, size)
                    for axis, size in enumerate(sizes)
                ]
            )
        else:
            _, spatial = resolve(geometry, sizes, transposed=False, who=call.node.op_type)
        if geometry.auto_pad.startswith("SAME"):  # of a dilated window onnxruntime makes less than ONNX
            spatial = tuple(
                [
                    size if extent == 1 or dilation == 1 else None
                    for size, extent, dilation in zip(spatial, kernel, geometry.dilation, strict=True)
                ]
            )
        channels = shape[-1] if at_end else shape[1]
        result = _assembled(shape[0], channels, spatial, at_end)
        indices = [Tensor(TensorProto.INT64, result)] if len(call.node.output) > 1 else []
        return [Tensor(call.dtype(), result), *indices]

    return rule


def _ceil_mode_size(geometry: Geometry, axis: int, size: Count) -> Count:
    """Windows that start in the input or in the padding before it; none starts in the end padding."""
    stride = geometry.stride[axis]
    before, after = (0, 0) if geometry.auto_pad == "VALID" else geometry.padding[axis]
    extent = kernel_extent(geometry.kernel_size[axis], geometry.dilation[axis])
    return minimum(
        ceil_divide(size + before + after - extent, stride) + 1, ceil_divide(size + before, stride)
    )


def global_pooling(*, last: bool = False) -> Rule:
    """The rule of GlobalAveragePool and its like."""

    def rule(call: Call) -> Sequence[Tensor]:
        shape = call.shape()
        ones = (1,) * (len(shape) - 2)
        at_end = last or bool(call.attributes.integer("channels_last", 0))
        channels = shape[-1] if at_end else shape[1]
        return [Tensor(call.dtype(), _assembled(shape[0], channels, ones, at_end))]

    return rule


def max_unpool(call: Call) -> Sequence[Tensor]:
    """MaxUnpool: a given shape, or the pooling's input at least."""
    shape = call.shape()
    if call.has(2):
        return [Tensor(call.dtype(), tuple(call.counts(2)))]
    kernel = call.attributes.sizes("kernel_shape", len(shape) - 2, default=1, minimum=1)
    geometry = read_geometry(call.attributes, kernel, transposed=False, who="MaxUnpool")
    spatial = [
        None
        if size is None
        else (size - 1) * geometry.stride[axis] - sum(geometry.padding[axis]) + geometry.kernel_size[axis]
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
