"""Transposed convolution as matrix products, (filters * taps, channels) @ (channels, positions), added up.

Row (filter, tap) of a product is what every input position adds to that filter's output through that tap. One
block computes whole output planes, so no two threads add to the same position.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from convaudit.engine.geometry import Geometry, Ints, Padding, conv_transpose_geometry
from convaudit.engine.operands import Array, check_floating, check_operands
from convaudit.engine.tiles import (
    WORKSPACE_BYTES,
    Extent,
    Limits,
    MacCounter,
    Tile,
    execute,
    resolve_limits,
    tiles,
)

RUN_BYTES = 4 << 20
"""Products of a run of positions that stay in the last-level cache until they have been added up."""


def conv_transpose(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    dilation: Ints = 1,
    groups: int = 1,
    workspace_bytes: int = WORKSPACE_BYTES,
    threads: int | None = None,
    counter: MacCounter | None = None,
    name: str = "conv_transpose",
) -> Array:
    """Grouped N-dimensional transposed convolution, as in torch and ONNX.

    Args:
        x: ``(N, C_in, *spatial)``, float64, float32, float16 or bfloat16, of any memory layout.
        weight: ``(C_in, C_out // groups, *kernel_size)``, of x's dtype.
        bias: (C_out,), of x's dtype.
        stride: One integer, or one per spatial axis.
        padding: Positions taken away from the output; forms as in ``conv``. Negative numbers add positions
            that only the bias reaches. "same" makes the output ``size*stride`` long.
        output_padding: Positions added at the high end, computed like all others.
        dilation: One integer, or one per spatial axis.
        groups: Blocks of channels that are convolved independently.
        workspace_bytes: Upper limit of what is allocated besides the result.
        threads: Upper limit of threads; by default as many as NumPy's BLAS is set to use.
        counter: Told the multiply-adds executed.
        name: Name of the layer, for error messages.

    Returns:
        ``(N, C_out, *out_spatial)``, dtype of ``x``; half precisions are summed in float32 and rounded once.

    Raises:
        GroupsError: ``groups`` does not divide both channel counts.
        ShapeError: Shapes do not fit.
        UsageError: A dtype is none of those named above.
    """
    accumulator = check_floating(x, weight, bias, name=name)
    out_channels, groups = check_operands(x, weight, bias, groups, transposed=True, name=name)
    geometry = conv_transpose_geometry(
        x.shape[2:],
        weight.shape[2:],
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        name=name,
    )
    result = np.empty((x.shape[0], out_channels, *geometry.fine), x.dtype)
    grouped = weight.astype(accumulator, copy=False).reshape(groups, x.shape[1] // groups, *weight.shape[1:])
    allowed = resolve_limits(workspace_bytes, threads, name=name)
    method = Scatter(x, grouped, geometry, run_bytes=min(allowed.thread_bytes // 2, RUN_BYTES))
    return execute(method, bias, result, allowed, counter)


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
