"""Dense and grouped convolution as matrix products: (filters, depth) @ (depth, positions), a batch of groups.

``depth`` runs over (channel, *kernel), so the weight is its own left-hand side, and packing the right-hand
side copies rows of the input that are as long as the output's. Pointwise layers multiply the input in place.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convaudit.engine.geometry import Geometry
from convaudit.engine.operands import Array
from convaudit.engine.tiles import Extent, Tile
from convaudit.shapes import Pair

KEPT_BYTES = 4 << 20
"""Largest buffer that is kept, so that little stays allocated between calls."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Multiplies tiles of ``x`` (N, C_in, *spatial) by ``weight`` (groups, filters, channels, *kernel)."""

    x: Array
    weight: Array
    geometry: Geometry

    @property
    def extent(self) -> Extent:
        """What there is to compute for one image."""
        return Extent(self.weight.shape[0], self.weight.shape[1], self.geometry.coarse)

    def tile_bytes(self, block: Extent) -> int:
        """Bytes that a block works on: the output, and unless in place the input window and its patches."""
        count = math.prod(block.positions)
        elements = block.groups * block.filters * count
        if not self._is_in_place():
            channels = block.groups * int(self.weight.shape[2])
            elements += channels * (self.geometry.taps * count + window_size(self.geometry, block.positions))
        return elements * self.weight.itemsize

    def positions(self, tile: Tile) -> tuple[slice, ...]:
        """The output positions that a tile stands for."""
        return tile.positions

    def multiply(self, tile: Tile, out: Array) -> int:
        """Write the tile into ``out`` (groups, filters, *positions); returns the multiply-adds executed."""
        channels = self.weight.shape[2]
        source = self.x[tile.image, tile.groups.start * channels : tile.groups.stop * channels]
        if self._is_in_place():
            columns = source[(slice(None), *tile.positions)]
        else:
            columns = packed(patches(source, self.geometry, tile.positions, self.weight.dtype))
        return multiply_columns(self.weight[tile.groups, tile.filters], columns, out)

    def _is_in_place(self) -> bool:
        """Whether the patches are the input as it lies in memory: one tap on every position."""
        geometry = self.geometry
        return (
            geometry.taps == 1
            and math.prod(geometry.stride) == 1
            and geometry.coarse == geometry.fine
            and self.x.dtype == self.weight.dtype
            and self.x[:1, :1].flags.c_contiguous
        )


def multiply_columns(weight: Array, columns: Array, out: Array) -> int:
    """Write the product of ``weight`` (groups, filters, ...) and ``columns`` into ``out``.

    Args:
        weight: (groups, filters, channels, *kernel)
        columns: (channels of all groups, *kernel, *positions), packed or in place.
        out: (groups, filters, *positions)

    Returns:
        The multiply-adds executed.
    """
    groups, filters, *rest = weight.shape
    depth, positions = math.prod(rest), math.prod(out.shape[2:])
    matrix, columns = weight.reshape(groups, filters, depth), columns.reshape(groups, depth, positions)
    np.matmul(matrix, columns, out=out.reshape(groups, filters, positions))
    return int(matrix.size) * positions


def patches(source: Array, geometry: Geometry, block: tuple[slice, ...], dtype: np.dtype[Any]) -> Array:
    """View the input under every kernel tap of a block of output positions.

    Args:
        source: (channels, *spatial)
        geometry: Geometry of the convolution.
        block: Output positions, a slice per spatial axis.
        dtype: Element type of the view.

    Returns:
        A strided view (channels, *kernel, *positions) of the source, or of a padded copy of its input window
        if the block reaches over a border or needs another dtype.
    """
    window = _window(source, geometry.window(block), dtype)
    channel_stride, *strides = window.strides
    by_tap = (step * dilation for step, dilation in zip(strides, geometry.dilation, strict=True))
    by_position = (step * stride for step, stride in zip(strides, geometry.stride, strict=True))
    return as_strided(
        window,
        (source.shape[0], *geometry.kernel, *(part.stop - part.start for part in block)),
        (channel_stride, *by_tap, *by_position),
        writeable=False,
    )


def _window(source: Array, reach: Sequence[Pair], dtype: np.dtype[Any]) -> Array:
    """``source`` at the positions (first, end) per spatial axis, zero beyond its borders, in ``dtype``."""
    inside, within = [slice(None)], [slice(None)]
    for (first, end), size in zip(reach, source.shape[1:], strict=True):
        start = min(max(first, 0), size)
        stop = max(min(end, size), start)
        inside.append(slice(start, stop))
        within.append(slice(start - first, stop - first))
    region = source[tuple(inside)]
    shape = (source.shape[0], *(end - first for first, end in reach))
    if region.shape == shape and region.dtype == dtype:
        return region
    padded = scratch("padded", shape, dtype)
    padded[...] = 0
    padded[tuple(within)] = region
    return padded


def window_size(geometry: Geometry, positions: tuple[int, ...]) -> int:
    """Elements that ``patches`` copies, at most, for one channel of a block of this many positions."""
    window = geometry.window(tuple(slice(0, count) for count in positions))
    return math.prod(end - first for first, end in window)


def packed(view: Array) -> Array:
    """A contiguous copy in scratch memory."""
    copy = scratch("packed", view.shape, view.dtype)
    copy[...] = view
    return copy


class _Kept(threading.local):
    def __init__(self) -> None:
        self.buffers: dict[str, Array] = {}


_KEPT = _Kept()


def scratch(purpose: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Memory that a thread uses again and again: fresh memory costs as much as what is done with it.

    Args:
        purpose: The array is valid until the same thread asks for this purpose again.
        shape: Shape of the array.
        dtype: Element type of the array.

    Returns:
        An uninitialised array.
    """
    size = math.prod(shape) * dtype.itemsize
    if size > KEPT_BYTES:
        return np.empty(shape, dtype)
    buffer = _KEPT.buffers.get(purpose)
    if buffer is None or buffer.nbytes < size:
        buffer = _KEPT.buffers[purpose] = np.empty(size, np.uint8)
    return buffer[:size].view(dtype).reshape(shape)
