"""Deformable convolution: ONNX DeformConv, torchvision's ``deform_conv2d``, in any rank.

Every tap reads the input where its offset points to, by n-linear interpolation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from convaudit.arguments import whole
from convaudit.engine.columns import multiply_columns
from convaudit.engine.geometry import Geometry, Ints, Padding, conv_geometry
from convaudit.engine.operands import Array, check_arrays, check_floating, check_operands
from convaudit.engine.tiles import WORKSPACE_BYTES, Extent, MacCounter, Tile, execute, resolve_limits
from convaudit.errors import GroupsError, ShapeError


def deform_conv(
    x: Array,
    weight: Array,
    offset: Array,
    bias: Array | None = None,
    mask: Array | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    offset_groups: int = 1,
    block: Sequence[slice] | None = None,
    prepare: Callable[[Array], Array] | None = None,
    workspace_bytes: int = WORKSPACE_BYTES,
    threads: int | None = None,
    counter: MacCounter | None = None,
    name: str = "deform_conv",
) -> Array:
    """Convolution whose taps read the input where ``offset`` moves them (arXiv:1703.06211, 1811.11168).

    Between positions it interpolates linearly along every axis; beyond the input there are zeros.

    Args:
        x: (N, C_in, *spatial), as in ``conv``. If it is not contiguous, it is copied besides the workspace.
        weight: (C_out, C_in // groups, *kernel_size), as in ``conv``.
        offset: (N, offset_groups * taps * rank, *out_spatial), in input positions; axes run fastest, then
            taps.
        bias: (C_out,), as in ``conv``.
        mask: (N, offset_groups * taps, *out_spatial), factors of what the taps read; by default ones.
        stride: As in ``conv``.
        padding: As in ``conv``.
        dilation: As in ``conv``.
        groups: As in ``conv``.
        offset_groups: Blocks of C_in that follow offsets of their own.
        block: The output positions to compute, of which offset and mask are; by default all.
        prepare: Makes what is read of x an operand of the weight's dtype, which x then need not have.
        workspace_bytes: Upper limit of what is allocated besides the result.
        threads: Upper limit of threads; by default as many as NumPy's BLAS is set to use.
        counter: Told the multiply-adds with the weight; interpolation does not count.
        name: Name of the layer, for error messages.

    Returns:
        (N, C_out, *out_spatial), dtype of the weight.

    Raises:
        GroupsError: ``groups`` or ``offset_groups`` does not divide the channels.
        ShapeError: Shapes do not fit.
        UsageError: As in ``conv``.
    """
    check_arrays(name, offset=offset, mask=mask)
    accumulator = check_floating(x if prepare is None else weight, weight, bias, name=name)
    out_channels, groups = check_operands(x, weight, bias, groups, name=name)
    geometry = conv_geometry(
        x.shape[2:], weight.shape[2:], stride=stride, padding=padding, dilation=dilation, name=name
    )
    offset_groups = whole(offset_groups, f"{name}: offset_groups", least=None)
    if block is not None:
        geometry = geometry.part(block)
    taps, rank = geometry.taps, len(geometry.kernel)
    check_offsets(x, offset, mask, offset_groups, (taps, *geometry.coarse), name=name)
    method = Sampling(
        np.ascontiguousarray(x),
        weight.astype(accumulator, copy=False).reshape(groups, out_channels // groups, *weight.shape[1:]),
        geometry,
        offset.reshape(len(x), offset_groups, taps, rank, *geometry.coarse),
        None if mask is None else mask.reshape(len(x), offset_groups, taps, *geometry.coarse),
        prepare,
    )
    result = np.empty((len(x), out_channels, *geometry.coarse), weight.dtype)
    return execute(method, bias, result, resolve_limits(workspace_bytes, threads, name=name), counter)


def check_offsets(
    x: Array,
    offset: Array,
    mask: Array | None,
    offset_groups: int,
    positions: tuple[int, ...],
    *,
    name: str,
) -> None:
    """Refuse offsets and masks that do not fit the taps and output positions.

    Args:
        x: (N, C_in, *spatial)
        offset: (N, offset_groups * taps * rank, *out_spatial)
        mask: (N, offset_groups * taps, *out_spatial)
        offset_groups: Blocks of C_in.
        positions: (taps, *out_spatial)
        name: Name of the layer, for error messages.

    Raises:
        GroupsError: ``offset_groups`` does not divide x's channels.
        ShapeError: Offset or mask has another shape.
    """
    taps, *spatial = positions
    if offset_groups < 1 or x.shape[1] % offset_groups:
        raise GroupsError(
            f"{name}: in_channels must be divisible by offset_groups, "
            f"got in_channels={x.shape[1]}, offset_groups={offset_groups}"
        )
    for operand, depth, what in ((offset, taps * len(spatial), "offset"), (mask, taps, "mask")):
        expected = (len(x), offset_groups * depth, *spatial)
        if operand is not None and operand.shape != expected:
            raise ShapeError(f"{name}: {what} must be {expected}, got {operand.shape}")


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
