"""Which output channels carry more error than rounding explains, on their own or beside the others.

**On its own** a channel may have the error of summation in random order (``rounding.expected_energy``), or
that of the engine's own float32 kernel on the same operands, whichever is larger.

**Beside the others**: one kernel computes all channels of a layer in the same order. So there are numbers
a, b and c, the same for every channel, with ``error = a*v^2 + b*Q + c*y^2`` in the mean: v is the
convolution, Q the sum of its squared products, y the convolution with bias and residual. They depend on the
kernel and are unknown, but ``error/v^2 >= a`` holds in every channel, hence for the median over the
channels, and the same for b and c. So the three medians' sum bounds each honest channel's error from above,
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

The estimates know nothing of how a channel's partial sums really run. Honest kernels use less than one bit
of it (``tests/judge/test_honest.py``); TF32, the finest format to tell apart, lies six bits and more
above.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """Of each channel, the mean squares that its rounding error is made of, before the activation.

    Zero is "not measured": it only makes a channel more suspect.
    """

    products: Array  # Q of the convolution
    convolution: Array  # v
    control: Array  # error of the engine's own kernel in the runtime's format
    spread: float  # of the elements' variances, and
    peak: float  # the largest of them: see rounding.fluctuation

    @classmethod
    def of_equal(cls, products: Array, samples: int) -> Scales:
        """For a first look: ``samples`` equal and independent errors, nothing else measured."""
        nothing = np.zeros_like(products)
        return cls(
            products=products, convolution=nothing, control=nothing, spread=samples**-0.5, peak=1 / samples
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspects:
    """Masks of the channels with more error than rounding explains."""

    alone: Array
    beside_others: Array

    @property
    def either(self) -> Array:
        """By either test."""
        mask: Array = self.alone | self.beside_others
        return mask


def suspects(deviation: Deviation, scales: Scales, precision: Precision) -> Suspects:
    """The channels that stand out."""
    factor = HEADROOM**2 * rounding.fluctuation(len(deviation.error), scales.spread, scales.peak)
    last = precision.output**2 / 3 * deviation.output + deviation.evaluation + precision.underflow**2
    products = scales.products * deviation.gain
    summed = rounding.expected_energy(precision.terms, precision.accumulator, deviation.signal, products)
    summed += precision.products**2 * products
    alone = np.maximum(summed, scales.control * deviation.gain) + last
    others = _others(deviation, scales) + last
    return Suspects(alone=deviation.error > factor * alone, beside_others=deviation.error > factor * others)


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
"""Distinct results to remember. Of more, the lightest count as new ones where they come again: of so many
draws each is too light for that to be seen."""


class Draws:
    """Distinct results and how often each came, added up part by part."""

    def __init__(self, variance: Callable[[Array], Array]) -> None:
        """Start with the variance of the error of a result."""
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
        """Of the distinct results' weights a, each its share of the variance: ``|a|_2 / |a|_1``."""
        total, squares, _ = self._sums()
        return float(squares**0.5 / total) if total else 0.0

    @property
    def peak(self) -> float:
        """``|a|_max / |a|_1``."""
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
