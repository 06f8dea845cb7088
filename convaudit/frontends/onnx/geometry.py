"""A convolution's padding and output size, from its attributes and its input's size: ONNX's rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from convaudit.errors import ModelError, ShapeError
from convaudit.formulas import Count, add, multiply
from convaudit.frontends.onnx.attributes import Attributes
from convaudit.shapes import (
    Pair,
    conv_output_size,
    conv_transpose_output_size,
    conv_transpose_padding,
    kernel_extent,
    same_output_size,
    same_padding,
    split_padding,
)

_AUTO_PAD = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


@dataclass(frozen=True, slots=True)
class Geometry:
    """Attributes of a convolution that say where its taps lie, one value per spatial axis."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[Pair, ...]  # of auto_pad NOTSET
    auto_pad: str = "NOTSET"
    output_padding: tuple[int, ...] = ()  # transposed only, as is output_shape
    output_shape: tuple[int, ...] | None = None

    @property
    def ends_with_last_tap(self) -> bool:
        """Whether a transposed SAME has too few taps to reach ``stride * size``, which ONNX asks for."""
        same = self.auto_pad.startswith("SAME") and self.output_shape is None
        return same and any(self.beyond_stride(axis) < 0 for axis in range(len(self.output_padding)))

    def beyond_stride(self, axis: int) -> int:
        """Positions after the stride that a tap reaches: a transposed SAME cuts them off."""
        extent = kernel_extent(self.kernel_size[axis], self.dilation[axis])
        return self.output_padding[axis] + extent - self.stride[axis]


def read_geometry(
    attributes: Attributes, kernel_size: tuple[int, ...], *, transposed: bool, who: str
) -> Geometry:
    """Geometry of a node whose kernel has the given size.

    Raises  ModelError for attributes of a wrong type, number or range.
    """
    rank = len(kernel_size)
    pads = attributes.sizes("pads", 2 * rank, default=0, minimum=0)
    auto_pad = attributes.string("auto_pad", "") or "NOTSET"
    if auto_pad not in _AUTO_PAD:
        raise ModelError(f"{who}: auto_pad must be one of {', '.join(_AUTO_PAD)}, got {auto_pad!r}")
    geometry = Geometry(
        kernel_size=kernel_size,
        stride=attributes.sizes("strides", rank, default=1, minimum=1),
        dilation=attributes.sizes("dilations", rank, default=1, minimum=1),
        padding=tuple(zip(pads[:rank], pads[rank:], strict=True)),
        auto_pad=auto_pad,
    )
    return _transposed(geometry, attributes, who) if transposed else geometry


def resolve(
    geometry: Geometry, sizes: Sequence[Count | None], *, transposed: bool, who: str
) -> tuple[tuple[Pair, ...] | None, tuple[Count | None, ...]]:
    """Padding and output size per spatial axis of an input of ``sizes``; None where a size is open.

    Raises  ShapeError if the kernel does not fit into the padded input.
    """
    resolve_axis = _transposed_axis if transposed else _axis
    try:
        axes = [resolve_axis(geometry, axis, size) for axis, size in enumerate(sizes)]
    except ShapeError as error:
        raise ShapeError(f"{who}: {error}") from None
    padding = [pair for pair, _ in axes if pair is not None]
    return (tuple(padding) if len(padding) == len(axes) else None), tuple([out for _, out in axes])


def _axis(geometry: Geometry, axis: int, size: Count | None) -> tuple[Pair | None, Count | None]:
    kernel, stride, dilation = geometry.kernel_size[axis], geometry.stride[axis], geometry.dilation[axis]
    if geometry.auto_pad.startswith("SAME"):
        upper = geometry.auto_pad == "SAME_UPPER"
        # with stride 1 every size has the same padding
        known = size if isinstance(size, int) else 1 if stride == 1 else None
        pair = None if known is None else same_padding(known, kernel, stride, dilation, upper=upper)
        return pair, None if size is None else same_output_size(size, stride)
    before, after = pair = (0, 0) if geometry.auto_pad == "VALID" else geometry.padding[axis]
    out = None if size is None else conv_output_size(size, kernel, stride, dilation, before, after)
    return pair, out


def _transposed_axis(geometry: Geometry, axis: int, size: Count | None) -> tuple[Pair | None, Count | None]:
    kernel, stride, dilation = geometry.kernel_size[axis], geometry.stride[axis], geometry.dilation[axis]
    extra = geometry.output_padding[axis]
    upper = geometry.auto_pad == "SAME_UPPER"
    if geometry.output_shape is not None:
        out = geometry.output_shape[axis]
        if not isinstance(size, int):
            return None, out
        return _split(conv_transpose_padding(size, out, kernel, stride, dilation, extra), upper), out
    if geometry.auto_pad.startswith("SAME"):
        # ONNX wants stride*size; its inference and onnxruntime end with the last tap, if that is before
        total = geometry.beyond_stride(axis)
        pair = split_padding(max(total, 0), upper=upper)
        return pair, add(multiply(size, stride), min(total, 0))
    before, after = pair = (0, 0) if geometry.auto_pad == "VALID" else geometry.padding[axis]
    if size is None:
        return pair, None
    return pair, conv_transpose_output_size(size, kernel, stride, dilation, before, after, extra)


def _split(total: int, upper: bool) -> Pair:
    # less than no padding extends the output at its end, as onnxruntime and ONNX's test data have it
    return split_padding(total, upper=upper) if total >= 0 else (0, total)


def _transposed(geometry: Geometry, attributes: Attributes, who: str) -> Geometry:
    rank = len(geometry.kernel_size)
    output_padding = attributes.sizes("output_padding", rank, default=0, minimum=0)
    for extra, stride, dilation in zip(output_padding, geometry.stride, geometry.dilation, strict=True):
        if extra >= max(stride, dilation):
            raise ModelError(
                f"{who}: output_padding must be smaller than stride or dilation, "
                f"got output_padding={extra}, stride={stride}, dilation={dilation}"
            )
    output_shape = None
    if "output_shape" in attributes:
        output_shape = attributes.sizes("output_shape", rank, default=0, minimum=1)
    return replace(geometry, output_padding=output_padding, output_shape=output_shape)
