"""Dense and grouped convolution as matrix products: (filters, depth) @ (depth, positions), a batch of groups.

``depth`` runs over (channel, *kernel), so the weight is its own left-hand side, and packing the right-hand
side copies rows of the input that are as long as the output's. Pointwise layers multiply the input in place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from convaudit.engine.geometry import Geometry
from convaudit.engine.operands import Array
from convaudit.engine.patches import packed, patches, window_size
from convaudit.engine.tiling import Extent, Tile


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

    columns  (channels, *kernel, *positions), packed or in place
    Returns  the multiply-adds executed.
    """
    groups, filters, *rest = weight.shape
    depth, positions = math.prod(rest), math.prod(out.shape[2:])
    matrix, columns = weight.reshape(groups, filters, depth), columns.reshape(groups, depth, positions)
    np.matmul(matrix, columns, out=out.reshape(groups, filters, positions))
    return int(matrix.size) * positions
