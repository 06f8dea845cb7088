"""Cutting a convolution into tiles that stay in cache, fit the workspace and keep every thread busy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

CACHE_BYTES = 4 << 20  # what a tile may work on: it stays in cache, and costs more than the calls it takes
MIN_POSITIONS = 128  # narrower products spend their time on rearranging the weights


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
    """Equal tiles of ``whole``, for every image.

    ``tile_bytes`` tells what a block works on. One block for every thread fits into the workspace, unless
    a single position of a single filter is larger.
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
