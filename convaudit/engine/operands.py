"""What the engine accepts: shapes, groups and dtypes, checked before any work is done."""

from __future__ import annotations

from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import numpy.typing as npt

from convaudit.arguments import whole
from convaudit.errors import ShapeError, UsageError
from convaudit.shapes import check_groups

Array: TypeAlias = npt.NDArray[Any]
ArrayLike: TypeAlias = npt.ArrayLike

ACCUMULATOR: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(np.float64): np.dtype(np.float64),
    np.dtype(np.float32): np.dtype(np.float32),
    np.dtype(np.float16): np.dtype(np.float32),
    np.dtype(ml_dtypes.bfloat16): np.dtype(np.float32),
}
"""The dtype that each floating-point input is multiplied and summed in; the result is rounded back once."""


_OPTIONAL = ("bias", "mask", "past_state")


def check_arrays(name: str, **operands: object) -> None:
    """Refuse what is not an array.

    Args:
        name: Name of the layer, for error messages.
        operands: By name; ``bias``, ``mask`` and ``past_state`` may be ``None``.

    Raises:
        UsageError: An operand is not a NumPy array.
    """
    for what, operand in operands.items():
        if not isinstance(operand, np.ndarray) and not (operand is None and what in _OPTIONAL):
            raise UsageError(f"{name}: {what} must be a NumPy array, got a {type(operand).__name__}")


def check_floating(x: Array, weight: Array, bias: Array | None, *, name: str) -> np.dtype[Any]:
    """Check the dtypes of floating-point operands.

    Args:
        x: Input.
        weight: Weight.
        bias: Bias, or ``None``.
        name: Name of the layer, for error messages.

    Returns:
        The dtype to accumulate in.

    Raises:
        UsageError: The operands do not share one of the floating-point dtypes.
    """
    check_arrays(name, x=x, weight=weight, bias=bias)
    if x.dtype not in ACCUMULATOR:
        known = ", ".join(dtype.name for dtype in ACCUMULATOR)
        raise UsageError(f"{name}: x must be one of {known}, got {x.dtype}")
    for operand, what in ((weight, "weight"), (bias, "bias")):
        if operand is not None and operand.dtype != x.dtype:
            raise UsageError(
                f"{name}: {what} must have x's dtype, got {operand.dtype.name}, x={x.dtype.name}"
            )
    return ACCUMULATOR[x.dtype]


def check_operands(
    x: Array, weight: Array, bias: Array | None, groups: int, *, transposed: bool = False, name: str
) -> tuple[int, int]:
    """Check that shapes fit.

    Args:
        x: (N, C_in, *spatial)
        weight: (C_out, C_in // groups, *kernel), transposed (C_in, C_out // groups, *kernel).
        bias: (C_out,), or ``None``.
        groups: Divides both channel counts.
        transposed: Whether the convolution is transposed.
        name: Name of the layer, for error messages.

    Returns:
        The number of output channels, and ``groups`` as an int.

    Raises:
        GroupsError: ``groups`` does not divide both channel counts.
        ShapeError: Another shape does not fit.
        UsageError: An operand is not an array, or ``groups`` is not an integer.
    """
    check_arrays(name, x=x, weight=weight, bias=bias)
    groups = whole(groups, f"{name}: groups", least=None)
    if x.ndim < 3 or weight.ndim != x.ndim:
        raise ShapeError(
            f"{name}: x must be (batch, channels, *spatial) and weight of the same rank, "
            f"got x {x.shape}, weight {weight.shape}"
        )
    if 0 in weight.shape[2:]:
        raise ShapeError(f"{name}: kernel sizes must be positive, got weight {weight.shape}")
    in_channels = x.shape[1]
    out_channels: int = weight.shape[1] * groups if transposed else weight.shape[0]
    check_groups(in_channels, out_channels, groups, layer=name)
    expected = in_channels if transposed else in_channels // groups
    actual = weight.shape[0 if transposed else 1]
    if actual != expected:
        axes = "(in, out/groups, *kernel)" if transposed else "(out, in/groups, *kernel)"
        raise ShapeError(
            f"{name}: weight must be {axes}, so {expected} where it has {actual}: "
            f"got x {x.shape}, weight {weight.shape}, groups={groups}"
        )
    if bias is not None and bias.shape != (out_channels,):
        raise ShapeError(f"{name}: bias must be ({out_channels},), got {bias.shape}")
    return out_channels, groups


def per_channel(values: Array, channels: int, rank: int, *, name: str) -> Array:
    """Bring one value for all channels, or one for each, into one shape.

    Args:
        values: One or ``channels`` values.
        channels: Number of channels.
        rank: Number of axes after that of the channels.
        name: Name of the values, for error messages.

    Returns:
        (channels, 1, ...), which broadcasts over ``rank`` axes.

    Raises:
        ShapeError: Another number of values is given.
    """
    if values.size not in (1, channels):
        raise ShapeError(f"{name} must be one value or {channels}, got {values.size}")
    return np.broadcast_to(values.reshape(-1), channels).reshape(channels, *(1 for _ in range(rank)))
