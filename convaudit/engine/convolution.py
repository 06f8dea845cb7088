"""Convolution: patches packed tile by tile into a bounded workspace, and one matrix product a tile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from convaudit.engine.counting import MacCounter
from convaudit.engine.geometry import Geometry, Ints, Padding, conv_geometry
from convaudit.engine.operands import Array, check_floating, check_operands

WORKSPACE_BYTES = 64 << 20


def conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    workspace_bytes: int = WORKSPACE_BYTES,
    counter: MacCounter | None = None,
    name: str = "conv",
) -> Array:
    """Grouped N-dimensional convolution (cross-correlation, as in torch and ONNX).

    x        (N, C_in, *spatial), float64, float32, float16 or bfloat16, of any memory layout
    weight   (C_out, C_in // groups, *kernel_size), of x's dtype
    bias     (C_out,), of x's dtype
    padding  one integer, one per axis, one (before, after) pair per axis, "same" (the output is
             ``ceil(size/stride)`` long, an odd position of padding at the end) or "valid"
    workspace_bytes  upper limit of what is allocated beside the result
    counter  is told the multiply-adds executed
    name     of the layer, for error messages
    Returns  (N, C_out, *out_spatial), dtype of ``x``; half precisions are summed in float32 and rounded once.
    Raises   GroupsError if groups does not divide both channel counts; ShapeError if shapes do not fit;
             UsageError for a dtype.
    """
    accumulator = check_floating(x, weight, bias, name=name)
    out_channels = check_operands(x, weight, bias, groups, name=name)
    geometry = conv_geometry(
        x.shape[2:], weight.shape[2:], stride=stride, padding=padding, dilation=dilation, name=name
    )
    result = np.empty((x.shape[0], out_channels, *geometry.coarse), x.dtype)
    # Depth of the matrix product runs over (tap, channel): a tap's patches are then one strided copy.
    depth = geometry.taps * weight.shape[1]
    filters = weight.astype(accumulator, copy=False).reshape(
        groups, out_channels // groups, weight.shape[1], -1
    )
    matrix = filters.swapaxes(2, 3).reshape(groups, out_channels // groups, depth)
    for batch, start, stop in _tiles(
        x.shape[0], geometry, groups * depth * accumulator.itemsize, workspace_bytes
    ):
        columns = _pack(x[batch], groups, geometry, start, stop, accumulator)
        product = np.matmul(matrix, columns.reshape(groups, depth, -1))
        tile = product.reshape(out_channels, stop - start, *geometry.coarse[1:])
        if bias is not None:
            tile += bias.astype(accumulator, copy=False).reshape(-1, *(1 for _ in geometry.coarse))
        result[batch, :, start:stop] = tile
        if counter is not None:
            counter.macs += product.size * depth
    return result


def _tiles(
    batch: int, geometry: Geometry, position_bytes: int, workspace_bytes: int
) -> Iterator[tuple[int, int, int]]:
    """(image, start, stop): blocks of rows of the first spatial axis whose patches fit into the workspace."""
    rows = geometry.coarse[0]
    row_bytes = position_bytes * int(np.prod(geometry.coarse[1:], dtype=np.int64))
    step = max(1, min(rows, workspace_bytes // max(row_bytes, 1)))
    for image in range(batch):
        for start in range(0, rows, step):
            yield image, start, min(start + step, rows)


def _pack(
    image: Array, groups: int, geometry: Geometry, start: int, stop: int, accumulator: np.dtype[Any]
) -> Array:
    """Patches (groups, *kernel, channels, rows, *rest), zero where a tap lies on padding."""
    channels = image.shape[0] // groups
    grouped = image.reshape(groups, channels, *image.shape[1:])
    columns = np.zeros((groups, *geometry.kernel, channels, stop - start, *geometry.coarse[1:]), accumulator)
    by_tap = np.moveaxis(columns, 0, len(geometry.kernel))
    for tap in geometry.taps_of(start, stop):
        by_tap[tap.index][tap.coarse] = grouped[tap.fine]
    return columns
