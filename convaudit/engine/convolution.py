"""Convolution of any rank, grouping and floating-point dtype; with carried state; and with ``groups=1``."""

from __future__ import annotations

import numpy as np

from convaudit.arguments import whole
from convaudit.engine.bands import Bands
from convaudit.engine.columns import Columns
from convaudit.engine.geometry import Geometry, Ints, Padding, conv_geometry
from convaudit.engine.operands import Array, check_arrays, check_floating, check_operands
from convaudit.engine.tiles import WORKSPACE_BYTES, MacCounter, Method, execute, resolve_limits
from convaudit.errors import ShapeError
from convaudit.shapes import check_groups

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

    Args:
        x: ``(N, C_in, *spatial)``, float64, float32, float16 or bfloat16, of any memory layout.
        weight: ``(C_out, C_in // groups, *kernel_size)``, of x's dtype.
        bias: (C_out,), of x's dtype.
        stride: One integer, or one per spatial axis.
        padding: One integer, one per axis, one (before, after) pair per axis, "same" (the output is
            ``ceil(size/stride)`` long, an odd position of padding at the end) or "valid".
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
    out_channels, groups = check_operands(x, weight, bias, groups, name=name)
    geometry = conv_geometry(
        x.shape[2:], weight.shape[2:], stride=stride, padding=padding, dilation=dilation, name=name
    )
    result = np.empty((x.shape[0], out_channels, *geometry.coarse), x.dtype)
    method = conv_method(x, weight.astype(accumulator, copy=False), geometry, groups)
    return execute(method, bias, result, resolve_limits(workspace_bytes, threads, name=name), counter)


def conv_method(x: Array, weight: Array, geometry: Geometry, groups: int) -> Method:
    """Pick the fastest method.

    Args:
        x: ``(N, C_in, *spatial)``
        weight: ``(C_out, C_in // groups, *kernel)``, in the dtype to multiply and sum in.
        geometry: Geometry of the convolution.
        groups: Divides both channel counts.

    Returns:
        ``Bands`` for depthwise kernels of many taps, otherwise ``Columns``.
    """
    out_channels, channels = weight.shape[:2]
    grouped = weight.reshape(groups, out_channels // groups, channels, *geometry.kernel)
    if channels == 1 and geometry.taps >= BAND_TAPS * (out_channels // groups):
        return Bands(x, grouped, geometry)
    return Columns(x, grouped, geometry)


def causal_conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    past_state: Array | None = None,
    *,
    workspace_bytes: int = WORKSPACE_BYTES,
    threads: int | None = None,
    counter: MacCounter | None = None,
    name: str = "causal_conv",
) -> tuple[Array, Array]:
    """Depthwise convolution along time in which every output sees only itself and the past.

    This is ONNX CausalConvWithState (opset 27), without its optional activation. The past and x are joined in
    a copy besides the workspace.

    Args:
        x: (N, C, length), dtypes as in ``conv``.
        weight: (C, 1, k), of x's dtype.
        bias: (C,), of x's dtype.
        past_state: (N, C, k - 1), what came before x; by default zeros.
        workspace_bytes: Upper limit of what is allocated besides the result.
        threads: Upper limit of threads; by default as many as NumPy's BLAS is set to use.
        counter: Told the multiply-adds executed.
        name: Name of the layer, for error messages.

    Returns:
        y (N, C, length) and the next call's past_state (N, C, k - 1), both of x's dtype.

    Raises:
        ShapeError: Shapes do not fit.
        UsageError: As in ``conv``.
    """
    check_arrays(name, x=x, weight=weight, bias=bias, past_state=past_state)
    if x.ndim != 3 or weight.ndim != 3:
        raise ShapeError(
            f"{name}: x must be (batch, channels, length) and weight (channels, 1, k), "
            f"got x {x.shape}, weight {weight.shape}"
        )
    state_shape = (*x.shape[:2], weight.shape[2] - 1)
    if past_state is None:
        past_state = np.zeros(state_shape, x.dtype)
    elif past_state.shape != state_shape or past_state.dtype != x.dtype:
        raise ShapeError(
            f"{name}: past_state must be {state_shape} {x.dtype.name}, "
            f"got {past_state.shape} {past_state.dtype.name}"
        )
    sequence = np.concatenate([past_state, x], axis=2)
    y = conv(
        sequence,
        weight,
        bias,
        groups=x.shape[1],
        workspace_bytes=workspace_bytes,
        threads=threads,
        counter=counter,
        name=name,
    )
    return y, sequence[..., x.shape[2] :].copy()


def dense_weight(weight: Array, groups: int, *, fill: Array | int = 0, name: str = "weight") -> Array:
    """The block-diagonal weight with which ``groups=1`` gives what ``weight`` gives with ``groups``.

    Args:
        weight: ``(C_out, C_in // groups, *kernel_size)``; of a transposed convolution
            ``(C_in, C_out // groups, *kernel_size)``.
        groups: Groups of the grouped convolution.
        fill: What integers have for zero: a scalar, or what broadcasts to the result.
        name: Name of the weight, for error messages.

    Returns:
        ``(C_out, C_in, *kernel_size)``, or ``(C_in, C_out, *kernel_size)``: ``groups`` times the elements,
        zero off the diagonal blocks.

    Raises:
        GroupsError: ``groups`` does not divide C_out.
        ShapeError: The weight has no channel axes.
    """
    check_arrays(name, weight=weight)
    groups = whole(groups, f"{name}: groups", least=None)
    if weight.ndim < 2:
        raise ShapeError(f"{name}: a weight is (out, in/groups, *kernel), got {weight.shape}")
    out_channels, channels, *kernel = weight.shape
    check_groups(channels * groups, out_channels, groups, layer=name)
    dense = np.zeros((groups, out_channels // groups, groups, channels, *kernel), weight.dtype)
    whole_weight = dense.reshape(out_channels, groups * channels, *kernel)
    if np.any(fill):
        whole_weight[...] = fill
    block = np.arange(groups)
    dense[block, :, block] = weight.reshape(groups, -1, channels, *kernel)
    return whole_weight
