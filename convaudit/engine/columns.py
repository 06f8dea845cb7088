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
from convaudit.engine.patches import patches, window_size
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
        """Bytes allocated for a block: the padded window and the patches packed from it."""
        if self._is_in_place():
            return 0
        channels = block.groups * self.weight.shape[2]
        patch = self.geometry.taps * math.prod(block.positions)
        elements: int = channels * (patch + window_size(self.geometry, block.positions))
        return elements * self.weight.itemsize

    def positions(self, tile: Tile) -> tuple[slice, ...]:
        """The output positions that a tile stands for."""
        return tile.positions

    def multiply(self, tile: Tile, out: Array) -> None:
        """Write the tile into ``out`` (groups, filters, *positions), whose positions are contiguous."""
        channels = self.weight.shape[2]
        source = self.x[tile.image, tile.groups.start * channels : tile.groups.stop * channels]
        view = patches(source, self.geometry, tile.positions, self.weight.dtype)
        groups, filters = out.shape[:2]
        columns = view.reshape(groups, channels * self.geometry.taps, -1)  # packs them, unless in place
        matrix = self.weight[tile.groups, tile.filters].reshape(groups, filters, -1)
        np.matmul(matrix, columns, out=out.reshape(groups, filters, -1))

    def _is_in_place(self) -> bool:
        """Whether the patches are the input as it lies in memory: one tap on every position."""
        geometry = self.geometry
        return (
            geometry.taps == 1
            and geometry.coarse == geometry.fine
            and self.x.dtype == self.weight.dtype
            and self.x[:1, :1].flags.c_contiguous
        )
