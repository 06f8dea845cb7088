"""What is known of a graph's tensors, channel by channel.

A fact about a tensor is an array that broadcasts to the tensor's shape: an axis along which nothing differs
has size 1. So a fact about channels of (N, C, H, W) is (1, C, 1, 1), whatever N, H and W are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convaudit.frontends.onnx.graphs import Address
from convaudit.linting.weights import WeightFacts

Mask = NDArray[np.bool_]
ValueKey = tuple[Address, str]
"""A tensor: the address of the graph that defines it, and its name there."""


@dataclass(frozen=True, slots=True)
class KnownElements:
    """Which elements of a tensor are the same on every input, and what they are."""

    mask: Mask
    values: NDArray[Any]  # meaningless where the mask is False


def along(known: KnownElements, axis: int, size: int) -> tuple[Mask, NDArray[Any]]:
    """Which indices of one axis are constant as a whole, and the number that all their elements are.

    Args:
        known: What is known of a tensor.
        axis: One of its axes.
        size: Its size.

    Returns:
        Two arrays (size,); the values mean nothing where the mask is False.
    """
    if known.mask.shape == known.values.shape and known.values.size == known.values.shape[axis] == size:
        return known.mask.ravel(), known.values.ravel()
    mask = np.moveaxis(np.broadcast_to(known.mask, known.values.shape), axis, 0)
    values = np.moveaxis(known.values, axis, 0)
    mask, values = (array.reshape(array.shape[0], -1) for array in (mask, values))
    same = (values == values[:, :1]).all(axis=1) & mask.all(axis=1)
    return np.broadcast_to(same, size), np.broadcast_to(values[:, 0], size)


def anywhere_along(mask: Mask | None, axis: int, size: int) -> Mask:
    """Which indices of one axis a mask is True for anywhere: (size,); None: it is True everywhere."""
    if mask is None:
        return np.ones(size, np.bool_)
    if mask.ndim == 0:
        return np.full(size, bool(mask))
    axis %= mask.ndim
    others = tuple(other for other in range(mask.ndim) if other != axis)
    return np.broadcast_to(mask.any(axis=others), size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What holds for every input on which all activations are finite.

    Attributes:
        known: Elements that are constant, of the tensors that have any.
        read: Elements on whose value an output of the model depends, of tensors of which not all are read.
        needed: Elements that must be there: a reader takes them, and cannot fold them into its bias as
            constants. Of tensors of which not all are.
        weights: What each layer's own weight tells, by the layer's name; none if computed at run time.
        biased: Layers whose bias no caller can change, by name.
        notes: What could not be looked at, and why.
    """

    known: Mapping[ValueKey, KnownElements] = field(default_factory=dict)
    read: Mapping[ValueKey, Mask] = field(default_factory=dict)
    needed: Mapping[ValueKey, Mask] = field(default_factory=dict)
    weights: Mapping[str, WeightFacts] = field(default_factory=dict)
    biased: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
