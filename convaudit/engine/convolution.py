"""Convolution of any rank, grouping and floating-point dtype."""

from __future__ import annotations

import numpy as np

from convaudit.engine.bands import Bands
from convaudit.engine.columns import Columns
from convaudit.engine.counting import MacCounter
from convaudit.engine.execution import WORKSPACE_BYTES, Method, execute, resolve_limits
from convaudit.engine.geometry import Geometry, Ints, Padding, conv_geometry
from convaudit.engine.operands import Array, check_floating, check_operands

BAND_TAPS = 12
"""Taps for each filter of a channel from which on bands are faster than packing every patch."""


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
    out_channels, groups = check_operands(x, weight, bias, groups, name=name)
    geometry = conv_geometry(
        x.shape[2:], weight.shape[2:], stride=stride, padding=padding, dilation=dilation, name=name
    )
    result = np.empty((x.shape[0], out_channels, *geometry.coarse), x.dtype)
    method = conv_method(x, weight.astype(accumulator, copy=False), geometry, groups)
    return execute(method, bias, result, resolve_limits(workspace_bytes, threads, name=name), counter)


def conv_method(x: Array, weight: Array, geometry: Geometry, groups: int) -> Method:
    """How to convolve ``x``, multiplying and summing in the weight's dtype."""
    out_channels, channels = weight.shape[:2]
    grouped = weight.reshape(groups, out_channels // groups, channels, *geometry.kernel)
    if channels == 1 and geometry.taps >= BAND_TAPS * (out_channels // groups):
        return Bands(x, grouped, geometry)
    return Columns(x, grouped, geometry)
