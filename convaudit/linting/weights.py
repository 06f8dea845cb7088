"""What the weight of one layer alone tells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convaudit.engine.operands import Array
from convaudit.records import ConvLayer
from convaudit.records.findings import Claim, Region


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFacts:
    """What is kept of a weight when it is no longer in memory."""

    nonzero: NDArray[np.bool_] | None  # (groups, out/groups, in/groups): which kernels are not all zero
    claims: tuple[Claim, ...] = ()  # of the rules that need no graph

    @property
    def dense(self) -> bool:
        """Whether no kernel is all zero."""
        return self.nonzero is None


def grouped_weight(layer: ConvLayer, weight: Array) -> Array:
    """A weight as (groups, out/groups, in/groups, *kernel), from what ``ConvLayer.weight_shape`` says."""
    first, second, *kernel = weight.shape
    parts = weight.reshape(layer.groups, first // layer.groups, second, *kernel)
    return np.swapaxes(parts, 1, 2) if layer.transposed else parts


def examine(layer: ConvLayer, weight: Array, bias: Array | None) -> WeightFacts:
    """Look at one layer's weight once.

    Args:
        layer: Its record.
        weight: Shaped as ``layer.weight_shape`` says; of integers, without their zero point.
        bias: (out,); None if there is none, or it is not constant.
    """
    kernels = grouped_weight(layer, weight)
    nonzero = (kernels != 0).any(axis=tuple(range(3, kernels.ndim)))
    return WeightFacts(
        nonzero=None if nonzero.all() else nonzero, claims=tuple(_zero_filters(layer, nonzero))
    )


def _zero_filters(layer: ConvLayer, nonzero: NDArray[np.bool_]) -> list[Claim]:
    zero = tuple(int(index) for index in np.flatnonzero(~nonzero.any(axis=2).ravel()))
    if not zero:
        return []
    region = Region(layer=layer.name, outputs=zero)
    message = f"{len(zero)} of {nonzero.shape[0] * nonzero.shape[1]} filters are all zero"
    return [Claim(rule="CA101", layer=layer.name, channels=zero, message=message, regions=(region,))]
