"""The convolutions of one run of a model: which layer each is, and what it takes to run it alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.ops import ConvCall
from convaudit.frontends.torch.verifier.places import Places
from convaudit.frontends.torch.walker.walk import run_torch
from convaudit.records import ConvLayer, Network

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel

ALONE = ("aten.convolution", "aten._convolution")
"""What any module's convolution is, and a traced one's: ``torch.convolution`` runs it alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoneCall:
    """A convolution without its input's values."""

    x: Tensor  # on the meta device: sizes, type and order in memory
    device: torch.device
    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    transposed: bool
    output_padding: tuple[int, ...]

    @property
    def key(self) -> tuple[Any, ...]:
        """What decides how long it takes, however many layers are like that."""
        like = (self.x, self.weight)
        tensors = tuple((tuple(t.shape), t.stride(), str(t.dtype)) for t in like)
        return (
            *tensors,
            str(self.device),
            self.bias is not None,
            *(self.stride, self.padding, self.dilation, self.groups, self.transposed, self.output_padding),
        )


@dataclass(slots=True)
class Observed:
    """What one run told.

    Attributes:
        order: The layer's place in the network of each convolution, in the order in which they ran; None: no
            layer is like it.
        lone_calls: The convolution of a layer by its place.
        reasons: Why a layer cannot be run alone, by its place.
        devices: Where convolutions computed.
    """

    order: list[int | None] = field(default_factory=list)
    lone_calls: dict[int, LoneCall] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    devices: set[torch.device] = field(default_factory=set)


def observe(
    model: TorchModel, network: Network, called_with: Mapping[str, Any], arrays: Any, seed: int
) -> Observed:
    """Run the model once, watched.

    Args:
        model: The model that was walked.
        network: What walking it found.
        called_with: ``input_shape`` and ``inputs`` of its forward.
        arrays: NumPy arrays in the order of its inputs, in place of those.
        seed: Draws the values where only shapes are given.

    Raises:
        UsageError: The inputs cannot be used.
        ExecutionError: The forward fails.
    """
    observed, places = Observed(), Places(network)
    known: dict[tuple[Any, ...], LoneCall] = {}  # equal ones share their weight, so that it is held once

    def told(row: ConvLayer, call: ConvCall, _output: Tensor) -> None:
        place = places.of(row)
        observed.order.append(place)
        observed.devices.add(call.x.device)
        if place is None or place in observed.lone_calls or place in observed.reasons:
            return
        reason = _not_alone(call)
        if reason is None:
            lone = _lone_call(call)
            observed.lone_calls[place] = known.setdefault(lone.key, lone)
        else:
            observed.reasons[place] = reason

    run_torch(model, network, told, **called_with, arrays=arrays, seed=seed)
    return observed


def _not_alone(call: ConvCall) -> str | None:
    """Why a convolution is only timed in the model; None if it can be called alone."""
    if call.op not in ALONE:
        return f"{call.op} is only timed in the model"
    if call.x.layout is not torch.strided or call.weight.layout is not torch.strided:
        return f"operands of the layout {call.x.layout} are only timed in the model"
    if private.is_fake(call.x) or call.x.is_meta:
        return "it is on the meta device and has no values"
    if call.weight.dtype != call.x.dtype:
        return f"a weight of {call.weight.dtype} with an input of {call.x.dtype} is only timed in the model"
    return None


def _lone_call(call: ConvCall) -> LoneCall:
    return LoneCall(
        x=torch.empty_like(call.x, device="meta"),
        device=call.x.device,
        weight=call.weight.detach(),
        bias=None if call.bias is None else call.bias.detach(),
        stride=call.stride,
        padding=tuple(before for before, _ in call.padding),
        dilation=call.dilation,
        groups=call.groups,
        transposed=call.transposed,
        output_padding=call.output_padding or (0,) * call.rank,
    )
