"""Convolutions of all kinds: a channel counts where its kernel is not zero, and it is not constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from onnx import helper

from convaudit.engine.operands import Array
from convaudit.formulas import Count
from convaudit.frontends.onnx.channels.compressed import unbroadcast
from convaudit.frontends.onnx.channels.facts import KnownElements, Mask, along, anywhere_along
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.channels.transfers.elementwise import evaluated
from convaudit.frontends.onnx.channels.transfers.row import Results, Transfer, Wanted, all_of, first
from convaudit.frontends.onnx.ops import CONV_OPS
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown
from convaudit.linting.weights import WeightFacts, grouped_weight
from convaudit.records import ConvLayer


@dataclass(frozen=True)
class _Channels:
    """One operand's or result's channels, constant ones with their number; integers without zero point."""

    constant: Mask  # (groups, channels a group)
    values: Array

    @property
    def zero(self) -> Mask:
        return np.asarray(self.constant & (self.values == 0))


def weight_of(site: Site) -> tuple[ConvLayer, WeightFacts]:
    """The layer of a convolution's node and its weight; Unknown is raised where it is not stored."""
    layer = site.layer
    facts = None if layer is None else site.tensors.weights.get(layer.name)
    if layer is None or facts is None or layer.layout == "reordered" or CONV_OPS[site.op].causal:
        raise Unknown
    return layer, facts


def _role(site: Site, role: str) -> int | None:
    """Index of an operand that is there."""
    roles = CONV_OPS[site.op].roles
    index = roles.index(role) if role in roles else len(site.inputs)
    return index if site.has(index) else None


def _channel_axis(layer: ConvLayer, rank: int) -> int:
    return rank - 1 if layer.layout == "channels_last" else 1


