"""Causal depthwise convolution with carried state: ONNX CausalConvWithState (opset 27)."""

from __future__ import annotations

import numpy as np

from convaudit.engine.convolution import conv
from convaudit.engine.counting import MacCounter
from convaudit.engine.execution import WORKSPACE_BYTES
from convaudit.engine.operands import Array, check_arrays
from convaudit.errors import ShapeError


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

    x           (N, C, length), dtypes as in ``conv``
    weight      (C, 1, k), of x's dtype
    bias        (C,), of x's dtype
    past_state  (N, C, k - 1): what came before x, by default zeros
    Other arguments and errors as in ``conv``. The past and x are joined in a copy beside the workspace. The
    operator's optional activation is the caller's.
    Returns     y (N, C, length) and the next call's past_state (N, C, k - 1), both of x's dtype
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
