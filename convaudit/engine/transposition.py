"""Transposed convolution: one matrix product a tile, its taps added where they fall."""

from __future__ import annotations

import numpy as np

from convaudit.engine.convolution import WORKSPACE_BYTES
from convaudit.engine.counting import MacCounter
from convaudit.engine.geometry import Ints, Padding, conv_transpose_geometry
from convaudit.engine.operands import Array, check_floating, check_operands


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
    counter: MacCounter | None = None,
    name: str = "conv_transpose",
) -> Array:
    """Grouped N-dimensional transposed convolution, as in torch and ONNX.

    x        (N, C_in, *spatial), float64, float32, float16 or bfloat16, of any memory layout
    weight   (C_in, C_out // groups, *kernel_size), of x's dtype
    bias     (C_out,), of x's dtype
    padding  positions taken away from the output; as in ``conv``, and negative ones add positions that only
             the bias reaches. "same" makes the output ``size*stride`` long.
    output_padding   positions added at the high end, computed like all others
    workspace_bytes  upper limit of what is allocated beside the result
    counter  is told the multiply-adds executed
    name     of the layer, for error messages
    Returns  (N, C_out, *out_spatial), dtype of ``x``; half precisions are summed in float32 and rounded once.
    Raises   GroupsError if groups does not divide both channel counts; ShapeError if shapes do not fit;
             UsageError for a dtype.
    """
    accumulator = check_floating(x, weight, bias, name=name)
    out_channels = check_operands(x, weight, bias, groups, transposed=True, name=name)
    geometry = conv_transpose_geometry(
        x.shape[2:],
        weight.shape[2:],
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        name=name,
    )
    result = np.zeros((x.shape[0], out_channels, *geometry.fine), accumulator)
    if bias is not None:
        result += bias.astype(accumulator).reshape(-1, *(1 for _ in geometry.fine))
    channels, filters = x.shape[1] // groups, out_channels // groups
    # (groups, filters * taps, channels): the product's rows are what each tap adds to each filter's output.
    matrix = weight.astype(accumulator, copy=False).reshape(groups, channels, -1).swapaxes(1, 2)
    rows = x.shape[2]
    row_bytes = matrix.shape[0] * matrix.shape[1] * int(np.prod(x.shape[3:])) * accumulator.itemsize
    step = max(1, min(rows, workspace_bytes // max(row_bytes, 1)))
    for image, output in zip(x, result, strict=True):
        grouped_output = output.reshape(groups, filters, *geometry.fine)
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            tile = image[:, start:stop].astype(accumulator, copy=False)
            product = np.matmul(matrix, tile.reshape(groups, channels, -1))
            added = product.reshape(groups, filters, *geometry.kernel, stop - start, *x.shape[3:])
            for tap in geometry.taps_of(start, stop):
                grouped_output[tap.fine] += added[(slice(None), slice(None), *tap.index)][tap.coarse]
            if counter is not None:
                counter.macs += product.size * channels
    return result.astype(x.dtype, copy=False)
