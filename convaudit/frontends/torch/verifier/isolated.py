"""Judges each convolution of a torch model alone, outside of the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from convaudit.frontends.torch.ops import CONV_OPS, ConvCall
from convaudit.frontends.torch.verifier.evidence import judge_call, of_integers, runtime_info
from convaudit.frontends.torch.walker.recorder import in_one_line
from convaudit.frontends.torch.walker.walk import stored_tensors
from convaudit.records import ConvLayer, Network, Verification, Verified

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel


def verify_isolated(
    model: TorchModel,
    network: Network,
    *,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Verified:
    """Judge every convolution alone, on its stored weight and random input of its audited shape.

    What ``torch.compile`` made of the module is not run.

    Args:
        model: The model that was walked.
        network: What walking it found.
        seed: Draws the inputs.
        progress: Is told how many convolutions have been judged since the last call.

    Returns:
        One verdict per layer of ``network``, in order.
    """
    stored = stored_tensors(model)
    generator = torch.Generator().manual_seed(seed)
    verdicts = []
    for layer in network.layers:
        reason = _not_alone(layer, stored) or of_integers(layer, getattr(torch, layer.dtype))
        if reason is None:
            verdicts.append(_judged_alone(layer, _alone(layer, stored, generator)))
        else:
            verdicts.append(Verification(status="not_executed", reason=reason))
        if progress is not None:
            progress(1)
    return Verified(verdicts=tuple(verdicts), runtime=runtime_info(model, network, seed))


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


def _judged_alone(layer: ConvLayer, call: ConvCall) -> Verification:
    try:
        output = _convolved(call)
    except Exception as error:  # as of a type that torch has no kernel for on this device
        return Verification(status="not_executed", reason=f"torch failed: {in_one_line(error, 120)}")
    return judge_call(layer, call, output)


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