def _inputs(site: Site, layer: ConvLayer) -> _Channels:
    groups, channels = layer.groups, _in_channels(layer)
    index = _role(site, "x")
    shape, known = (site.shape(index), site.known(index)) if index is not None else (None, None)
    unknown = _Channels(
        np.zeros((groups, channels // groups), np.bool_), np.zeros((groups, channels // groups))
    )
    if known is None or shape is None:
        return unknown
    constant, values = along(known, _channel_axis(layer, len(shape)), channels)
    zero_point = _role(site, "x_zero_point")
    if zero_point is not None:
        try:
            values = values.astype(np.int64) - site.constant(zero_point).astype(np.int64).reshape(-1)
        except Unknown:
            return unknown
    return _Channels(constant.reshape(groups, -1), values.reshape(groups, -1))


def keeps_constants(layer: ConvLayer) -> bool:
    """Whether each output position meets all taps, so that a constant input gives a constant output."""
    if layer.deformable or layer.padding is None or layer.kernel_size is None:
        return False
    if any(pad > 0 for pair in layer.padding for pad in pair):
        return False
    if not layer.transposed:
        return True
    one = prod(layer.kernel_size) == 1 and all(step == 1 for step in layer.stride or (2,))
    return one and not any(layer.output_padding or ()) and not any(map(any, layer.padding))


def convolved(site: Site, weight: Array) -> Results:
    """What is known of a convolution's result.

    Args:
        site: Its node; what the weight tells is in ``site.tensors.weights``.
        weight: As the layer's ``weight_shape`` says; of integers, without their zero point.
    """
    layer, facts = weight_of(site)
    x = _inputs(site, layer)
    if facts.nonzero is None and not x.constant.any():
        return [None]
    kernels = grouped_weight(layer, weight)
    nonzero = np.ones(kernels.shape[:3], np.bool_) if facts.nonzero is None else facts.nonzero
    foldable = x.constant if keeps_constants(layer) else x.zero
    constant = ~(nonzero & ~foldable[:, None, :]).any(axis=2)
    if not constant.any():
        return [None]
    values = np.zeros(constant.shape, np.int64 if kernels.dtype.kind in "iu" else np.float64)
    adding = foldable & ~x.zero
    for group, channel in zip(*np.nonzero(adding), strict=True):
        taps = kernels[group, :, channel].reshape(kernels.shape[1], -1).astype(values.dtype)
        number = x.values[group, channel].astype(values.dtype)
        values[group] += np.where(nonzero[group, :, channel], taps.sum(axis=1) * number, 0)
    return [_finished(site, layer, constant.ravel(), values.ravel())]


def _finished(site: Site, layer: ConvLayer, constant: Mask, values: Array) -> KnownElements | None:
    """Constant sums with all that the node adds to them: bias, residual, activation, quantisation."""
    rank = len(layer.kernel_size or ()) + 2
    shape = [1] * rank
    shape[_channel_axis(layer, rank)] = -1
    bias = _role(site, "bias")
    if bias is not None:
        known = site.known(bias)
        if known is None:
            return None
        there, added = along(known, 0, len(values))
        constant, values = constant & there, values + added
    mask, values = constant.reshape(shape), values.reshape(shape)
    residual = _role(site, "residual")
    if residual is not None:
        known = site.known(residual)
        if known is None:
            return None
        mask, values = mask & known.mask, values + known.values
    if CONV_OPS[site.op].quantized:
        return KnownElements(mask, _requantized(site, values, shape))
    index = _role(site, "x")
    known_x = site.known(index) if index is not None else None
    dtype = site.tensors.element_dtype(site.outputs[0]) or (known_x.values.dtype if known_x else None)
    if dtype is None:
        raise Unknown
    return KnownElements(mask, _activated(site, values.astype(dtype)))


def _activated(site: Site, values: Array) -> Array:
    name = site.attributes.string("activation", "")
    if not name or name.lower() == "none":
        return values
    params = site.attributes.floats("activation_params")
    named = {"LeakyRelu": ("alpha",), "HardSigmoid": ("alpha", "beta"), "Relu": (), "Tanh": (), "Sigmoid": ()}
    if name == "Clip" and len(params) == 2:
        return np.clip(values, *params).astype(values.dtype)
    if name not in named or len(params) not in (0, len(named[name])):
        raise Unknown
    given: dict[str, Any] = dict(zip(named[name], params, strict=False))
    return evaluated(helper.make_node(name, ["x"], ["y"], **given), 21, [values])


def _requantized(site: Site, values: Array, shape: list[int]) -> Array:
    if _role(site, "y_scale") is None:  # ConvInteger
        return values.astype(np.int32)
    scales: list[Array] = []
    for role in ("x_scale", "w_scale", "y_scale"):
        index = _role(site, role)
        if index is None:
            raise Unknown
        scale = site.constant(index)
        scales.append(scale.reshape(shape) if scale.size > 1 else scale.reshape(()))
    index = _role(site, "y_zero_point")
    return to_eight_bits(
        values, scales, site.constant(index).ravel()[0] if index is not None else np.uint8(0)
    )


def to_eight_bits(values: Array, scales: Sequence[Array], zero: np.integer[Any]) -> Array:
    """int32 sums to 8 bits, as onnxruntime does it: one float32 factor, ties to even.

    Args:
        values: The sums.
        scales: Of both operands and of the result; they broadcast to ``values``.
        zero: The result's zero point.
    """
    x_scale, w_scale, y_scale = (scale.astype(np.float32) for scale in scales)
    limits = np.iinfo(zero.dtype)
    rounded = np.rint(values.astype(np.float32) * (x_scale * w_scale / y_scale)) + np.float32(zero)
    return np.asarray(np.clip(rounded, limits.min, limits.max).astype(zero.dtype))


def _backward(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    layer, facts = weight_of(site)
    mask = first(wanted)
    rank = len(layer.kernel_size or ()) + 2
    axis = _channel_axis(layer, rank)
    outputs = anywhere_along(mask, axis, _count(layer.out_channels)).reshape(layer.groups, -1)
    reached = (
        np.broadcast_to(
            outputs.any(axis=1, keepdims=True), (layer.groups, _in_channels(layer) // layer.groups)
        )
        if facts.nonzero is None
        else (facts.nonzero & outputs[:, :, None]).any(axis=1)
    )
    if folding:
        reached = reached & ~_foldable(site, layer)
    shape = [1] * rank
    shape[axis] = -1
    taken: list[Mask | None] = []
    for index, role in zip(range(len(site.inputs)), CONV_OPS[site.op].roles, strict=False):
        if not site.has(index):
            taken.append(None)
        elif role == "x":
            taken.append(np.asarray(reached).reshape(shape))
        elif role == "bias":
            taken.append(outputs.ravel())
        elif role == "residual":
            taken.append(unbroadcast(mask, site.shape(index)))
        else:
            taken.append(all_of(site, index) if mask.any() else None)
    return taken


def _in_channels(layer: ConvLayer) -> int:
    """What the weight is for: the input may have an open number."""
    shape = layer.weight_shape or (None, None)
    return _count(shape[0]) if layer.transposed else _count(shape[1]) * layer.groups


def _count(channels: Count | None) -> int:
    if not isinstance(channels, int):
        raise Unknown
    return channels


def _foldable(site: Site, layer: ConvLayer) -> Mask:
    """Constant inputs that the bias can take over."""
    x = _inputs(site, layer)
    if "bias" not in CONV_OPS[site.op].roles or not keeps_constants(layer) or site.in_steps:
        return x.zero
    bias = _role(site, "bias")
    key = None if bias is None else site.inputs[bias]
    return x.zero if key is not None and not site.tensors.is_stored(key) else x.constant


def ignoring(facts: WeightFacts, ignored: Mask | None) -> WeightFacts:
    """What a weight tells where some of its kernels are taken for zero: (groups, out/groups, in/groups)."""
    if ignored is None or not ignored.any():
        return facts
    return replace(facts, nonzero=~ignored if facts.nonzero is None else facts.nonzero & ~ignored)


def _visited(site: Site) -> Results:
    weight = site.weight
    return [None] if weight is None else convolved(site, weight)


CONVOLVING_OPS = dict.fromkeys(CONV_OPS, Transfer(_visited, _backward, absorbs=True))
