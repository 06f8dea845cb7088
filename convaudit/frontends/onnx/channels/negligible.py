"""Kernels whose products drown in the rounding of the sums that they enter, whatever the input.

A filter gives sums of n terms, ``y = b + sum_c sum_t w[c,t]*x[c,t]``. Let M be at most the sum of the terms'
absolute values at each position, and D at least what the products of some channels add to it there. A
runtime's sum differs from the exact one by up to ``gamma(n)*M``, ``gamma(n) = n*u/(1-n*u)``, u the unit
roundoff of the format that it sums in (Higham 2002, "Accuracy and Stability of Numerical Algorithms", section
4.2): each of the n additions may err by ``u*M``. If ``D <= u*M``, leaving those products out changes the sum
by no more than one of these roundings may. So it is within rounding to take their kernels for zero, and a
filter of which then nothing is left for the constant b.

Here M is ``|b|``, and in a layer without padding also what its products are at least. D is the sum over those
channels of ``|w[c]|_1`` times the largest magnitude that the channel's activation may have. Both come from
bounds that hold for every input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from convaudit.engine.operands import Array
from convaudit.frontends.onnx.channels.bounds import Bounds
from convaudit.frontends.onnx.channels.facts import Facts, Mask, along
from convaudit.frontends.onnx.channels.intervals import SLACK, UNBOUNDED, ZERO, Ends, Interval, tidy
from convaudit.frontends.onnx.channels.sites import GraphTensors
from convaudit.frontends.onnx.ops import CONV_OPS
from convaudit.frontends.onnx.verifier.operands import operands
from convaudit.frontends.onnx.walker import Walked
from convaudit.judge.rounding import accumulator, unit_roundoff
from convaudit.linting.weights import grouped_weight
from convaudit.records import ConvLayer

_SUMMED = ("float16", "bfloat16", "float32", "float64")
_ELEMENTS = 2**20  # of a weight that are looked at together
_MARGIN = 1 - 2.0**-10  # for the rounding of what is calculated here, in float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Negligible:
    """What may be left out of a network's sums.

    Attributes:
        kernels: Which ones, (groups, out/groups, in/groups) by the layer's name; none that is zero, and no
            layer without any.
        shares: By layer, what they add to a sum together, relative to the sum of its terms' absolute values,
            is at most this.
    """

    kernels: Mapping[str, Mask] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)


def certified(walked: Walked, facts: Facts) -> Negligible:
    """Kernels that are negligible on every input.

    Args:
        walked: The model.
        facts: What is known of its tensors.

    Raises:
        LoadError: Weights are missing.
    """
    search = _Search(walked, facts)
    search.bounds.find()
    return Negligible(kernels=search.found, shares=search.shares)


class _Search:
    """Goes from layer to layer with the bounds."""

    def __init__(self, walked: Walked, facts: Facts) -> None:
        self.found: dict[str, Mask] = {}
        self.shares: dict[str, float] = {}
        self._facts = facts
        self._walked = walked
        self._tensors = tensors = GraphTensors(walked, facts.known)
        self._stored = tensors.stored
        self.bounds = Bounds(tensors, self._layer)

    def _layer(self, layer: ConvLayer, x: Interval) -> Interval:
        if not x.bounded or layer.name not in self._facts.weights or not is_plain_sum(layer):
            return UNBOUNDED
        if not isinstance(layer.in_channels, int):
            return UNBOUNDED
        axis = -1 if layer.layout == "channels_last" else 1
        zeros, line = self._zeros(layer, axis), x.along(axis, layer.in_channels)
        if self._tells_nothing(layer, line, zeros):
            return UNBOUNDED
        # at the borders a tap meets zeros, or a transposed convolution has none
        everywhere = not layer.transposed and not any(map(any, layer.padding or ((1, 1),)))
        weight = self._stored.weight(layer)
        bias = self._stored.bias(layer) if layer.name in self._facts.biased else None
        if weight is None or not weight.size or (bias is not None and bias.shape != (layer.out_channels,)):
            return UNBOUNDED
        sums = _Sums(layer, line if everywhere else line.joined(ZERO))
        ignored, output = sums.of(grouped_weight(layer, weight), bias)
        ignored &= ~zeros.reshape(layer.groups, 1, -1)
        if ignored.any():
            self.found[layer.name] = ignored
            self.shares[layer.name] = sums.share
        if "residual" in CONV_OPS[layer.op].roles or (layer.bias and bias is None):
            return UNBOUNDED
        shape = [1] * weight.ndim
        shape[axis] = -1
        return Interval(output.low.reshape(shape), output.high.reshape(shape))

    def _zeros(self, layer: ConvLayer, axis: int) -> Mask:
        """Of the input channels, (in,): those that are known to be zero without any bound."""
        address = self._walked.addresses[layer.name]
        key = self._tensors.key(address[:-1], operands(self._tensors.graphs.node(address))["x"])
        known = None if key is None else self._facts.known.get(key)
        assert isinstance(layer.in_channels, int)
        if known is None:
            return np.zeros(layer.in_channels, np.bool_)
        same, values = along(known, axis, layer.in_channels)
        zeros: Mask = same & (values == 0)
        return zeros

    def _tells_nothing(self, layer: ConvLayer, line: Interval, zeros: Mask) -> bool:
        """Whether nothing but zeros is bounded, or each filter multiplies what has no end by either sign."""
        low, high = (np.isinf(end[~zeros]) for end in (line.low, line.high))
        mixed = self._facts.weights[layer.name].mixed
        return bool((low & high).all() or (mixed and (low.all() or high.all())))


def is_plain_sum(layer: ConvLayer) -> bool:
    """Whether all that it sums are its bias and products of its weight and its input, in floating point."""
    op = CONV_OPS[layer.op]
    other = op.quantized or op.deformable or op.causal or layer.layout == "reordered"
    return not other and layer.dtype in _SUMMED


class _Sums:
    """The sums of one layer, filter by filter, its inputs bounded."""

    def __init__(self, layer: ConvLayer, line: Interval) -> None:
        self._unit = unit_roundoff(accumulator(np.dtype(layer.dtype)))
        self._line = line  # of each input channel, (in,), and of the padding that it has
        self.share = 0.0  # of a sum, that what is negligible adds at most

    def of(self, kernels: Array, bias: Array | None) -> tuple[Mask, Interval]:
        """Which kernels are negligible, and the bounds (out,) of what the filters give.

        Args:
            kernels: (groups, out/groups, in/groups, *kernel).
            bias: (out,); None if there is none, or it is not known.
        """
        groups, filters, channels = kernels.shape[:3]
        shifts = np.zeros(groups * filters) if bias is None else bias.astype(np.float64)
        rows = kernels.reshape(groups * filters, channels, -1)
        lows, highs = (end.reshape(groups, channels) for end in (self._line.low, self._line.high))
        ignored = np.zeros(rows.shape[:2], np.bool_)
        low, high = np.empty(len(rows)), np.empty(len(rows))
        step = max(1, _ELEMENTS // max(1, rows[0].size))
        for start in range(0, len(rows), step):
            part = slice(start, min(start + step, len(rows)))
            group = np.arange(part.start, part.stop) // filters
            x = Interval(lows[group], highs[group]) if groups > 1 else Interval(lows, highs)
            weights = rows[part].astype(np.float64)
            with np.errstate(invalid="ignore", over="ignore"):  # of bounds or weights that are infinite
                ignored[part] = self._negligible(np.abs(weights).sum(axis=2), shifts[part], x)
                low[part], high[part] = self._given(weights, shifts[part], x)
        return ignored.reshape(kernels.shape[:3]), Interval(low, high)

    def _negligible(self, sizes: Ends, shift: Ends, x: Interval) -> Mask:
        """Of kernels with these sums of absolute values (filters, channels): the smallest that fit."""
        sums = np.abs(shift) + _products(sizes, x.least_magnitude).sum(axis=1)
        sums = np.where(np.isfinite(sums), sums, 0.0)  # no sum is certain to be larger than all numbers
        limits = (self._unit * _MARGIN * sums)[:, np.newaxis]
        added = _products(sizes, x.magnitude)
        ignored = np.zeros(sizes.shape, np.bool_)
        rows = np.flatnonzero(((sizes > 0) & (added <= limits)).any(axis=1))
        order = np.argsort(added[rows], axis=1)
        totals = np.cumsum(np.take_along_axis(added[rows], order, axis=1), axis=1)
        fits = totals <= limits[rows]
        largest = np.where(fits, totals, 0.0).max(axis=1, initial=0.0)
        largest = np.divide(largest, sums[rows], out=np.zeros_like(largest), where=sums[rows] > 0)
        self.share = max(self.share, float(largest.max(initial=0.0)))
        chosen = np.zeros(fits.shape, np.bool_)
        np.put_along_axis(chosen, order, fits, axis=1)
        ignored[rows] = chosen & (sizes[rows] > 0)
        return ignored

    def _given(self, weights: Ends, shift: Ends, x: Interval) -> tuple[Ends, Ends]:
        """What filters (filters, channels, taps) give at least and at most, as a runtime computes it."""
        ups, downs = np.maximum(weights, 0).sum(axis=2), np.maximum(-weights, 0).sum(axis=2)
        most = (_products(ups, x.high) - _products(downs, x.low)).sum(axis=1) + shift
        least = (_products(ups, x.low) - _products(downs, x.high)).sum(axis=1) + shift
        terms = weights[0].size + 1
        growth = terms * self._unit / (1 - terms * self._unit) if terms * self._unit < 1 else np.inf
        room = (SLACK + growth) * (_products(ups + downs, x.magnitude).sum(axis=1) + np.abs(shift))
        found = tidy(least - room, most + room)
        return found.low, found.high


def _products(sizes: Ends, ends: Ends) -> Ends:
    """Sizes (filters, channels) times an end of each; nothing comes of a kernel that is zero."""
    with np.errstate(invalid="ignore"):
        products = sizes * ends
    finite: Ends = np.where(sizes == 0, 0.0, products)
    return finite
