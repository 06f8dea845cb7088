"""Which output channels carry more error than rounding explains, in absolute terms or relative to the others.

**In absolute terms** a channel may have the error of summation in random order
(``rounding.expected_energy``), or that of the engine's own float32 kernel on the same operands, whichever is
larger.

**Relative to the others**: one kernel computes all channels of a layer in the same order. So there are
numbers a, b and c, the same for every channel, with ``error = a*v^2 + b*Q + c*y^2`` in the mean: v is the
convolution, Q the sum of its squared products, y the convolution with bias and residual. They depend on the
kernel and are unknown, but ``error/v^2 >= a`` holds in every channel, hence for the median over the channels,
and the same for b and c. So the three medians' sum bounds the error of each correct channel from above,
whatever the kernel, and a few wrong channels do not move it.

Both are means over all data that a layer might meet, to which ``HEADROOM`` is added, and measured on a
sample, which fluctuates (``rounding.fluctuation``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from convaudit.engine.operands import Array
from convaudit.judge import rounding
from convaudit.judge.deviation import Deviation
from convaudit.judge.rounding import Precision

HEADROOM = 4.0
"""How far a channel's RMS error may lie above either estimate: two bits.

The estimates know nothing of how a channel's partial sums really run. Correct kernels use less than one bit
of it (``tests/judge/test_honest.py``); TF32, the finest format to tell apart, lies six bits and more
above.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """The mean squares (channels,) that the rounding errors are made of, before the activation.

    Zero is "not measured", which only makes the tests stricter.
    """

    products: Array  # Q of the convolution
    convolution: Array  # v
    control: Array  # error of the engine's own kernel in the runtime's format
    spread: float  # of the elements' variances, and
    peak: float  # the largest of them: see rounding.fluctuation

    @classmethod
    def of_equal(cls, products: Array, samples: int) -> Scales:
        """Scales for a first test: ``samples`` equal and independent errors, nothing else measured."""
        nothing = np.zeros_like(products)
        return cls(
            products=products, convolution=nothing, control=nothing, spread=samples**-0.5, peak=1 / samples
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outliers:
    """Masks (channels,) of the channels with more error than rounding explains."""

    absolute: Array  # more than their own sums lead to expect
    relative: Array  # more than the other channels lead to expect

    @property
    def either(self) -> Array:
        """The channels that fail either test."""
        mask: Array = self.absolute | self.relative
        return mask


def outliers(deviation: Deviation, scales: Scales, precision: Precision) -> Outliers:
    """Find the channels whose mean square error is larger than rounding explains.

    Args:
        deviation: Measured errors.
        scales: What the errors are made of.
        precision: Formats of the kernel.

    Returns:
        The channels that fail a test of which a correct layer fails one with probability
        ``rounding.FAILURE``.
    """
    factor = HEADROOM**2 * rounding.fluctuation(len(deviation.error), scales.spread, scales.peak)
    last = precision.output**2 / 3 * deviation.output + deviation.evaluation + precision.underflow**2
    products = scales.products * deviation.gain
    summed = rounding.expected_energy(precision.terms, precision.accumulator, deviation.signal, products)
    summed += precision.products**2 * products
    alone = np.maximum(summed, scales.control * deviation.gain) + last
    others = _others(deviation, scales) + last
    return Outliers(absolute=deviation.error > factor * alone, relative=deviation.error > factor * others)


def _others(deviation: Deviation, scales: Scales) -> Array:
    """Mean square error that the other channels lead to expect; infinite if they are too few to tell."""
    live = (deviation.error > 0) & (deviation.signal > 0)  # exact channels say nothing about the others
    unknown = np.full(len(live), np.inf)
    if not live.any():
        return unknown
    shortfall = rounding.median_shortfall(int(live.sum()), scales.spread**-2)
    if shortfall == 0:
        return unknown
    expected = np.zeros(len(live))
    for part in (deviation.signal, scales.products * deviation.gain, scales.convolution * deviation.gain):
        usable = live & (part > 0)
        if usable.any():
            expected += _median(deviation.error[usable] / part[usable]) * part
    return expected / shortfall


def _median(values: Array) -> float:
    """Median of at least one value; NumPy's own imports ``numpy.ma``, a twentieth of a whole ``--verify``."""
    ordered = np.sort(values)
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


DISTINCT = 1 << 20
"""Distinct results to remember. If there are more, the lightest are counted as new ones where they occur
again: among so many samples each is too light for that to matter."""


class EffectiveSamples:
    """How many independent samples a channel's errors are worth, added up part by part.

    Equal results come from equal patches, and their errors are equal, too. So each distinct result is one
    sample, weighted by how often it occurs.
    """

    def __init__(self, variance: Callable[[Array], Array]) -> None:
        """Start with the function that maps results to the variances of their errors."""
        self._variance = variance
        self._values, self._counts = np.zeros(0), np.zeros(0, np.int64)
        self._total, self._squares, self._heaviest = 0.0, 0.0, 0.0  # of what is no longer remembered

    def add(self, values: Array) -> None:
        """Take some results into account."""
        found, counts = np.unique(values, return_counts=True)
        if not len(self._values):
            self._values, self._counts = found, counts
        else:
            joined = np.concatenate([self._values, found])
            self._values, where = np.unique(joined, return_inverse=True)
            both = np.concatenate([self._counts, counts])
            self._counts = np.bincount(where, weights=both).astype(np.int64)
        if len(self._values) > DISTINCT:
            self._forget()

    @property
    def spread(self) -> float:
        """``|a|_2 / |a|_1`` of the weights a of the distinct results, each its share of the variance."""
        total, squares, _ = self._sums()
        return float(squares**0.5 / total) if total else 0.0

    @property
    def peak(self) -> float:
        """``|a|_max / |a|_1`` of the same weights."""
        total, _, heaviest = self._sums()
        return heaviest / total if total else 0.0

    def _sums(self) -> tuple[float, float, float]:
        weights = self._counts * self._variance(self._values)
        return (
            self._total + float(weights.sum()),
            self._squares + float(np.square(weights).sum()),
            max(self._heaviest, float(weights.max(initial=0.0))),
        )

    def _forget(self) -> None:
        """Keep the heavier half of what may be remembered."""
        weights = self._counts * self._variance(self._values)
        order = np.argpartition(weights, len(weights) - DISTINCT // 2)
        light, kept = order[: -DISTINCT // 2], np.sort(order[-DISTINCT // 2 :])
        self._total += float(weights[light].sum())
        self._squares += float(np.square(weights[light]).sum())
        self._heaviest = max(self._heaviest, float(weights[light].max()))
        self._values, self._counts = self._values[kept], self._counts[kept]
