"""The window of a convolution or pooling: where its taps lie, what it is padded with, how long its output is.

These are ONNX's rules, from a node's attributes and its input's sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from convaudit.errors import ModelError, ShapeError
from convaudit.formulas import Count, add, multiply
from convaudit.frontends.onnx.attributes import Attributes
from convaudit.frontends.onnx.ops import ConvOp
from convaudit.records import Shape
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Attributes of a node that say where its taps lie, one value per spatial axis."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[Pair, ...] | None  # of auto_pad NOTSET; None: not known
    auto_pad: str = "NOTSET"
    transposed: bool = False
    output_padding: tuple[int, ...] | None = None  # transposed only, as is output_shape
    output_shape: tuple[int, ...] | None = None
    keeps_size: bool = False  # causal: its output is as long as its input

    @property
    def is_same(self) -> bool:
        """Whether the output's size follows from the input's and the stride alone."""
        return self.auto_pad.startswith("SAME")

    @property
    def ends_with_last_tap(self) -> bool:
        """Whether a transposed SAME has too few taps to reach ``stride * size``, which ONNX asks for."""
        cut = self.transposed and self.is_same and self.output_shape is None
        return cut and any(self._beyond_stride(axis) < 0 for axis in range(len(self.kernel_size)))

    def padded_by(self, pads: Sequence[int] | None) -> Window:
        """This window with the pads of an operand, which ``auto_pad`` overrules; None: they are not known."""
        if self.auto_pad != "NOTSET":
            return self
        rank = len(self.kernel_size)
        if pads is None or len(pads) != 2 * rank:
            return replace(self, padding=None)
        return replace(self, padding=tuple(zip(pads[:rank], pads[rank:], strict=True)))

    def resolve(self, sizes: Shape, *, who: str) -> tuple[tuple[Pair, ...] | None, Shape]:
        """Padding and output sizes of an input of these spatial sizes.

        Args:
            sizes: None where one is not known.
            who: The node, for the error.

        Returns:
            The padding, None while it depends on a size that is open; the output's sizes, None where open.

        Raises:
            ShapeError: The kernel does not fit into the padded input.
        """
        if self.keeps_size:
            return self.padding, tuple(sizes)
        resolve_axis = self._transposed_axis if self.transposed else self._axis
        try:
            axes = [resolve_axis(axis, size) for axis, size in enumerate(sizes)]
        except ShapeError as error:
            raise ShapeError(f"{who}: {error}") from None
        padding = [pair for pair, _ in axes if pair is not None]
        return (tuple(padding) if len(padding) == len(axes) else None), tuple([out for _, out in axes])

    def declared_padding(self, axis: int) -> Pair | None:
        """Padding of an axis that no SAME works out; None: not known."""
        if self.auto_pad == "VALID":
            return (0, 0)
        return None if self.padding is None else self.padding[axis]

    def _axis(self, axis: int, size: Count | None) -> tuple[Pair | None, Count | None]:
        kernel, stride, dilation = self.kernel_size[axis], self.stride[axis], self.dilation[axis]
        if self.is_same:
            upper = self.auto_pad == "SAME_UPPER"
            # with stride 1 every size has the same padding
            known = size if isinstance(size, int) else 1 if stride == 1 else None
            pair = None if known is None else same_padding(known, kernel, stride, dilation, upper=upper)
            return pair, None if size is None else same_output_size(size, stride)
        pair = self.declared_padding(axis)
        if size is None or pair is None:
            return pair, None
        return pair, conv_output_size(size, kernel, stride, dilation, *pair)

    def _transposed_axis(self, axis: int, size: Count | None) -> tuple[Pair | None, Count | None]:
        kernel, stride, dilation = self.kernel_size[axis], self.stride[axis], self.dilation[axis]
        extra = self._extra(axis)
        upper = self.auto_pad == "SAME_UPPER"
        if self.output_shape is not None:
            out = self.output_shape[axis]
            if not isinstance(size, int):
                return None, out
            return _split(conv_transpose_padding(size, out, kernel, stride, dilation, extra), upper), out
        if self.is_same:
            # ONNX wants stride*size; its inference and onnxruntime end with the last tap, if that is before
            total = self._beyond_stride(axis)
            pair = split_padding(max(total, 0), upper=upper)
            return pair, add(multiply(size, stride), min(total, 0))
        declared = self.declared_padding(axis)
        if size is None or declared is None:
            return declared, None
        return declared, conv_transpose_output_size(size, kernel, stride, dilation, *declared, extra)

    def _extra(self, axis: int) -> int:
        return self.output_padding[axis] if self.output_padding else 0

    def _beyond_stride(self, axis: int) -> int:
        """Positions after the stride that a tap reaches: a transposed SAME cuts them off."""
        extent = kernel_extent(self.kernel_size[axis], self.dilation[axis])
        return self._extra(axis) + extent - self.stride[axis]


def conv_window(op: ConvOp, attributes: Attributes, kernel_size: tuple[int, ...]) -> Window:
    """The window of a convolution whose kernel has the given size.

    Raises:
        ModelError: An attribute has a wrong type, number or range.
    """
    if op.causal:
        return _causal(attributes, kernel_size)
    window = read_window(attributes, kernel_size)
    return _transposed(window, attributes) if op.transposed else window


def read_window(attributes: Attributes, kernel_size: tuple[int, ...]) -> Window:
    """The window of a node that is not transposed, a convolution or a pooling.

    Raises:
        ModelError: An attribute has a wrong type, number or range.
    """
    rank = len(kernel_size)
    pads = attributes.sizes("pads", 2 * rank, default=0, minimum=0)
    auto_pad = attributes.string("auto_pad", "") or "NOTSET"
    if auto_pad not in _AUTO_PAD:
        raise ModelError(
            f"{attributes.who}: auto_pad must be one of {', '.join(_AUTO_PAD)}, got {auto_pad!r}"
        )
    return Window(
        kernel_size=kernel_size,
        stride=attributes.sizes("strides", rank, default=1, minimum=1),
        dilation=attributes.sizes("dilations", rank, default=1, minimum=1),
        padding=tuple(zip(pads[:rank], pads[rank:], strict=True)),
        auto_pad=auto_pad,
    )


def _transposed(window: Window, attributes: Attributes) -> Window:
    rank = len(window.kernel_size)
    output_padding = attributes.sizes("output_padding", rank, default=0, minimum=0)
    for extra, stride, dilation in zip(output_padding, window.stride, window.dilation, strict=True):
        if extra >= max(stride, dilation):
            raise ModelError(
                f"{attributes.who}: output_padding must be smaller than stride or dilation, "
                f"got output_padding={extra}, stride={stride}, dilation={dilation}"
            )
    output_shape = None
    if "output_shape" in attributes:
        output_shape = attributes.sizes("output_shape", rank, default=0, minimum=1)
    return replace(window, transposed=True, output_padding=output_padding, output_shape=output_shape)


def _causal(attributes: Attributes, kernel_size: tuple[int, ...]) -> Window:
    """Only the last axis is causal; how the others are padded, if there are others, is not specified."""
    others = (1,) * (len(kernel_size) - 1)
    dilation = attributes.size("dilation", default=1, minimum=1)
    return Window(
        kernel_size=kernel_size,
        stride=(*others, 1),
        dilation=(*others, dilation),
        padding=None if others else ((dilation * (kernel_size[-1] - 1), 0),),
        keeps_size=True,
    )


def _split(total: int, upper: bool) -> Pair:
    # less than no padding extends the output at its end, as onnxruntime and ONNX's test data have it
    return split_padding(total, upper=upper) if total >= 0 else (0, total)
