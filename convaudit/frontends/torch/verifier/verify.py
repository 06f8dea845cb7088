"""Verifies a torch model's convolutions: what torch computed, re-executed by convaudit's own engine."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from convaudit.analyzer.costs import macs
from convaudit.engine.operands import Array
from convaudit.feeds import given_feeds, settled
from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.inputs import Values, make_inputs
from convaudit.frontends.torch.ops import CONV_OPS, ConvCall
from convaudit.frontends.torch.stored import Stored
from convaudit.frontends.torch.verifier.compiled import (
    CompiledCalls,
    compare_compiled,
    compiled_parts,
    with_compiled,
)
from convaudit.frontends.torch.verifier.declared import Declarations, with_declared
from convaudit.frontends.torch.walker.recorder import in_one_line
from convaudit.frontends.torch.walker.walk import run_torch, stored_tensors
from convaudit.judge.execution import Accounted, Activation, Deformation, Execution, Quantization
from convaudit.judge.problem import WORKSPACE_BYTES
from convaudit.judge.verdict import judge
from convaudit.records import ConvLayer, Network, RuntimeInfo, Verification, Verified
from convaudit.shapes import as_text

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel

Progress = Callable[[int], None]
"""Is told how many convolutions have been judged since the last call."""


def verify_in_situ(
    model: TorchModel,
    network: Network,
    *,
    input_shape: Any = None,
    inputs: Any = None,
    data: str | os.PathLike[str] | Mapping[str, Array] | None = None,
    seed: int = 0,
    workspace_bytes: int = WORKSPACE_BYTES,
    progress: Progress | None = None,
) -> Verified:
    """Judge every convolution on the activations of one real forward, as it runs.

    Only one convolution's operands are held at a time. A layer that is called several times gets the worst
    verdict of its calls, each at the size that it ran at. What ``nn.Conv*`` modules declare is held against
    the operators that ran in them, and what ``torch.compile`` made of the module against this forward.

    input_shape, inputs  as ``network`` was walked with
    data                 arrays by input name, or an .npz file of them, in place of those
    seed                 draws the values where only shapes are given

    Returns one verdict per layer of ``network``, in order.
    Raises  UsageError, ExecutionError as ``walk_torch``.
    """
    places = _Places(network)
    verdicts: dict[int, Verification] = {}
    declared, called = Declarations(), CompiledCalls()

    def attach(duplicate: nn.Module, stored: Stored) -> None:
        declared.attach(duplicate, stored)
        called.attach(duplicate)

    def observe(row: ConvLayer, call: ConvCall, output: Tensor) -> None:
        place = places.of(row)
        if place is None:
            return  # values sent the forward another way than in the audit
        declared.ran(place, call, output)
        verdict = _at_its_size(judge_call(row, call, output, workspace_bytes), row, network.layers[place])
        verdicts[place] = max(verdicts.get(place, verdict), verdict, key=lambda verdict: verdict.severity)
        if progress is not None:
            progress(1)

    arrays = None if data is None else list(given_feeds(network.inputs, data).values())
    with called.watched():
        run_torch(
            model,
            network,
            observe,
            attach=attach,
            input_shape=input_shape,
            inputs=inputs,
            arrays=arrays,
            seed=seed,
        )
    for place, findings in declared.found.items():
        verdicts[place] = with_declared(verdicts[place], findings)
    missing = Verification(status="not_executed", reason="the forward on these values did not run it")
    found = [verdicts.get(place, missing) for place in range(len(network.layers))]
    if isinstance(model, nn.Module) and (parts := compiled_parts(model) | called.parts):
        arguments = make_inputs(private.unwrapped(model), input_shape, inputs)
        comparison = compare_compiled(model, arguments, Values(seed, arrays))
        found = with_compiled(network.layers, found, parts, comparison)
    given = arrays is not None or inputs is not None
    return Verified(
        verdicts=tuple(found),
        runtime=_runtime(model, network, None if given else seed),
    )


class _Places:
    """Finds the layer of the network that a convolution is which runs on values.

    Where values decide on sizes it may run at others than in the audit; then it is the layer that has most of
    its sizes, and of several one that did not run at its own.
    """

    def __init__(self, network: Network) -> None:
        self._layers = network.layers
        self._exact = {_call_of(layer): place for place, layer in enumerate(network.layers)}
        self._alike: dict[ConvLayer, list[int]] = {}
        self._found: set[int] = set()
        for place, layer in enumerate(network.layers):
            self._alike.setdefault(_without_sizes(layer), []).append(place)

    def of(self, row: ConvLayer) -> int | None:
        place = self._exact.get(_call_of(row))
        if place is not None:
            self._found.add(place)
            return place

        def likeness(place: int) -> tuple[int, bool]:
            return _equal_sizes(self._layers[place], row), place not in self._found

        return max(self._alike.get(_without_sizes(row), []), key=likeness, default=None)


def _call_of(row: ConvLayer) -> ConvLayer:
    """What tells one call from others: not its name, nor from what its weight is computed."""
    return replace(row, name="", calls=1, weight_name=None, bias_name=None, stored_params=None, notes=())


def _without_sizes(row: ConvLayer) -> ConvLayer:
    return replace(_call_of(row), input_shape=None, output_shape=None)


def _equal_sizes(layer: ConvLayer, row: ConvLayer) -> int:
    pairs = zip(layer.input_shape or (), row.input_shape or (), strict=False)
    return sum(size == other for size, other in pairs)


def _at_its_size(verdict: Verification, row: ConvLayer, layer: ConvLayer) -> Verification:
    if row.input_shape == layer.input_shape:
        return verdict
    ran, audited = as_text(row.input_shape), as_text(layer.input_shape)
    reason = f"{verdict.reason}; the values had it run at {ran}, not at the audit's {audited}"
    return replace(verdict, reason=reason)


def verify_isolated(
    model: TorchModel,
    network: Network,
    *,
    seed: int = 0,
    workspace_bytes: int = WORKSPACE_BYTES,
    progress: Progress | None = None,
) -> Verified:
    """Judge every convolution alone, on its stored weight and random input of its audited shape.

    What ``torch.compile`` made of the module is not run.

    Returns one verdict per layer of ``network``, in order.
    """
    stored = stored_tensors(model)
    generator = torch.Generator().manual_seed(seed)
    verdicts = []
    for layer in network.layers:
        reason = _not_alone(layer, stored) or _of_integers(layer, getattr(torch, layer.dtype))
        if reason is None:
            verdicts.append(_judged_alone(layer, _alone(layer, stored, generator), workspace_bytes))
        else:
            verdicts.append(Verification(status="not_executed", reason=reason))
        if progress is not None:
            progress(1)
    return Verified(verdicts=tuple(verdicts), runtime=_runtime(model, network, seed))


def _runtime(model: TorchModel, network: Network, seed: int | None) -> RuntimeInfo:
    devices = sorted({str(tensor.device) for tensor in stored_tensors(model).values()})
    return RuntimeInfo(
        name="torch",
        version=str(torch.__version__),
        provider=None,
        threads=torch.get_num_threads(),
        optimization=None,
        device=", ".join(devices) or "cpu",
        seed=seed,
        input_shapes={tensor.name: settled(tensor.shape, {}) for tensor in network.inputs},
        input_values=network.input_values,
    )


# --- one layer alone ------------------------------------------------------------------------------------


def _not_alone(layer: ConvLayer, stored: dict[str, Tensor]) -> str | None:
    """Why a layer cannot be run outside its model; None if it can."""
    if not CONV_OPS[layer.op].alone:
        return f"{layer.op} is only run inside its model: verify it in situ"
    if not all(isinstance(size, int) for size in layer.input_shape or ()):
        return "its input's shape is symbolic: fix it"
    weight = stored.get(layer.weight_name or "")
    if weight is not None and tuple(weight.shape) != layer.weight_shape:
        return "its weight is stored with its axes in another order: verify it in situ"
    for name, given in ((layer.weight_name, True), (layer.bias_name, layer.bias)):
        if given and (name is None or name not in stored):
            return "its weight or bias is computed during the forward: verify it in situ"
        if given and name is not None and stored[name].is_meta:
            return "its weight is on the meta device and has no values"
    return None


def _judged_alone(layer: ConvLayer, call: ConvCall, workspace_bytes: int) -> Verification:
    try:
        output = _convolved(call)
    except Exception as error:  # as of a type that torch has no kernel for on this device
        return Verification(status="not_executed", reason=f"torch failed: {in_one_line(error, 120)}")
    return judge_call(layer, call, output, workspace_bytes)


def _alone(layer: ConvLayer, stored: dict[str, Tensor], generator: torch.Generator) -> ConvCall:
    dtype = getattr(torch, layer.dtype)
    weight = _dense(stored[layer.weight_name or ""]).to(dtype)
    shape = [size for size in layer.input_shape or () if isinstance(size, int)]
    x = torch.randn(shape, dtype=dtype, generator=generator).to(weight.device)
    return ConvCall(
        op=layer.op,
        x=x,
        weight=weight,
        bias=_dense(stored[layer.bias_name]).to(dtype) if layer.bias_name else None,
        stride=layer.stride or (),
        padding=layer.padding or (),
        dilation=layer.dilation or (),
        groups=layer.groups,
        transposed=layer.transposed,
        output_padding=layer.output_padding,
    )


def _dense(tensor: Tensor) -> Tensor:
    return tensor.detach().to_dense() if tensor.is_mkldnn else tensor.detach()


def _convolved(call: ConvCall) -> Tensor:
    """torch's own result; it takes one padding for both ends, so an uneven one is put on beforehand."""
    even = all(before == after for before, after in call.padding)
    x = call.x
    if not even:
        x = torch.nn.functional.pad(x, [amount for pair in reversed(call.padding) for amount in pair])
    return torch.convolution(
        x,
        call.weight,
        call.bias,
        call.stride,
        [before if even else 0 for before, _ in call.padding],
        call.dilation,
        call.transposed,
        call.output_padding or [0] * call.rank,
        call.groups,
    )


# --- one call -------------------------------------------------------------------------------------------


def judge_call(row: ConvLayer, call: ConvCall, output: Tensor, workspace_bytes: int) -> Verification:
    """The verdict on one convolution that ran.

    Args:
        row: The layer that it is.
        call: Its operands.
        output: What torch returned, axes in the order of ``call.x``'s.
        workspace_bytes: Memory that the engine may take.
    """
    if output.is_meta:
        return Verification(status="not_executed", reason="it is on the meta device and has no values")
    if call.fused not in (None, "relu"):
        return Verification(status="not_supported", reason=f"{call.op} fuses more behind it: {call.fused}")
    if call.row.not_supported is not None:
        return Verification(status="not_supported", reason=call.row.not_supported)
    if not call.weight.is_quantized and (reason := _of_integers(row, call.x.dtype)):
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
        workspace_bytes=workspace_bytes,
    )


def _of_integers(row: ConvLayer, dtype: torch.dtype) -> str | None:
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
