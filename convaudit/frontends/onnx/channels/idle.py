"""What of each layer does nothing: filters that are constant or unread, columns that meet nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from convaudit.frontends.onnx.channels.components import Indices
from convaudit.frontends.onnx.channels.coupled import Coupled
from convaudit.frontends.onnx.channels.coupling import Axis
from convaudit.frontends.onnx.channels.facts import Facts, Mask, along, anywhere_along
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.channels.ties.convolutions import channel_axis
from convaudit.frontends.onnx.ops import CONV_OPS
from convaudit.records import ConvLayer

_NONE = -1


@dataclass(frozen=True)
class LayerChannels:
    """A layer's channels.

    Attributes:
        layer: Its record.
        outs: The channels of its output.
        ins: Those of its input.
        out_classes: The class of each output channel; -1 where nothing is tied to it.
        in_classes: Of each input channel.
        zero: Output channels whose filters are all zero.
        constant: Output channels that have the same number everywhere, whatever the input.
        unread: Output channels on which no output of the network depends.
        idle_columns: Input channels that add nothing, in a group that has a filter that is not zero.
    """

    layer: ConvLayer
    outs: Axis
    ins: Axis
    out_classes: Indices
    in_classes: Indices
    zero: Mask
    constant: Mask
    unread: Mask
    idle_columns: Mask


def layer_channels(coupled: Coupled, facts: Facts) -> Iterator[LayerChannels]:
    """Every layer whose sizes are known and whose weight was looked at."""
    sites = {site.layer.name: site for site in coupled.sites if site.layer is not None}
    for name in (layer.name for layer in coupled.tensors.walked.network.layers):
        site = sites.get(name)
        if site is not None and name in facts.weights and (found := _channels(coupled, facts, site)):
            yield found


def _channels(coupled: Coupled, facts: Facts, site: Site) -> LayerChannels | None:
    layer = site.layer
    operands = dict(zip(CONV_OPS[site.op].roles, site.inputs, strict=False))
    x, y = operands.get("x"), site.outputs[0] if site.outputs else None
    if layer is None or x is None or y is None or layer.kernel_size is None:
        return None
    ins, outs = _weighted_inputs(layer), layer.out_channels
    ranks = [len(coupled.tensors.shape(key) or ()) for key in (x, y)]
    if not ins or not isinstance(outs, int) or not outs or not all(ranks):
        return None
    axes = Axis(x, channel_axis(layer, ranks[0])), Axis(y, channel_axis(layer, ranks[1]))
    weight = facts.weights[layer.name]
    zero = np.zeros(outs, np.bool_)
    for claim in weight.claims:
        if claim.rule == "CA101" and claim.channels is not None:
            zero[list(claim.channels)] = True
    constant = zero.copy()
    if (known := facts.known.get(y)) is not None:
        constant |= along(known, axes[1].axis, outs)[0]
    unread = ~anywhere_along(facts.read.get(y), axes[1].axis, outs) & ~constant
    return LayerChannels(
        layer=layer,
        ins=axes[0],
        outs=axes[1],
        out_classes=_classes(coupled, axes[1], outs),
        in_classes=_classes(coupled, axes[0], ins),
        zero=zero,
        constant=constant,
        unread=unread,
        idle_columns=_idle_columns(facts, layer, axes[0], ins),
    )


def _weighted_inputs(layer: ConvLayer) -> int:
    """How many input channels the weight is for: the input may have an open number; 0: not known."""
    shape = layer.weight_shape or (None, None)
    channels, groups = (shape[0], 1) if layer.transposed else (shape[1], layer.groups)
    return channels * groups if isinstance(channels, int) else 0


def _classes(coupled: Coupled, axis: Axis, size: int) -> Indices:
    found = coupled.classes.of(axis)
    return np.full(size, _NONE, np.intp) if found is None or len(found) != size else found


def _idle_columns(facts: Facts, layer: ConvLayer, axis: Axis, size: int) -> Mask:
    """Columns of zeros, and those whose channel is 0 everywhere or is folded by all that read it."""
    nonzero = facts.weights[layer.name].nonzero
    idle = ~anywhere_along(facts.needed.get(axis.key), axis.axis, size)
    known = facts.known.get(axis.key)
    if known is not None and not CONV_OPS[layer.op].quantized:
        constant, values = along(known, axis.axis, size)
        idle = idle | (constant & (values == 0))
    if nonzero is None:
        return idle
    live = nonzero.any(axis=(1, 2))
    return (idle | ~nonzero.any(axis=1).ravel()) & np.repeat(live, nonzero.shape[2])
