"""Where each kernel tap of a convolution reads and writes: plain integers, computed once for each call.

A transposed convolution is the adjoint of a convolution: the same taps join the same positions, only the
arrows are reversed. So one record serves both. ``fine`` is the side that stride makes larger (a convolution's
input, a transposed convolution's output), ``coarse`` the other, and the tap at kernel index k joins coarse
position p with fine position ``p*stride + k*dilation - before``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast

from convaudit.arguments import LARGEST_TENSOR, is_several
from convaudit.errors import ShapeError
from convaudit.formulas import Count
from convaudit.shapes import (
    Pair,
    as_text,
    conv_output_size,
    conv_transpose_output_size,
    conv_transpose_padding,
    kernel_extent,
    per_axis,
    same_padding,
    split_padding,
)

Index: TypeAlias = tuple[Any, ...]
Ints: TypeAlias = int | Sequence[int]
Padding: TypeAlias = int | str | Sequence[int] | Sequence[Pair]


@dataclass(frozen=True, slots=True)
class Tap:
    """One kernel index, and the positions that it joins inside both borders.

    ``array[tap.fine]`` takes them from the last axes of an array, whatever axes come before.
    """

    index: tuple[int, ...]
    coarse: Index
    fine: Index


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """The positions of one convolution or transposed convolution; every tuple is per spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]  # padding before the fine side; negative only if transposed, or in a part
    fine: tuple[int, ...]
    coarse: tuple[int, ...]

    @property
    def taps(self) -> int:
        """Number of kernel indices."""
        return math.prod(self.kernel)

    def window(self, block: Sequence[slice]) -> list[Pair]:
        """Fine positions (first, end) under the taps of a block of coarse positions; padding lies outside."""
        return [
            (part.start * s - before, (part.stop - 1) * s - before + kernel_extent(k, d))
            for part, k, s, d, before in zip(
                block, self.kernel, self.stride, self.dilation, self.before, strict=True
            )
        ]

    def banded(self, width: int) -> Geometry:
        """The same convolution with ``width`` neighbours of the last axis as one wide position."""
        stride, dilation = self.stride[-1], self.dilation[-1]
        return replace(
            self,
            kernel=(*self.kernel[:-1], (width - 1) * stride + kernel_extent(self.kernel[-1], dilation)),
            stride=(*self.stride[:-1], width * stride),
            dilation=(*self.dilation[:-1], 1),
            coarse=(*self.coarse[:-1], -(-self.coarse[-1] // width)),
        )

    def part(self, block: Sequence[slice]) -> Geometry:
        """The same convolution for a block of coarse positions alone, of the whole fine side."""
        return replace(
            self,
            coarse=tuple(part.stop - part.start for part in block),
            before=tuple(
                before - part.start * stride
                for before, part, stride in zip(self.before, block, self.stride, strict=True)
            ),
        )

    def taps_of(self, block: Sequence[slice]) -> Iterator[Tap]:
        """Every tap, with the coarse positions of the block that it joins with a fine one.

        ``Tap.coarse`` counts from the block's first position. Empty slices: the tap only meets padding.
        """
        for index in itertools.product(*(range(size) for size in self.kernel)):
            joined = [self._joined(axis, tap, block[axis]) for axis, tap in enumerate(index)]
            yield Tap(index, (..., *(pair[0] for pair in joined)), (..., *(pair[1] for pair in joined)))

    def _joined(self, axis: int, tap: int, part: slice) -> tuple[slice, slice]:
        stride, count = self.stride[axis], part.stop - part.start
        offset = part.start * stride + tap * self.dilation[axis] - self.before[axis]
        first = min(max(-(offset // stride), 0), count)
        last = max(min(-((offset - self.fine[axis]) // stride), count), first)
        fine = slice(first * stride + offset, (last - 1) * stride + offset + 1, stride)
        return slice(first, last), fine if last > first else slice(0, 0)


def conv_geometry(
    sizes: Sequence[int], kernel: Sequence[int], *, stride: Ints, padding: Padding, dilation: Ints, name: str
) -> Geometry:
    """Compute the geometry of a convolution.

    Args:
        sizes: Spatial sizes of the input.
        kernel: Spatial sizes of the kernel.
        stride: One integer, or one per spatial axis.
        padding: As in ``conv``.
        dilation: One integer, or one per spatial axis.
        name: Name of the layer, for error messages.

    Returns:
        The geometry, with the input as its fine side.

    Raises:
        ShapeError: The arguments do not fit the rank or are out of range, or the kernel does not fit.
    """
    rank = len(kernel)
    strides, dilations = _positive(stride, rank, "stride", name), _positive(dilation, rank, "dilation", name)
    axes = list(zip(sizes, kernel, strides, dilations, strict=True))
    pairs = [same_padding(*axis) for axis in axes] if _is_same(padding) else _pairs(padding, rank, name)
    if any(side < 0 for pair in pairs for side in pair):
        raise ShapeError(f"{name}: padding must not be negative, got {pairs}")
    with _named(name):
        coarse = [conv_output_size(*axis, *pair) for axis, pair in zip(axes, pairs, strict=True)]
        _check_output(coarse)
    return Geometry(
        kernel=tuple(kernel),
        stride=strides,
        dilation=dilations,
        before=tuple(pair[0] for pair in pairs),
        fine=tuple(sizes),
        coarse=cast("tuple[int, ...]", tuple(coarse)),
    )


def conv_transpose_geometry(
    sizes: Sequence[int],
    kernel: Sequence[int],
    *,
    stride: Ints,
    padding: Padding,
    output_padding: Ints,
    dilation: Ints,
    name: str,
) -> Geometry:
    """Compute the geometry of a transposed convolution.

    Args:
        sizes: Spatial sizes of the input.
        kernel: Spatial sizes of the kernel.
        stride: One integer, or one per spatial axis.
        padding: Positions taken away from the output; a negative number adds positions that only the bias
            reaches (ONNX ``output_shape``). "same" makes the output ``size*stride`` long, an odd position of
            padding at the end.
        output_padding: Positions added at the high end, computed like all others.
        dilation: One integer, or one per spatial axis.
        name: Name of the layer, for error messages.

    Returns:
        The geometry, with the output as its fine side.

    Raises:
        ShapeError: The arguments do not fit the rank or are out of range, or nothing is left of the output.
    """
    if any(size < 1 for size in sizes):
        raise ShapeError(f"{name}: the input's spatial sizes must be positive, got {tuple(sizes)}")
    rank = len(kernel)
    strides, dilations = _positive(stride, rank, "stride", name), _positive(dilation, rank, "dilation", name)
    extra = per_axis(output_padding, rank, f"{name}: output_padding")
    for size, stride_, dilation_ in zip(extra, strides, dilations, strict=True):
        if not 0 <= size < max(stride_, dilation_):
            raise ShapeError(
                f"{name}: output_padding must be at least 0 and smaller than stride or dilation, "
                f"got output_padding={size}, stride={stride_}, dilation={dilation_}"
            )
    axes = list(zip(sizes, kernel, strides, dilations, strict=True))
    if _is_same(padding):
        totals = [
            conv_transpose_padding(axis[0], axis[0] * axis[2], *axis[1:], added)
            for axis, added in zip(axes, extra, strict=True)
        ]
        pairs = [split_padding(total, upper=True) for total in totals]
    else:
        pairs = _pairs(padding, rank, name)
    with _named(name):
        fine = [
            conv_transpose_output_size(*axis, *pair, added)
            for axis, pair, added in zip(axes, pairs, extra, strict=True)
        ]
        _check_output(fine)
    return Geometry(
        kernel=tuple(kernel),
        stride=strides,
        dilation=dilations,
        before=tuple(pair[0] for pair in pairs),
        fine=cast("tuple[int, ...]", tuple(fine)),
        coarse=tuple(sizes),
    )


def _check_output(sizes: Sequence[Count]) -> None:
    if math.prod(cast("Sequence[int]", sizes)) > LARGEST_TENSOR:
        raise ShapeError(f"no memory holds an output of {as_text(sizes)}")


def _is_same(padding: Padding) -> bool:
    return isinstance(padding, str) and padding == "same"


def _pairs(padding: Padding, rank: int, name: str) -> list[Pair]:
    if isinstance(padding, str):
        if padding == "valid":
            return [(0, 0)] * rank
        raise ShapeError(f"{name}: padding must be integers, pairs, 'same' or 'valid', got {padding!r}")
    if not is_several(padding) or not any(map(is_several, padding)):
        sizes = per_axis(cast("Ints", padding), rank, f"{name}: padding", most=LARGEST_TENSOR)
        return [(size, size) for size in sizes]
    pairs = [
        per_axis(pair, 2, f"{name}: padding", most=LARGEST_TENSOR) for pair in cast("Sequence[Pair]", padding)
    ]
    if len(pairs) != rank:
        raise ShapeError(f"{name}: padding must be {rank} (before, after) pairs, got {pairs}")
    return cast("list[Pair]", pairs)


def _positive(value: Ints, rank: int, what: str, name: str) -> tuple[int, ...]:
    values = per_axis(value, rank, f"{name}: {what}", most=LARGEST_TENSOR)
    if any(item < 1 for item in values):
        raise ShapeError(f"{name}: {what} must be positive, got {values}")
    return values


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Put the layer's name in front of what ``convaudit.shapes`` refuses."""
    try:
        yield
    except ShapeError as error:
        raise ShapeError(f"{name}: {error}") from None
