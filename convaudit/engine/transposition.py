"""Transposed convolution, with its padding and output padding."""

from __future__ import annotations

import numpy as np

from convaudit.engine.counting import MacCounter
from convaudit.engine.execution import WORKSPACE_BYTES, execute, resolve_limits
from convaudit.engine.geometry import Ints, Padding, conv_transpose_geometry
from convaudit.engine.operands import Array, check_floating, check_operands
from convaudit.engine.scatter import Scatter

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

    x        (N, C_in, *spatial), float64, float32, float16 or bfloat16, of any memory layout
    weight   (C_in, C_out // groups, *kernel_size), of x's dtype
    bias     (C_out,), of x's dtype
    padding  positions taken away from the output; as in ``conv``, and negative ones add positions that only
             the bias reaches. "same" makes the output ``size*stride`` long.
    output_padding   positions added at the high end, computed like all others
    workspace_bytes  upper limit of what is allocated beside the result
    threads  upper limit of threads; by default as many as NumPy's BLAS is set to use
    counter  is told the multiply-adds executed
    name     of the layer, for error messages
    Returns  (N, C_out, *out_spatial), dtype of ``x``; half precisions are summed in float32 and rounded once.
    Raises   GroupsError if groups does not divide both channel counts; ShapeError if shapes do not fit;
             UsageError for a dtype.
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
