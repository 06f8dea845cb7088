"""One convolution alone, its groups=1 twin, and whether both compute the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from convaudit.frontends.torch.timer.observed import LoneCall
from convaudit.frontends.torch.timer.stopwatch import Run
from convaudit.frontends.torch.verifier.evidence import as_array
from convaudit.judge.execution import Execution
from convaudit.judge.verdict import judge


def own_copy_of(call: LoneCall) -> LoneCall:
    """The same with a weight of its own."""
    bias = None if call.bias is None else call.bias.clone()
    return replace(call, weight=call.weight.clone(), bias=bias)


def random_input(call: LoneCall, seed: int) -> Tensor:
    """An input of its sizes, type and order in memory, standard normal; of integers zeros and ones."""
    x, generator = call.x, torch.Generator().manual_seed(seed)
    if x.dtype.is_floating_point or x.dtype.is_complex:
        values = torch.randn(x.shape, dtype=x.dtype, generator=generator)
    else:
        values = torch.randint(0, 2, x.shape, dtype=x.dtype, generator=generator)
    return torch.empty_like(x, device=call.device).copy_(values)


def dense(call: LoneCall) -> LoneCall:
    """The same function with groups=1: each group's weights on the diagonal, zeros elsewhere."""
    groups, weight = call.groups, call.weight
    rows, columns = weight.shape[0] // groups, weight.shape[1]
    shape = (weight.shape[0], columns * groups, *weight.shape[2:])
    laid_out = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
    for group in range(groups):
        own = slice(group * rows, (group + 1) * rows)
        laid_out[own, group * columns : (group + 1) * columns] = weight[own]
    format_ = torch.channels_last if _is_channels_last(weight) else torch.contiguous_format
    return replace(call, weight=laid_out.contiguous(memory_format=format_), groups=1)


def too_large(groups: int, weight_bytes: int, memory_bytes: int) -> str | None:
    """Why a weight is not made; None if it may be. A kernel holds it once more, as it wants it."""
    if 2 * weight_bytes <= memory_bytes:
        return None
    return (
        f"at groups={groups} its weight would take {2 * weight_bytes / 2**20:.3g} MiB, laid out twice: more "
        f"than the {memory_bytes / 2**20:.3g} MiB that --memory (memory_bytes) allows"
    )


def convolving(call: LoneCall, x: Tensor) -> Run:
    """What runs it on ``x``."""
    arguments: tuple[Any, ...] = (
        x,
        call.weight,
        call.bias,
        call.stride,
        call.padding,
        call.dilation,
        call.transposed,
        call.output_padding,
        call.groups,
    )
    return lambda: torch.convolution(*arguments)


def refuted(call: LoneCall, twin: LoneCall, x: Tensor) -> str | None:
    """Why the twin is not known to compute what the layer does, on one item of ``x``; None if it does."""
    item = x[:1]
    verdict = judge(
        Execution(
            x=as_array(item),
            weight=as_array(call.weight),
            bias=None if call.bias is None else as_array(call.bias),
            output=as_array(convolving(twin, item)()),
            stride=call.stride,
            padding=tuple((amount, amount) for amount in call.padding),
            dilation=call.dilation,
            groups=call.groups,
            transposed=call.transposed,
            output_padding=call.output_padding if call.transposed else None,
        )
    )
    if verdict.verified:
        return None
    why = verdict.reason.partition("; ")[0]  # without the advice to try other inputs
    return f"its groups=1 twin is not verified, so not timed: {verdict.words}, {why}"


def _is_channels_last(weight: Tensor) -> bool:
    return (
        weight.dim() == 4
        and not weight.is_contiguous()
        and weight.is_contiguous(memory_format=torch.channels_last)
    )
