"""Channels whose products drown in the rounding of the sums that they enter, at every position of one run.

The condition is that of ``negligible``, with what the run gave in the place of bounds. Let M be the sum of
the absolute values of the terms of one output, ``|b| + sum_c sum_t |w[c,t]*x[c,t]|``, and d[c] what of it
channel c adds. Channels are negligible together if their d add up to at most ``u*M`` in every filter, at
every position of every image; a filter is constant if all of its d do beside ``|b|``. Both are calculated in
float64. The largest of the quotients d[c]/M over all positions are added up, which is at least the largest of
their sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from convaudit.engine import conv, conv_transpose
from convaudit.engine.operands import Array
from convaudit.frontends.onnx.channels.facts import Mask
from convaudit.frontends.onnx.channels.intervals import Ends
from convaudit.judge.rounding import accumulator, unit_roundoff
from convaudit.records import ConvLayer
from convaudit.shapes import Pair

_MARGIN = 1 - 2.0**-10  # for the rounding of what is calculated here, in float64
_POSITIONS = 2**22  # of outputs that are held together


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOfLayer:
    """One layer in one run.

    Attributes:
        layer: Its record.
        kernels: |W| (groups, out/groups, in/groups, *kernel), float64.
        bias: |b| (groups, out/groups).
        x: |x| (batch, in, *spatial), float64.
        padding: In that run.
        wanted: Filters (groups, out/groups) on which an output of the model depends.
    """

    layer: ConvLayer
    kernels: Array
    bias: Array
    x: Array
    padding: tuple[Pair, ...]
    wanted: Mask

    def negligible(self) -> tuple[Mask, float]:
        """Kernels (groups, out/groups, in/groups) that are negligible, and their largest share of a sum."""
        nothing = np.zeros(self.kernels.shape[:3], np.bool_), 0.0
        if not np.isfinite(self.x).all():
            return nothing
        limit = unit_roundoff(accumulator(np.dtype(self.layer.dtype))) * _MARGIN
        taps = tuple(range(3, self.kernels.ndim))
        peaks, sizes = self.kernels.max(axis=taps), self.kernels.sum(axis=taps)
        largest = self.x.max(axis=(0, *range(2, self.x.ndim))).reshape(len(self.kernels), 1, -1)
        least, most = peaks * largest, sizes * largest  # between them is what each kernel adds at most
        sums = most.sum(axis=2) + self.bias
        rows = self.wanted & (sizes.sum(axis=2) > 0) & (least.max(axis=2) <= limit * self.bias)
        columns = self._columns(least <= limit * sums[..., np.newaxis], self.wanted & ~rows, sizes)
        if not rows.any() and not columns.any():
            return nothing
        smallest, products = self._extremes()
        constant = np.logical_and(rows, products <= limit * self.bias)
        wanted = self.wanted & ~constant
        columns = self._columns(least <= limit * sums[..., np.newaxis], wanted, sizes)
        counted = wanted[..., np.newaxis]
        shares = self._shares(columns, np.where(counted, most, 0.0), smallest, limit)
        chosen, share = _together(np.where(counted, shares, 0.0), columns, limit)
        ignored = (constant[..., np.newaxis] | chosen[:, np.newaxis]) & (sizes > 0)
        beside = np.where(constant & (self.bias > 0), products / np.where(self.bias > 0, self.bias, 1.0), 0.0)
        return ignored, max(share, float(beside.max()))

    def _columns(self, small: Mask, wanted: Mask, sizes: Ends) -> Mask:
        """Channels (groups, in/groups) that may be negligible in each filter that is wanted."""
        unwanted = ~wanted[..., np.newaxis]
        return np.asarray((small | unwanted).all(axis=1) & ((sizes > 0) & ~unwanted).any(axis=1))

    def _extremes(self) -> tuple[Ends, Ends]:
        """Of each filter over all positions: the smallest M, and the largest M without the bias."""
        smallest, largest = np.full(self.bias.shape, np.inf), np.zeros(self.bias.shape)
        for x, part in self._parts():
            products = self._products(x, part, slice(None))
            least = products.min(axis=2, initial=np.inf) + self.bias[part]
            smallest[part] = np.minimum(smallest[part], least)
            largest[part] = np.maximum(largest[part], products.max(axis=2, initial=0.0))
        return smallest, largest

    def _shares(self, columns: Mask, most: Ends, smallest: Ends, limit: float) -> Ends:
        """The largest d/M of each kernel in these columns over all positions, or what that is at most."""
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.where(most == 0, 0.0, most / smallest[..., np.newaxis])
        fine = limit / max(1, int(columns.sum(axis=1).max()))
        near = np.flatnonzero((columns & (shares.max(axis=1) > fine)).any(axis=0))
        if not near.size:
            return shares
        shares[..., near] = 0.0
        for x, part in self._parts():
            sums = self._products(x, part, slice(None)) + self.bias[part][..., np.newaxis]
            for column in near:
                added = self._products(x, part, slice(column, column + 1))
                quotients = np.divide(added, sums, out=np.zeros_like(added), where=sums > 0)
                known = shares[part][..., column]
                shares[part][..., column] = np.maximum(known, quotients.max(axis=2, initial=0.0))
        return shares

    def _parts(self) -> Iterator[tuple[Array, tuple[slice, slice]]]:
        """Images (groups, in/groups, *spatial), each with as many groups and filters as are held together."""
        groups, filters = self.kernels.shape[:2]
        steps = self.layer.stride or ()
        sizes = [
            size * step if self.layer.transposed else -(-(size + sum(pads)) // step)
            for size, step, pads in zip(self.x.shape[2:], steps, self.padding, strict=True)
        ]
        most = max(1, _POSITIONS // max(1, prod(sizes)))
        few = min(filters, most)
        several = max(1, most // filters)
        for image in self.x:
            x = image.reshape(groups, -1, *image.shape[1:])
            for group in range(0, groups, several):
                for start in range(0, filters, few):
                    yield x, (slice(group, group + several), slice(start, start + few))

    def _products(self, x: Array, part: tuple[slice, slice], channels: slice) -> Array:
        """Sums (groups, filters, positions) of the products of some channels at each position."""
        kernels, inputs = self.kernels[part][:, :, channels], x[part[0]][:, channels]
        groups, filters, each, *taps = kernels.shape
        image = inputs.reshape(1, -1, *inputs.shape[2:])
        how: dict[str, Any] = {
            "stride": self.layer.stride or 1,
            "padding": self.padding,
            "dilation": self.layer.dilation or 1,
            "groups": groups,
        }
        if self.layer.transposed:
            weight = np.swapaxes(kernels, 1, 2).reshape(groups * each, filters, *taps)
            how["output_padding"] = self.layer.output_padding or 0
            given = conv_transpose(image, np.ascontiguousarray(weight), **how)
        else:
            given = conv(image, kernels.reshape(groups * filters, each, *taps), **how)
        return given.reshape(groups, filters, -1)


def _together(shares: Ends, columns: Mask, limit: float) -> tuple[Mask, float]:
    """The channels (groups, in/groups) with the smallest shares that add up to the limit in no filter."""
    order = np.argsort(np.where(columns, shares.max(axis=1), np.inf), axis=1)
    sums = np.cumsum(np.take_along_axis(shares, order[:, np.newaxis], axis=2), axis=2).max(axis=1)
    fits = (sums <= limit) & np.take_along_axis(columns, order, axis=1)
    chosen = np.zeros_like(columns)
    np.put_along_axis(chosen, order, fits, axis=1)
    return chosen, float(np.where(fits, sums, 0.0).max(initial=0.0))
