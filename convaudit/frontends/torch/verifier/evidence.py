"""One convolution that torch ran as evidence for the judge, and what it was run on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from convaudit.analyzer.costs import macs
from convaudit.engine.operands import Array
from convaudit.feeds import settled
from convaudit.frontends.torch.ops import ConvCall
from convaudit.frontends.torch.walker.walk import stored_tensors
from convaudit.judge.execution import Accounted, Activation, Deformation, Execution, Quantization
from convaudit.judge.verdict import judge
from convaudit.records import ConvLayer, Network, RuntimeInfo, Verification

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel


def runtime_info(model: TorchModel, network: Network, seed: int | None) -> RuntimeInfo:
    """What a verification ran on.

    Args:
        model: The model that ran.
        network: What walking it found.
        seed: That drew the inputs; None if they were given.
    """
    devices = sorted({str(tensor.device) for tensor in stored_tensors(model).values()})
    return replace(
        torch_runtime(", ".join(devices) or "cpu", seed),
        input_shapes={tensor.name: settled(tensor.shape, {}) for tensor in network.inputs},
        input_values=network.input_values,
    )


def torch_runtime(device: str, seed: int | None) -> RuntimeInfo:
    """torch as it is set now, where no model is run.

    Args:
        device: What it computes on: ``cpu``, ``cuda:0``.
        seed: That drew the operands; None if they were given.
    """
    return RuntimeInfo(
        name="torch",
        version=str(torch.__version__),
        provider=None,
        threads=torch.get_num_threads(),
        optimization=None,
        device=device,
        seed=seed,
        input_shapes={},
    )


def judge_call(row: ConvLayer, call: ConvCall, output: Tensor) -> Verification:
    """The verdict on one convolution that ran.

    Args:
        row: The layer that it is.
        call: Its operands.
        output: What torch returned, axes in the order of ``call.x``'s.
    """
    if output.is_meta:
        return Verification(status="not_executed", reason="it is on the meta device and has no values")
    if call.fused not in (None, "relu"):
        return Verification(status="not_supported", reason=f"{call.op} fuses more behind it: {call.fused}")
    if call.row.not_supported is not None:
        return Verification(status="not_supported", reason=call.row.not_supported)
    if not call.weight.is_quantized and (reason := of_integers(row, call.x.dtype)):
        return Verification(status="not_supported", reason=reason)
    count = macs(row)
    quantization = _quantization(call, output) if call.weight.is_quantized else None
    execution = Execution(
        x=as_array(call.x),
        weight=as_array(call.weight),
        bias=_bias(call, quantization),
        output=as_array(output),
        stride=call.stride,
        padding=call.padding,
        dilation=call.dilation,
        groups=call.groups,
        transposed=call.transposed,
        output_padding=call.output_padding,
        activation=Activation(name="Relu") if call.fused else None,
        quantization=quantization,
        deformation=_deformation(call),
    )
    return judge(
        execution,
        accounted=Accounted(macs=count if isinstance(count, int) else None),
    )


def of_integers(row: ConvLayer, dtype: torch.dtype) -> str | None:
    """Why an operator that sums integers is not judged; ``None`` if it sums real numbers."""
    real = dtype.is_floating_point or dtype.is_complex
    return None if real else f"it sums integers ({row.dtype}), which may wrap"


def _bias(call: ConvCall, quantization: Quantization | None) -> Array | None:
    """The bias; torch keeps that of an integer sum in real numbers, and it is wanted in the sum's steps."""
    if call.bias is None:
        return None
    bias = as_array(call.bias)
    if quantization is not None:
        bias = bias / (np.float64(quantization.x_scale or 1) * np.asarray(quantization.w_scale, np.float64))
        if torch.backends.quantized.engine == "qnnpack":
            bias = np.rint(bias)  # its kernels add an integer
    return bias


def _quantization(call: ConvCall, output: Tensor) -> Quantization:
    per_channel = call.weight.qscheme() in (torch.per_channel_affine, torch.per_channel_symmetric)
    return Quantization(
        x_scale=call.x.q_scale(),
        x_zero_point=call.x.q_zero_point(),
        w_scale=call.weight.q_per_channel_scales().numpy() if per_channel else call.weight.q_scale(),
        w_zero_point=call.weight.q_per_channel_zero_points().numpy()
        if per_channel
        else call.weight.q_zero_point(),
        y_scale=output.q_scale(),
        y_zero_point=output.q_zero_point(),
    )


def _deformation(call: ConvCall) -> Deformation | None:
    if call.offset is None:
        return None
    taps = 2 * math.prod(call.weight.shape[2:])
    return Deformation(
        offset=as_array(call.offset),
        mask=None if call.mask is None else as_array(call.mask),
        offset_groups=call.offset.shape[1] // taps,
    )


def as_array(tensor: Tensor) -> Array:
    """The tensor's values, without a copy where torch allows it; bfloat16 as ml_dtypes has it."""
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    if tensor.dtype is torch.bfloat16:
        import ml_dtypes

        halves: Array = tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        return halves
    if tensor.is_mkldnn:
        tensor = tensor.to_dense()
    values: Array = (tensor.int_repr() if tensor.is_quantized else tensor).numpy()
    return values
