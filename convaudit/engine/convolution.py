"""Convolution: cut into tiles, each one matrix product per group."""

from __future__ import annotations

import numpy as np

from convaudit.engine.bands import Bands
from convaudit.engine.columns import Columns
from convaudit.engine.counting import MacCounter
from convaudit.engine.geometry import Geometry, Index, Ints, Padding, conv_geometry
from convaudit.engine.operands import Array, check_floating, check_operands
from convaudit.engine.threads import default_threads, total
from convaudit.engine.tiling import Tile, tiles

WORKSPACE_BYTES = 64 << 20


def conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    workspace_bytes: int = WORKSPACE_BYTES,
    threads: int | None = None,
    counter: MacCounter | None = None,
    name: str = "conv",
) -> Array:
    """Grouped N-dimensional convolution (cross-correlation, as in torch and ONNX).

    x        (N, C_in, *spatial), float64, float32, float16 or bfloat16, of any memory layout
    weight   (C_out, C_in // groups, *kernel_size), of x's dtype
    bias     (C_out,), of x's dtype
    padding  one integer, one per axis, one (before, after) pair per axis, "same" (the output is
             ``ceil(size/stride)`` long, an odd position of padding at the end) or "valid"
    workspace_bytes  upper limit of what is allocated beside the result
    threads  upper limit of threads; by default as many as NumPy's BLAS is set to use
    counter  is told the multiply-adds executed
    name     of the layer, for error messages
    Returns  (N, C_out, *out_spatial), dtype of ``x``; half precisions are summed in float32 and rounded once.
    Raises   GroupsError if groups does not divide both channel counts; ShapeError if shapes do not fit;
             UsageError for a dtype.
    """
    accumulator = check_floating(x, weight, bias, name=name)
    out_channels = check_operands(x, weight, bias, groups, name=name)
    geometry = conv_geometry(
        x.shape[2:], weight.shape[2:], stride=stride, padding=padding, dilation=dilation, name=name
    )
    result = np.empty((x.shape[0], out_channels, *geometry.coarse), x.dtype)
    macs = convolve(
        x, weight.astype(accumulator, copy=False), bias, geometry, groups, result, workspace_bytes, threads
    )
    if counter is not None:
        counter.macs += macs
    return result


def convolve(
    x: Array,
    weight: Array,
    bias: Array | None,
    geometry: Geometry,
    groups: int,
    result: Array,
    workspace_bytes: int = WORKSPACE_BYTES,
    threads: int | None = None,
) -> int:
    """Fill ``result``, multiplying and summing in the weight's dtype; returns the multiply-adds executed."""
    if result.size == 0:
        return 0
    threads = default_threads() if threads is None else threads
    grouped = weight.reshape(groups, len(weight) // groups, *weight.shape[1:])
    channels, filters = int(weight.shape[1]), grouped.shape[1]
    method = (Bands if channels == 1 and filters < 4 else Columns)(x, grouped, geometry)
    outputs = result.reshape(len(result), groups, filters, *geometry.coarse)
    biases = None if bias is None else bias.reshape(groups, filters, *(1 for _ in geometry.coarse))

    def compute(tile: Tile) -> int:
        index: Index = (tile.image, tile.groups, tile.filters, *method.positions(tile))
        out = outputs[index]
        sums = out if out.dtype == weight.dtype else np.empty(out.shape, weight.dtype)
        with np.errstate(all="ignore"):  # overflow and infinities are results, as in every runtime
            method.multiply(tile, sums)
            if biases is not None:
                sums += biases[tile.groups, tile.filters]
            if sums is not out:
                out[...] = sums
        return int(sums.size) * channels * geometry.taps

    work = tiles(len(x), method.extent, method.tile_bytes, threads=threads, workspace_bytes=workspace_bytes)
    return total(compute, work, min(threads, len(work)))
