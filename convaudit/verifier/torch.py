"""Verifies a torch module's convolutions: what torch computed, re-executed by convaudit's own engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from convaudit.analyzer.costs import macs
from convaudit.records import ConvLayer, Network, Verification
from convaudit.verifier.execution import Array, Deformation, Execution
from convaudit.verifier.verdict import WORKSPACE_BYTES, judge
from convaudit.walkers.torch import real_forward
from convaudit.walkers.torch_inputs import make_inputs
from convaudit.walkers.torch_ops import ConvCall

Progress = Callable[[int], None]
"""Is told how many convolutions have been judged since the last call."""

_SEVERITY = (
    "not_executed", "not_supported", "vacuous", "exact", "within_rounding", "low_accuracy", "mismatch",
)  # fmt: skip


def verify_in_situ(
    module: nn.Module,
    network: Network,
    *,
    input_shape: Any = None,
    inputs: Any = None,
    seed: int = 0,
    workspace_bytes: int = WORKSPACE_BYTES,
    progress: Progress | None = None,
) -> tuple[Verification, ...]:
    """Judge every convolution on the activations of one real forward, as it runs.

    Only one convolution's operands are held at a time. A layer that is called several times gets the worst
    verdict of its calls.

    Returns one verdict per layer of ``network``, in order.
    Raises  UsageError, ExecutionError as ``walk_torch``.
    """
    places = {_row(layer): place for place, layer in enumerate(network.layers)}
    verdicts: dict[int, Verification] = {}

    def observe(row: ConvLayer, call: ConvCall, output: Tensor) -> None:
        place = places.get(row)
        if place is None:
            return  # control flow that depends on values took another way than in the audit
        verdict = _judge(row, call, output, workspace_bytes)
        verdicts[place] = max(verdicts.get(place, verdict), verdict, key=_severity)
        if progress is not None:
            progress(1)

    real_forward(module, make_inputs(module, input_shape, inputs), seed=seed, observer=observe)
    missing = Verification(status="not_executed", reason="the forward on these values did not run it")
    return tuple(verdicts.get(place, missing) for place in range(len(network.layers)))


def _judge(row: ConvLayer, call: ConvCall, output: Tensor, workspace_bytes: int) -> Verification:
    accounted = macs(row)
    execution = Execution(
        x=as_array(call.x),
        weight=as_array(call.weight),
        bias=None if call.bias is None else as_array(call.bias),
        output=as_array(output),
        stride=call.stride,
        padding=call.padding,
        dilation=call.dilation,
        groups=call.groups,
        transposed=call.transposed,
        output_padding=call.output_padding,
        deformation=_deformation(call),
    )
    return judge(
        execution,
        accounted_macs=accounted if isinstance(accounted, int) else None,
        workspace_bytes=workspace_bytes,
    )


def _deformation(call: ConvCall) -> Deformation | None:
    if call.offset is None:
        return None
    taps = 2 * int(np.prod(call.weight.shape[2:]))
    return Deformation(
        offset=as_array(call.offset),
        mask=None if call.mask is None else as_array(call.mask),
        offset_groups=call.offset.shape[1] // taps,
    )


def as_array(tensor: Tensor) -> Array:
    """The tensor's values as a NumPy array, without a copy where torch allows it; bfloat16 by ml_dtypes."""
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    if tensor.dtype is torch.bfloat16:
        import ml_dtypes

        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def _row(layer: ConvLayer) -> ConvLayer:
    """What the recorder knows of a layer while it runs: neither its name nor how often it will be called."""
    return replace(layer, name="", calls=1)


def _severity(verdict: Verification) -> int:
    return _SEVERITY.index(verdict.status)
