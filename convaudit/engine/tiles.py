"""Cutting a convolution into tiles that stay in cache and fit the workspace, and running them on threads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from convaudit.arguments import whole
from convaudit.engine.geometry import Geometry, Index
from convaudit.engine.operands import Array
from convaudit.engine.threads import default_threads, total
from convaudit.errors import UsageError

WORKSPACE_BYTES = 64 << 20
"""What a call may allocate beside its result, unless it is told otherwise."""

THREAD_WORK = 16_000_000
"""Multiply-adds that are worth another thread: waking it takes about as long."""

MACS_PER_BYTE = 6
"""Multiply-adds in the time of moving one byte."""

CACHE_BYTES = 4 << 20
"""What a tile may work on: it stays in cache, and costs more than the calls it takes."""

MIN_POSITIONS = 128
"""Positions of a tile, at least: narrower products spend their time on rearranging the weights."""


@dataclass(slots=True)
class MacCounter:
    """Pass one as ``counter=`` and read ``macs`` afterwards; it sums over the calls it is given to.

    Each method adds what the operands of its own matrix products hold (an element of the weight's matrix
    meets every column of the other), so the number is evidence about the execution and not the accounting's
    formula again. Taps that lie on padding are multiplied by zeros and count, as in the accounting; the zeros
    beside the taps in a matrix of ``bands`` do not.
    """

    macs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many threads may work, and how much memory they may use together."""

    threads: int
    workspace_bytes: int

    @property
    def thread_bytes(self) -> int:
        """Memory for each thread."""
        return self.workspace_bytes // self.threads


class Extent(NamedTuple):
    """Sizes of a block of work: groups, filters in each group, output positions per spatial axis."""

    groups: int
    filters: int
    positions: tuple[int, ...]


class Tile(NamedTuple):
    """One block of work. Its positions are contiguous: one axis is cut, and those before it have size 1."""

    image: int
    groups: slice
    filters: slice
    positions: tuple[slice, ...]


class Tiling:
    """All tiles of a convolution, made one by one: a large one has many. Threads may share an iterator."""

    def __init__(self, images: int, whole: Extent, block: Extent) -> None:
        self._images = images
        self._sizes = (whole.groups, whole.filters, *whole.positions)
        self._steps = (block.groups, block.filters, *block.positions)

    def __len__(self) -> int:
        return self._images * math.prod(map(_ceil_divide, self._sizes, self._steps))

    def __iter__(self) -> Iterator[Tile]:
        cuts = [
            [slice(start, min(start + step, size)) for start in range(0, size, step)]
            for size, step in zip(self._sizes, self._steps, strict=True)
        ]
        return itertools.starmap(_tile, itertools.product(range(self._images), *cuts))


def tiles(images: int, whole: Extent, tile_bytes: Callable[[Extent], int], limits: Limits) -> Tiling:
    """Cut the work into equal tiles.

    Args:
        images: Number of images.
        whole: What there is to compute for one image.
        tile_bytes: Tells how many bytes a block works on.
        limits: One block for every thread fits into the workspace, unless a single position of a single
            filter is larger.

    Returns:
        All tiles of all images.
    """
    block = whole
    while tile_bytes(block) > limits.thread_bytes and (
        smaller := _halved(block, 1) or _halved_filters(block)
    ):
        block = smaller
    while tile_bytes(block) > CACHE_BYTES and (smaller := _halved(block, MIN_POSITIONS)):
        block = smaller
    while len(tiling := Tiling(images, whole, block)) < limits.threads and (
        smaller := _halved(block, MIN_POSITIONS) or _halved_filters(block)
    ):
        block = smaller
    return tiling


def _halved(block: Extent, least: int) -> Extent | None:
    """Half of the groups, or else of the first axis longer than 1 if that leaves ``least`` positions."""
    if block.groups > 1:
        return block._replace(groups=_ceil_divide(block.groups, 2))
    axis = next((axis for axis, size in enumerate(block.positions) if size > 1), None)
    if axis is None:
        return None
    half = _ceil_divide(block.positions[axis], 2)
    positions = (*block.positions[:axis], half, *block.positions[axis + 1 :])
    return block._replace(positions=positions) if math.prod(positions) >= least else None


def _halved_filters(block: Extent) -> Extent | None:
    """Half of the filters: the last resort, since every block of them packs the same patches again."""
    return block._replace(filters=_ceil_divide(block.filters, 2)) if block.filters > 1 else None


def _tile(image: int, groups: slice, filters: slice, *positions: slice) -> Tile:
    return Tile(image, groups, filters, positions)


def _ceil_divide(size: int, step: int) -> int:
    return -(-size // step)


def resolve_limits(workspace_bytes: int, threads: int | None, *, name: str) -> Limits:
    """Read the limits that a caller set.

    Args:
        workspace_bytes: What all threads together may allocate.
        threads: Upper limit of threads; ``None`` for as many as NumPy's BLAS is set to use.
        name: Name of the layer, for error messages.

    Returns:
        The limits.

    Raises:
        UsageError: A limit is not an integer, or there would be no thread.
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
    """Compute a convolution tile by tile.

    Args:
        method: How to compute a tile.
        bias: (C_out,), added to the sums.
        result: (N, C_out, *spatial), which is filled.
        limits: Limits of threads and memory.
        counter: Told the multiply-adds executed.
        finish: Maps the sums of a tile (groups, filters, *positions) to what the result shall hold; by
            default they are rounded to the result's dtype.

    Returns:
        ``result``

    Raises:
        UsageError: ``counter`` is not a ``MacCounter``.
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
