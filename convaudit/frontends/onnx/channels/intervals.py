"""Intervals that hold every value of a tensor, and their arithmetic.

An interval's two arrays broadcast to the tensor's shape, as facts do: an axis along which nothing differs has
size 1; arrays without axes stand for tensors of any rank.

Computed values are not the real ones: each op rounds. So every interval that an op makes is widened by
``SLACK`` of its larger end: a correctly rounded op errs by half of that in bfloat16, and by less in any wider
format. Values are taken to be finite, as everywhere in this analysis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convaudit.records import Shape

SLACK = 2.0**-7
Ends = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """The smallest and the largest value that each element may have."""

    low: Ends
    high: Ends

    @property
    def bounded(self) -> bool:
        """Whether it tells anything at all."""
        return bool(np.isfinite(self.low).any() or np.isfinite(self.high).any())

    @property
    def magnitude(self) -> Ends:
        """The largest absolute value that each element may have."""
        largest: Ends = np.maximum(np.abs(self.low), np.abs(self.high))
        return largest

    @property
    def least_magnitude(self) -> Ends:
        """The smallest absolute value that each element may have."""
        smallest: Ends = np.maximum(0.0, np.maximum(self.low, -self.high))
        return smallest

    @property
    def hull(self) -> Interval:
        """One interval for all elements, of a tensor of any rank."""
        if not self.low.size or not self.high.size:
            return UNBOUNDED
        return interval(self.low.min(), self.high.max())

    @property
    def widened(self) -> Interval:
        """With room for the rounding of the op that made it."""
        room = SLACK * _finite(self)
        return Interval(self.low - room, self.high + room)

    def joined(self, other: Interval) -> Interval:
        """What holds the values of both."""
        return Interval(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def within(self, other: Interval) -> Interval:
        """What both hold."""
        return Interval(np.maximum(self.low, other.low), np.minimum(self.high, other.high))

    def ranked(self, shape: Shape | None) -> Interval:
        """With an axis for each of a tensor of this shape; their hull if its rank is unknown."""
        ends = [self.low, self.high]
        if not any(end.ndim for end in ends):
            return self
        if shape is None or max(end.ndim for end in ends) > len(shape):
            return self.hull
        return Interval(*(end.reshape((1,) * (len(shape) - end.ndim) + end.shape) for end in ends))

    def along(self, axis: int, size: int) -> Interval:
        """Of a vector: of the elements at each index of one axis; of all, where it has another size."""
        sizes = [one.shape[axis % one.ndim] if one.ndim else 1 for one in (self.low, self.high)]
        if not self.low.ndim or not self.high.ndim or not {*sizes} <= {1, size}:
            hull = self.hull
            return Interval(np.broadcast_to(hull.low, size), np.broadcast_to(hull.high, size))
        others = tuple(other for other in range(self.low.ndim) if other != axis % self.low.ndim)
        low, high = np.broadcast_arrays(self.low, self.high)
        return Interval(
            np.broadcast_to(low.min(axis=others), size), np.broadcast_to(high.max(axis=others), size)
        )


def interval(low: float, high: float) -> Interval:
    """The same one for all elements of a tensor of any rank."""
    return Interval(np.array(low, np.float64), np.array(high, np.float64))


UNBOUNDED = interval(-np.inf, np.inf)
ZERO = interval(0.0, 0.0)


def tidy(low: Ends, high: Ends) -> Interval:
    """An interval of ends that may not be numbers: there it is unbounded."""
    return Interval(np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high))


def negative_of(one: Interval) -> Interval:
    """Of ``-x``."""
    return Interval(-one.high, -one.low)


def sum_of(one: Interval, other: Interval) -> Interval:
    """Of ``x + y``; with room for what rounds where they cancel."""
    room = SLACK * (_finite(one) + _finite(other))
    return tidy(one.low + other.low - room, one.high + other.high + room)


def _finite(one: Interval) -> Ends:
    """The larger of the absolute values of its ends, of those that are finite."""
    low, high = (np.where(np.isfinite(end), np.abs(end), 0.0) for end in (one.low, one.high))
    return np.maximum(low, high)


def product_of(one: Interval, other: Interval) -> Interval:
    """Of ``x * y``."""
    with np.errstate(invalid="ignore", over="ignore"):
        products = [a * b for a in (one.low, one.high) for b in (other.low, other.high)]
    ends = [np.where(np.isnan(product), 0.0, product) for product in products]  # 0 * inf: values are finite
    low, high = np.minimum.reduce(ends), np.maximum.reduce(ends)
    return Interval(low, high).widened


def quotient_of(one: Interval, other: Interval) -> Interval:
    """Of ``x / y``; unbounded where y may be 0."""
    safe = (other.low > 0) | (other.high < 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        low = np.where(safe, 1 / other.high, -np.inf)
        high = np.where(safe, 1 / other.low, np.inf)
    return product_of(one, Interval(low, high))
