"""Deformable patches: every tap reads the input where its offset points to, by n-linear interpolation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from convaudit.engine.columns import multiply_columns
from convaudit.engine.geometry import Geometry
from convaudit.engine.operands import Array
from convaudit.engine.tiling import Extent, Tile


@dataclass(frozen=True, slots=True)
class Sampling:
    """Multiplies what the taps sample from ``x`` by ``weight``."""

    x: Array  # (N, C_in, *spatial), contiguous
    weight: Array  # (groups, filters, channels, *kernel)
    geometry: Geometry
    offset: Array  # (N, offset_groups, taps, rank, *positions), in input positions
    mask: Array | None  # (N, offset_groups, taps, *positions)
    prepare: Callable[[Array], Array] | None = None  # makes what is read of x an operand

    @property
    def extent(self) -> Extent:
        """What there is to compute for one image."""
        return Extent(self.weight.shape[0], self.weight.shape[1], self.geometry.coarse)

    def tile_bytes(self, block: Extent) -> int:
        """Bytes that a block works on: the output, the patches four times, coordinates and their weights."""
        count = math.prod(block.positions)
        channels = block.groups * int(self.weight.shape[2])
        values = count * (block.groups * block.filters + 4 * channels * self.geometry.taps)
        coordinates = count * self.geometry.taps * (3 * len(self.geometry.kernel) + 4)
        return values * self.weight.itemsize + coordinates * 8

    def positions(self, tile: Tile) -> tuple[slice, ...]:
        """The output positions that a tile stands for."""
        return tile.positions

    def multiply(self, tile: Tile, out: Array) -> int:
        """Write the tile into ``out`` (groups, filters, *positions); returns the multiply-adds executed."""
        channels = self.weight.shape[2]
        first, end = tile.groups.start * channels, tile.groups.stop * channels
        columns = np.empty((end - first, self.geometry.taps, *out.shape[2:]), self.weight.dtype)
        shared = self.x.shape[1] // self.offset.shape[1]  # channels that follow the same offsets
        for group in range(first // shared, -(-end // shared)):
            start, stop = max(group * shared, first), min((group + 1) * shared, end)
            sampled = self._sample(self.x[tile.image, start:stop], tile, group)
            columns[start - first : stop - first] = sampled
        return multiply_columns(self.weight[tile.groups, tile.filters], columns, out)

    def _sample(self, source: Array, tile: Tile, group: int) -> Array:
        """(channels, taps, *positions): ``source`` (channels, *spatial) under every tap of the tile."""
        coordinates = self._coordinates(tile, group)
        low = np.floor(coordinates)
        flat = source.reshape(len(source), -1)
        total = np.zeros((len(source), *coordinates.shape[1:]), self.weight.dtype)
        for corner in itertools.product((0, 1), repeat=len(self.geometry.kernel)):
            index, share, inside = np.zeros(low.shape[1:], np.intp), np.ones(low.shape[1:]), np.bool_(True)
            for side, size, floor, exact in zip(corner, self.geometry.fine, low, coordinates, strict=True):
                at = floor + side
                within = (at >= 0) & (at < size)
                index = index * size + np.where(within, at, 0).astype(np.intp)
                share *= 1 - abs(exact - at)
                inside = inside & within
            read = flat[:, index] if self.prepare is None else self.prepare(flat[:, index])
            total += np.where(inside, read, 0) * share.astype(total.dtype)
        if self.mask is not None:
            total *= self.mask[tile.image, group][(slice(None), *tile.positions)]
        return total

    def _coordinates(self, tile: Tile, group: int) -> Array:
        """Input positions (rank, taps, *positions) that the taps read, in float64."""
        geometry, rank = self.geometry, len(self.geometry.kernel)
        offset = np.moveaxis(self.offset[tile.image, group], 1, 0)
        coordinates: Array = offset[(slice(None), slice(None), *tile.positions)].astype(np.float64)
        taps = np.indices(geometry.kernel).reshape(rank, geometry.taps)
        for axis, part in enumerate(tile.positions):
            reach = np.arange(part.start, part.stop) * geometry.stride[axis] - geometry.before[axis]
            coordinates[axis] += reach.reshape(-1, *(1 for _ in range(rank - 1 - axis)))
            coordinates[axis] += (taps[axis] * geometry.dilation[axis]).reshape(-1, *(1 for _ in range(rank)))
        return coordinates
