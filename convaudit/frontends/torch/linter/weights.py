"""The weight of each layer, stored or computed from what is stored, and what it alone tells."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convaudit.engine.operands import Array
from convaudit.errors import ConvauditError, first_line
from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.ops import CONV_OPS, ConvCall
from convaudit.frontends.torch.verifier.evidence import as_array
from convaudit.frontends.torch.verifier.places import Places
from convaudit.frontends.torch.walker.layers import PlacedLayer
from convaudit.frontends.torch.walker.recorder import Observer
from convaudit.linting.weights import WeightFacts, examine
from convaudit.records import ConvLayer, Network

_PER_CHANNEL = (torch.per_channel_affine, torch.per_channel_symmetric)


@dataclass(frozen=True, slots=True)
class Examined:
    """What the weights of a network tell, by the layer's name, and of which nothing is known."""

    facts: Mapping[str, WeightFacts]
    notes: tuple[str, ...]


def examine_layers(
    network: Network, stored: Mapping[str, Tensor], run: Callable[[Observer], None]
) -> Examined:
    """Look at every weight once, at one after the other.

    Args:
        network: What walking the model found.
        stored: The model's tensors by name.
        run: Runs the model once on values; only called where a weight is computed from what is stored.
    """
    facts: dict[str, WeightFacts] = {}
    reasons: dict[str, str] = {}
    computed = []
    for layer in network.layers:
        if layer.weight_name is None:
            reasons[layer.name] = "its weight is computed at run time, so nothing is known of it"
        elif any(private.is_fake(tensor) or tensor.is_meta for tensor in _origins(layer, stored)):
            reasons[layer.name] = "its weight has no values (device meta), so nothing is known of it"
        elif (weight := _as_stored(layer, stored)) is None:
            computed.append(layer.name)
        else:
            bias = stored.get(layer.bias_name or "")
            facts[layer.name] = _examined(layer, weight, bias)
    if computed:
        seen = _Calls(network, frozenset(computed))
        try:
            run(seen.observe)
        except ConvauditError as error:
            why = f"its weight is computed, and the forward that would show it failed: {first_line(error)}"
            reasons |= dict.fromkeys(computed, why)
        else:
            facts |= seen.facts
            reasons |= {name: seen.reasons.get(name, _NOT_RUN) for name in computed if name not in seen.facts}
    order = [layer.name for layer in network.layers]
    return Examined(
        {name: facts[name] for name in order if name in facts},
        tuple(f"{name}: {reasons[name]}" for name in order if name in reasons),
    )


_NOT_RUN = "its weight is computed, and the forward on random values did not run it"


def _origins(layer: ConvLayer, stored: Mapping[str, Tensor]) -> list[Tensor]:
    names = {layer.weight_name, layer.bias_name, *(info.name for info in layer.stored)}
    return [tensor for name, tensor in stored.items() if name in names]


def _as_stored(layer: ConvLayer, stored: Mapping[str, Tensor]) -> Tensor | None:
    """The tensor that is the weight as it stands; None if the weight is computed from what is stored."""
    weight = stored.get(layer.weight_name or "")
    if weight is None or (isinstance(layer, PlacedLayer) and layer.computed):
        return None
    axes = CONV_OPS[layer.op].axes
    weight = weight if axes is None else weight.permute(axes["weight"])
    return weight if tuple(weight.shape) == layer.weight_shape else None


class _Calls:
    """What a forward on values shows of layers whose weight is computed."""

    def __init__(self, network: Network, names: frozenset[str]) -> None:
        self.facts: dict[str, WeightFacts] = {}
        self.reasons: dict[str, str] = {}
        self._layers = network.layers
        self._places = Places(network)
        self._names = names
        self._digests: dict[str, bytes] = {}

    def observe(self, row: ConvLayer, call: ConvCall, _output: Tensor) -> None:
        """Look at the weight of a convolution that ran."""
        place = self._places.of(row)
        if place is None or (layer := self._layers[place]).name not in self._names:
            return
        digest = hashlib.blake2b()
        for operand in (call.weight, call.bias):
            digest.update(b"" if operand is None else as_array(operand).tobytes())
        before = self._digests.setdefault(layer.name, digest.digest())
        if before != digest.digest():
            self.facts.pop(layer.name, None)
            self.reasons[layer.name] = "its weight is another one in each call, so nothing is known of it"
        elif layer.name not in self.facts:
            self.facts[layer.name] = _examined(layer, call.weight, call.bias)


def _examined(layer: ConvLayer, weight: Tensor, bias: Tensor | None) -> WeightFacts:
    row = CONV_OPS[layer.op]
    array, scale = _values(weight)
    told: dict[str, Any] = {"scale": scale}
    # an operator that can add another tensor to its result may do so
    told["residual"] = "add" in (row.fused or "") or bool(row.fused_by)
    return examine(layer, array, None if bias is None else as_array(bias), **told)


def _values(weight: Tensor) -> tuple[Array, Array | None]:
    """The weight; of a quantised one its integers without their zero points, and the scale of each filter."""
    if not weight.is_quantized:
        return as_array(weight), None
    integers = as_array(weight).astype(np.int32)
    if weight.qscheme() not in _PER_CHANNEL:
        return integers - weight.q_zero_point(), None
    axis = weight.q_per_channel_axis()
    zero = weight.q_per_channel_zero_points().numpy().astype(np.int32)
    scale = weight.q_per_channel_scales().numpy()
    return integers - zero.reshape([-1 if at == axis else 1 for at in range(weight.dim())]), scale
