"""Running a method tile by tile: threads, bias, rounding to the result's dtype, and counting."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from convaudit.arguments import whole
from convaudit.engine.counting import MacCounter
from convaudit.engine.geometry import Geometry, Index
from convaudit.engine.operands import Array
from convaudit.engine.threads import default_threads, total
from convaudit.engine.tiling import Extent, Limits, Tile, tiles
from convaudit.errors import UsageError

WORKSPACE_BYTES = 64 << 20
"""What a call may allocate beside its result, unless it is told otherwise."""

THREAD_WORK = 16_000_000
"""Multiply-adds that are worth another thread: waking it takes about as long."""

MACS_PER_BYTE = 6
"""Multiply-adds in the time of moving one byte."""


def resolve_limits(workspace_bytes: int, threads: int | None, *, name: str) -> Limits:
    """The limits that a caller set.

    Raises  UsageError if one of them is not an integer, or there would be no thread.
    """
    return Limits(
        threads=default_threads() if threads is None else whole(threads, f"{name}: threads", least=1),
        workspace_bytes=whole(workspace_bytes, f"{name}: workspace_bytes"),
    )


class Method(Protocol):
    """A way to compute a block of outputs: ``Columns``, ``Bands``, ``Scatter`` or ``Sampling``."""

    @property
    def weight(self) -> Array:
        """(groups, ...), in the dtype to multiply and sum in."""

    @property
    def geometry(self) -> Geometry:
        """The positions that its taps join."""

    @property
    def extent(self) -> Extent:
        """What there is to compute for one image."""

    def tile_bytes(self, block: Extent) -> int:
        """Bytes that a block works on beside its operands."""

    def positions(self, tile: Tile) -> tuple[slice, ...]:
        """The output positions of a tile; none given means all."""

    def multiply(self, tile: Tile, out: Array) -> int:
        """Write the tile into ``out`` (groups, filters, *positions); returns the multiply-adds executed."""


def execute(
    method: Method,
    bias: Array | None,
    result: Array,
    limits: Limits,
    counter: MacCounter | None,
    *,
    finish: Callable[[Array, Tile], Array] | None = None,
) -> Array:
    """Fill ``result`` (N, C_out, *spatial) and return it.

    ``bias`` (C_out,) is added to the sums. ``finish`` then maps a tile's sums (groups, filters, *positions)
    to what the result shall hold, by default the sums themselves, rounded to the result's dtype.
    """
    if counter is not None and not isinstance(counter, MacCounter):
        raise UsageError(f"counter must be a MacCounter, got a {type(counter).__name__}")
    if result.size == 0:
        return result
    groups, filters = method.extent.groups, method.extent.filters
    outputs = result.reshape(len(result), groups, filters, *result.shape[2:])
    biases = None if bias is None else bias.reshape(groups, filters, *(1 for _ in result.shape[2:]))

    def compute(tile: Tile) -> int:
        index: Index = (tile.image, tile.groups, tile.filters, *method.positions(tile))
        out = outputs[index]
        sums = out if out.dtype == method.weight.dtype else np.empty(out.shape, method.weight.dtype)
        with np.errstate(all="ignore"):  # overflow and infinities are results, as in every runtime
            macs = method.multiply(tile, sums)
            if biases is not None:
                sums += biases[tile.groups, tile.filters]
            if finish is not None:
                out[...] = finish(sums, tile)
            elif sums is not out:
                out[...] = sums
        return macs

    limits = replace(limits, threads=min(limits.threads, _useful_threads(method, len(result))))
    work = tiles(len(result), method.extent, method.tile_bytes, limits)
    macs = total(compute, work, min(limits.threads, len(work)))
    if counter is not None:
        counter.macs += macs
    return result


def _useful_threads(method: Method, images: int) -> int:
    """How many threads the work is enough for, at least 1."""
    macs = math.prod(method.geometry.coarse) * method.weight.size
    work = images * (macs + MACS_PER_BYTE * method.tile_bytes(method.extent))
    return max(1, work // THREAD_WORK)
