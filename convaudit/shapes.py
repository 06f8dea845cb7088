"""Integer convolution arithmetic, the same for any number of spatial axes.

Every function works on sizes that are integers or formulas of symbolic dimensions (``convaudit.formulas``).
Output sizes follow Dumoulin & Visin, "A guide to convolution arithmetic for deep learning"
(arXiv:1603.07285), and the ONNX operator specification for ``auto_pad`` and ``output_shape``.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TypeAlias

from convaudit.arguments import is_several, whole
from convaudit.errors import GroupsError, ShapeError
from convaudit.formulas import Count, Formula, ceil_divide

Pair: TypeAlias = tuple[int, int]
"""Padding (before, after) of one spatial axis."""


def per_axis(value: int | Sequence[int], rank: int, name: str, *, most: int | None = None) -> tuple[int, ...]:
    """One integer for all ``rank`` spatial axes, or one for each.

    Raises:
        UsageError: One is not an integer, or more than ``most``.
        ShapeError: A sequence has another length than ``rank``.
    """
    if not is_several(value):
        return (whole(value, name, least=None, most=most),) * rank
    values = tuple(whole(item, name, least=None, most=most) for item in value)
    if len(values) != rank:
        raise ShapeError(f"{name} must be one integer or {rank} integers, got {list(values)}")
    return values


def check_groups(in_channels: int, out_channels: int, groups: int, *, layer: str) -> None:
    """Refuse channel counts that ``groups`` does not divide, in torch's own words.

    Raises:
        GroupsError: ``groups`` does not divide a count; the message has both, and the layer's name.
    """
    if groups < 1:
        raise GroupsError(f"{layer}: groups must be a positive integer, got groups={groups}")
    for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if channels % groups:
            raise GroupsError(
                f"{layer}: {name} must be divisible by groups, got {name}={channels}, groups={groups}"
            )


def kernel_extent(kernel: int, dilation: int) -> int:
    """Input positions that one axis of a dilated kernel spans: ``dilation*(kernel - 1) + 1``."""
    return dilation * (kernel - 1) + 1


def conv_output_size(
    size: Count, kernel: int, stride: int = 1, dilation: int = 1, before: int = 0, after: int = 0
) -> Count:
    """Output positions of one axis: ``floor((size + before + after - dilation*(kernel-1) - 1)/stride) + 1``.

    Raises:
        ShapeError: The kernel does not fit into the padded input.
    """
    extent = kernel_extent(kernel, dilation)
    padded = size + before + after
    if isinstance(padded, int) and padded < extent:
        raise ShapeError(
            f"the kernel spans {extent} (kernel_size={kernel}, dilation={dilation}), "
            f"more than the padded input's {padded} (size={size}, padding=({before}, {after}))"
        )
    return (padded - extent) // stride + 1


def conv_transpose_output_size(
    size: Count,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    before: int = 0,
    after: int = 0,
    output_padding: int = 0,
) -> Count:
    """Output positions: ``stride*(size-1) + output_padding + dilation*(kernel-1) + 1 - before - after``.

    Raises:
        ShapeError: No position is left.
    """
    out = (size - 1) * stride + output_padding + kernel_extent(kernel, dilation) - before - after
    if isinstance(out, int) and out < 1 and size != 0:
        raise ShapeError(
            f"the transposed convolution's output size would be {out} (size={size}, kernel_size={kernel}, "
            f"stride={stride}, dilation={dilation}, padding=({before}, {after}), "
            f"output_padding={output_padding})"
        )
    return out


def same_output_size(size: Count, stride: int) -> Count:
    """Output positions of ONNX ``auto_pad=SAME_*``: ``ceil(size/stride)``."""
    return ceil_divide(size, stride)


def same_padding(size: int, kernel: int, stride: int = 1, dilation: int = 1, *, upper: bool = True) -> Pair:
    """Padding (before, after) that makes the output ``ceil(size/stride)`` long.

    ``upper`` puts an odd one at the end (SAME_UPPER, torch's ``padding='same'``), else at the start.
    """
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel_extent(kernel, dilation) - size, 0)
    return split_padding(total, upper=upper)


def split_padding(total: int, *, upper: bool) -> Pair:
    """Halve ``total``; the odd one goes to the end if ``upper``, else to the start."""
    small, large = total // 2, total - total // 2
    return (small, large) if upper else (large, small)


def conv_transpose_padding(
    size: int, out: int, kernel: int, stride: int = 1, dilation: int = 1, output_padding: int = 0
) -> int:
    """Total padding that gives a transposed convolution the output size ``out`` (ONNX ``output_shape``).

    It may be negative, which extends the output with positions that only the bias reaches.
    """
    return stride * (size - 1) + output_padding + kernel_extent(kernel, dilation) - out


def is_static(shape: Sequence[Count | None] | None) -> bool:
    """Whether every dimension is a known integer."""
    return shape is not None and all(isinstance(size, int) for size in shape)


def known_elements(shape: Sequence[Count | None] | None) -> int | None:
    """Number of elements; None if a size is open or unknown."""
    sizes = [size for size in shape or () if isinstance(size, int)]
    return prod(sizes) if shape is not None and len(sizes) == len(shape) else None


def as_text(shape: Sequence[Count | None] | None) -> str:
    """``1x3x224x224``, with formulas and ``?`` where a size is symbolic or unknown; ``?`` alone: no shape."""
    if shape is None:
        return "?"
    return "x".join(_size_text(size) for size in shape) or "scalar"


def _size_text(size: Count | None) -> str:
    if size is None:
        return "?"
    text = str(size)
    return f"({text})" if isinstance(size, Formula) and not text.isidentifier() else text
