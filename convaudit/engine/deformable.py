"""Deformable convolution: ONNX DeformConv, torchvision's ``deform_conv2d``, in any rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from convaudit.arguments import whole
from convaudit.engine.counting import MacCounter
from convaudit.engine.execution import WORKSPACE_BYTES, execute, resolve_limits
from convaudit.engine.geometry import Ints, Padding, conv_geometry
from convaudit.engine.operands import Array, check_arrays, check_floating, check_operands
from convaudit.engine.sampling import Sampling
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

    x       (N, C_in, *spatial), weight and bias as in ``conv``
    offset  (N, offset_groups * taps * rank, *out_spatial), in input positions; axes run fastest, then taps
    mask    (N, offset_groups * taps, *out_spatial), factors of what the taps read; by default ones
    offset_groups  C_in is split into so many blocks that follow offsets of their own
    block   the output positions to compute, which offset and mask are of; by default all
    prepare makes what is read of x an operand of the weight's dtype, which x then need not have
    counter        is told the multiply-adds with the weight; interpolation does not count
    Other arguments and errors as in ``conv``. An x that is not contiguous is copied beside the workspace.
    Returns (N, C_out, *out_spatial), dtype of ``x``
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
    """Refuse offsets and masks that are not those of these taps and output positions, ``(taps, *spatial)``.

    Raises  GroupsError if offset_groups does not divide x's channels; ShapeError for another shape.
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
