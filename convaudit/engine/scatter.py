"""Transposed convolution as matrix products, (filters * taps, channels) @ (channels, positions), added up.

Row (filter, tap) of a product is what every input position adds to that filter's output through that tap. One
block computes whole output planes, so no two threads add to the same position.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from convaudit.engine.geometry import Geometry
from convaudit.engine.operands import Array
from convaudit.engine.tiling import Extent, Limits, Tile, tiles


@dataclass(frozen=True, slots=True)
class Scatter:
    """Multiplies ``x`` (N, C_in, *spatial) by ``weight`` (groups, channels, filters, *kernel)."""

    x: Array
    weight: Array
    geometry: Geometry
    run_bytes: int  # upper limit for the operands and the product of one run of positions

    @property
    def extent(self) -> Extent:
        """What there is to compute for one image: planes that are not cut."""
        return Extent(self.weight.shape[0], self.weight.shape[2], ())

    def tile_bytes(self, block: Extent) -> int:
        """Bytes that a block works on: output planes, and one run of positions."""
        planes = block.groups * block.filters * math.prod(self.geometry.fine)
        return planes * self.weight.itemsize + self.run_bytes

    def positions(self, tile: Tile) -> tuple[slice, ...]:
        """No slices: whole planes."""
        return tile.positions

    def multiply(self, tile: Tile, out: Array) -> int:
        """Write the tile into ``out`` (groups, filters, *fine); returns the multiply-adds executed."""
        groups, filters = out.shape[:2]
        channels, taps = int(self.weight.shape[1]), self.geometry.taps
        source = self.x[tile.image, tile.groups.start * channels : tile.groups.stop * channels]
        weight = self.weight[tile.groups, :, tile.filters].reshape(groups, channels, filters * taps)
        position_bytes = groups * (channels + filters * taps) * weight.itemsize
        runs = tiles(
            1,
            Extent(1, 1, self.geometry.coarse),
            lambda block: position_bytes * math.prod(block.positions),
            Limits(threads=1, workspace_bytes=self.run_bytes),
        )
        out[...] = 0
        macs = 0
        for run in runs:
            part = source[(slice(None), *run.positions)]
            columns = part.astype(weight.dtype, copy=False).reshape(groups, channels, -1)
            product = np.matmul(weight.swapaxes(1, 2), columns)
            by_tap = product.reshape(groups, filters, *self.geometry.kernel, *part.shape[1:])
            for tap in self.geometry.taps_of(run.positions):
                out[tap.fine] += by_tap[(slice(None), slice(None), *tap.index)][tap.coarse]
            macs += int(weight.size) * int(columns.shape[-1])
        return macs
