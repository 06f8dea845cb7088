"""Depthwise convolution as matrix products with a banded Toeplitz matrix.

With one channel a group there is no depth to sum over, and a sum over taps alone is bound by memory. So
``width`` neighbours along the last axis are computed at once: they read one run of input, and the matrix that
maps the run to the outputs holds the kernel once a column, shifted by the stride. That multiplies by zeros
(they are not counted), and in exchange packs each run once instead of each neighbour's own patch, writes the
output in place, and does the work at the speed of a matrix product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convaudit.engine.columns import Columns, packed, patches, scratch, window_size
from convaudit.engine.geometry import Geometry
from convaudit.engine.operands import Array
from convaudit.engine.tiles import Extent, Tile

WIDTH = 16
"""Neighbours computed at once, about: fewer pack more, more multiply by more zeros."""


@dataclass(frozen=True)
class Bands:
    """Multiplies tiles of ``x`` (N, C, *spatial) by ``weight`` (C, filters, 1, *kernel)."""

    x: Array
    weight: Array
    geometry: Geometry

    @cached_property
    def width(self) -> int:
        """Neighbours computed at once: a divisor of the row near WIDTH, or else WIDTH and a ragged end."""
        row = self.geometry.coarse[-1]
        divisors = [width for width in range(WIDTH // 2 + 1, WIDTH * 3 // 2) if row % width == 0]
        return min(divisors, key=lambda width: abs(width - WIDTH), default=min(row, WIDTH))

    @cached_property
    def wide(self) -> Geometry:
        """Geometry in which ``width`` neighbours are one position."""
        return self.geometry.banded(self.width)

    @property
    def extent(self) -> Extent:
        """What there is to compute for one image, in wide positions."""
        return Extent(self.weight.shape[0], self.weight.shape[1], self.wide.coarse)

    def tile_bytes(self, block: Extent) -> int:
        """Bytes that a block works on: the output, the input window, the runs of it, the Toeplitz matrix."""
        count = math.prod(block.positions)
        runs = self.wide.taps * count + window_size(self.wide, block.positions)
        matrix = block.filters * self.wide.taps * self.width
        output = block.filters * count * self.width
        return block.groups * (runs + matrix + output) * self.weight.itemsize

    def positions(self, tile: Tile) -> tuple[slice, ...]:
        """The output positions that a tile's wide positions stand for."""
        *leading, last = tile.positions
        stop = min(last.stop * self.width, self.geometry.coarse[-1])
        return (*leading, slice(last.start * self.width, stop))

    def multiply(self, tile: Tile, out: Array) -> int:
        """Write the tile into ``out`` (C, filters, *positions); returns the multiply-adds executed."""
        channels, filters = out.shape[:2]
        view = patches(self.x[tile.image, tile.groups], self.wide, tile.positions, self.weight.dtype)
        rank = len(tile.positions)
        by_position = view.transpose(0, *range(rank + 1, 2 * rank + 1), *range(1, rank + 1))
        runs = packed(by_position).reshape(channels, 1, -1, self.wide.taps)
        matrix = self._toeplitz(self.weight[tile.groups, tile.filters, 0])
        if out.shape[-1] % self.width == 0:
            np.matmul(runs, matrix, out=out.reshape(channels, filters, -1, self.width))
        else:
            product = np.matmul(runs, matrix).reshape(*out.shape[:-1], -1)
            out[...] = product[..., : out.shape[-1]]
        if not np.isfinite(out.sum()):  # infinity times a zero of the matrix is NaN: do without those zeros
            plain = Columns(self.x, self.weight, self.geometry)
            return plain.multiply(tile._replace(positions=self.positions(tile)), out)
        full, rest = divmod(out.shape[-1], self.width)
        row = full * int(self._taps_of_columns.sum()) + int(self._taps_of_columns[:rest].sum())
        return int(out.size // out.shape[-1] * row)

    @cached_property
    def _taps_of_columns(self) -> Array:
        """How many taps each column of the matrix really holds: its zeros are multiplied, but not counted."""
        ones = np.ones((1, 1, *self.geometry.kernel), self.weight.dtype)
        counts: Array = np.count_nonzero(self._toeplitz(ones)[0, 0], axis=0)
        return counts

    def _toeplitz(self, kernels: Array) -> Array:
        """(C, filters, taps of a wide position, width) from kernels (C, filters, *kernel)."""
        matrix = scratch("bands", (*kernels.shape[:2], *self.wide.kernel, self.width), kernels.dtype)
        matrix[...] = 0
        *outer, along, across = matrix.strides
        band = as_strided(
            matrix,
            (*matrix.shape[:-2], self.width, self.geometry.kernel[-1]),
            (*outer, along * self.geometry.stride[-1] + across, along * self.geometry.dilation[-1]),
        )
        band[...] = kernels[..., np.newaxis, :]
        return matrix.reshape(*kernels.shape[:2], self.wide.taps, self.width)
