"""Exact integer convolution: ONNX ConvInteger and QLinearConv.

Products and sums of 8- and 16-bit integers are integers below 2**53, which float64 holds exactly in any order
of summation, and float32 below 2**24. So floating-point matrix products compute them without rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convaudit.engine.convolution import conv_method
from convaudit.engine.geometry import Ints, Padding, conv_geometry
from convaudit.engine.operands import Array, ArrayLike, check_operands, per_channel
from convaudit.engine.tiles import WORKSPACE_BYTES, MacCounter, Tile, execute, resolve_limits
from convaudit.errors import UsageError


def conv_integer(
    x: Array,
    weight: Array,
    *,
    x_zero_point: ArrayLike = 0,
    w_zero_point: ArrayLike = 0,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    workspace_bytes: int = WORKSPACE_BYTES,
    threads: int | None = None,
    counter: MacCounter | None = None,
    name: str = "conv_integer",
) -> Array:
    """Exact convolution of ``x - x_zero_point`` with ``weight - w_zero_point``, as in ONNX ConvInteger.

    Shifted copies of x and weight are made besides the workspace. Errors are as in ``conv``.

    Args:
        x: (N, C_in, *spatial), int8, uint8, int16 or uint16.
        weight: (C_out, C_in // groups, *kernel_size), int8, uint8, int16 or uint16.
        x_zero_point: A scalar; padding has this value.
        w_zero_point: A scalar, or one for each output channel.
        stride: As in ``conv``.
        padding: As in ``conv``.
        dilation: As in ``conv``.
        groups: As in ``conv``.
        workspace_bytes: Upper limit of what is allocated besides the result.
        threads: Upper limit of threads; by default as many as NumPy's BLAS is set to use.
        counter: Told the multiply-adds executed.
        name: Name of the layer, for error messages.

    Returns:
        (N, C_out, *out_spatial), int32; a sum beyond 32 bits wraps around, as ONNX lets accumulators do.
    """
    out_channels, groups = check_operands(x, weight, None, groups, name=name)
    geometry = conv_geometry(
        x.shape[2:], weight.shape[2:], stride=stride, padding=padding, dilation=dilation, name=name
    )
    shifted = _shifted(x, x_zero_point, 1, name=f"{name}: x")
    kernels = _shifted(weight, w_zero_point, out_channels, name=f"{name}: weight")
    method = conv_method(shifted, kernels.astype(_exact_dtype(shifted, kernels, 0)), geometry, groups)
    result = np.empty((len(x), out_channels, *geometry.coarse), np.int32)
    allowed = resolve_limits(workspace_bytes, threads, name=name)
    return execute(method, None, result, allowed, counter, finish=lambda sums, _: sums.astype(np.int64))


def conv_qlinear(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    x_scale: ArrayLike,
    x_zero_point: ArrayLike,
    w_scale: ArrayLike,
    w_zero_point: ArrayLike,
    y_scale: ArrayLike,
    y_zero_point: Array,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    workspace_bytes: int = WORKSPACE_BYTES,
    threads: int | None = None,
    counter: MacCounter | None = None,
    name: str = "conv_qlinear",
) -> Array:
    """Convolution of quantised operands to a quantised result, as in ONNX QLinearConv.

    The sum is an exact integer ``s``; the result is ``saturate(round(s * x_scale * w_scale / y_scale) +
    y_zero_point)``, scaled in float64 and rounded half to even. A runtime that scales in float32 may differ
    by one where the scaled sum lies within its rounding error of a tie. Shifted copies of x and weight are
    made besides the workspace. Errors are as in ``conv``.

    Args:
        x: (N, C_in, *spatial), int8, uint8, int16 or uint16.
        weight: (C_out, C_in // groups, *kernel_size), int8, uint8, int16 or uint16.
        bias: (C_out,) int32, quantised with scale ``x_scale * w_scale`` and zero point 0.
        x_scale: A scalar.
        x_zero_point: A scalar; padding has this value.
        w_scale: A scalar, or one for each output channel.
        w_zero_point: A scalar, or one for each output channel.
        y_scale: A scalar.
        y_zero_point: A scalar, whose dtype the result has.
        stride: As in ``conv``.
        padding: As in ``conv``.
        dilation: As in ``conv``.
        groups: As in ``conv``.
        workspace_bytes: Upper limit of what is allocated besides the result.
        threads: Upper limit of threads; by default as many as NumPy's BLAS is set to use.
        counter: Told the multiply-adds executed.
        name: Name of the layer, for error messages.

    Returns:
        (N, C_out, *out_spatial), dtype of ``y_zero_point``.
    """
    out_channels, groups = check_operands(x, weight, bias, groups, name=name)
    geometry = conv_geometry(
        x.shape[2:], weight.shape[2:], stride=stride, padding=padding, dilation=dilation, name=name
    )
    shifted = _shifted(x, x_zero_point, 1, name=f"{name}: x")
    kernels = _shifted(weight, w_zero_point, out_channels, name=f"{name}: weight")
    accumulator = _exact_dtype(shifted, kernels, 0 if bias is None else _magnitude(bias))
    method = conv_method(shifted, kernels.astype(accumulator), geometry, groups)
    target = np.iinfo(np.asarray(y_zero_point).dtype)
    x_scale, w_scale, y_scale = (np.asarray(scale, np.float64) for scale in (x_scale, w_scale, y_scale))
    scale = per_channel(w_scale, out_channels, len(geometry.coarse), name=f"{name}: w_scale")
    scale = (x_scale * scale / y_scale).reshape(groups, out_channels // groups, *scale.shape[1:])

    def requantize(sums: Array, tile: Tile) -> Array:
        scaled = sums.astype(np.float64)
        scaled *= scale[tile.groups, tile.filters]
        np.rint(scaled, out=scaled)
        scaled += y_zero_point
        return np.clip(scaled, target.min, target.max, out=scaled)

    result = np.empty((len(x), out_channels, *geometry.coarse), target.dtype)
    return execute(
        method,
        None if bias is None else bias.astype(accumulator),
        result,
        resolve_limits(workspace_bytes, threads, name=name),
        counter,
        finish=requantize,
    )


def _shifted(values: Array, zero_point: ArrayLike, channels: int, *, name: str) -> Array:
    """``values - zero_point`` in the next wider integers, with one zero point for all or for each channel."""
    if values.dtype.kind not in "iu" or values.dtype.itemsize > 2:
        raise UsageError(f"{name} must be int8, uint8, int16 or uint16, got {values.dtype.name}")
    wider = np.int16 if values.dtype.itemsize == 1 else np.int32
    shift = per_channel(np.asarray(zero_point), channels, values.ndim - 2, name=f"{name}'s zero point")
    return np.subtract(values, shift.reshape(-1, 1, *shift.shape[1:]), dtype=wider)


def _exact_dtype(x: Array, weight: Array, largest_bias: int) -> np.dtype[Any]:
    """A floating-point dtype in which no sum of products can be rounded."""
    largest = weight[:1].size * _magnitude(x) * _magnitude(weight) + largest_bias
    return np.dtype(np.float32 if largest <= 1 << 24 else np.float64)


def _magnitude(values: Array) -> int:
    return max(abs(int(values.max(initial=0))), abs(int(values.min(initial=0))))
