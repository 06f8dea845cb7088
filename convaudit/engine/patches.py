"""The input under every kernel tap of a block of output positions, as a strided view."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convaudit.engine.geometry import Geometry
from convaudit.engine.operands import Array


def patches(source: Array, geometry: Geometry, block: tuple[slice, ...], dtype: np.dtype[Any]) -> Array:
    """View (channels, *kernel, *positions) of ``source`` (channels, *spatial) for a block of positions.

    For a block that reaches over a border, or needs another dtype, of a padded copy of its input window.
    """
    every = slice(None)
    inside, within, sizes = [every], [every], []
    for (first, end), size in zip(geometry.window(block), geometry.fine, strict=True):
        start = min(max(first, 0), size)
        stop = max(min(end, size), start)
        inside.append(slice(start, stop))
        within.append(slice(start - first, stop - first))
        sizes.append(end - first)
    region = source[tuple(inside)]
    if region.shape[1:] != tuple(sizes) or region.dtype != dtype:
        padded = np.zeros((source.shape[0], *sizes), dtype)
        padded[tuple(within)] = region
        region = padded
    channel_stride, *strides = region.strides
    by_tap = (step * dilation for step, dilation in zip(strides, geometry.dilation, strict=True))
    by_position = (step * stride for step, stride in zip(strides, geometry.stride, strict=True))
    return as_strided(
        region,
        (source.shape[0], *geometry.kernel, *(part.stop - part.start for part in block)),
        (channel_stride, *by_tap, *by_position),
        writeable=False,
    )


def window_size(geometry: Geometry, positions: tuple[int, ...]) -> int:
    """Elements that ``patches`` may copy for one channel of a block of this many positions."""
    window = geometry.window(tuple(slice(0, count) for count in positions))
    return math.prod(end - first for first, end in window)
