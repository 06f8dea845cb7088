"""The input under every kernel tap of a block of output positions, as a strided view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convaudit.engine.geometry import Geometry
from convaudit.engine.operands import Array
from convaudit.engine.scratch import scratch
from convaudit.shapes import Pair


def patches(source: Array, geometry: Geometry, block: tuple[slice, ...], dtype: np.dtype[Any]) -> Array:
    """View (channels, *kernel, *positions) of ``source`` (channels, *spatial) for a block of positions.

    For a block that reaches over a border, or needs another dtype, of a padded copy of its input window.
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
    """Elements that ``patches`` may copy for one channel of a block of this many positions."""
    window = geometry.window(tuple(slice(0, count) for count in positions))
    return math.prod(end - first for first, end in window)


def packed(view: Array) -> Array:
    """A contiguous copy."""
    copy = scratch("packed", view.shape, view.dtype)
    copy[...] = view
    return copy
