"""How large the rounding error of a correct convolution may be: the theory behind every verdict.

An output element is a sum of ``terms`` products, computed in a format of unit roundoff ``u`` and in an order
that only the runtime knows. Two estimates hold for any such kernel:

* **Each element** (Higham & Mary 2019, "A new approach to probabilistic rounding error analysis",
  SIAM J. Sci. Comput. 41(5), theorems 2.4 and 3.1): with S the sum of the products' absolute values, the
  error is at most ``gamma(n)*S = n*u/(1 - n*u)*S`` always, and at most
  ``(exp(lambda*sqrt(n)*u + n*u^2/(1-u)) - 1)*S`` but with probability ``2*n*exp(-lambda^2*(1-u)^2/2)``. We
  choose lambda so that this, over all elements of the layer, is ``FAILURE``, and take the smaller bound.
* **Each channel, in the mean**: an addition that ends in the partial sum p adds an error of variance at most
  ``u^2*p^2/3`` (uniform in half a unit in the last place). If the products come in random order, the expected
  square of the k-th partial sum is ``(k/n)^2*y^2 + k*(n-k)/(n*(n-1))*(Q - y^2/n)``, y the result and Q the
  sum of the squared products, and summing over k gives ``n*(y^2/3 + Q/6)``. Blocked and pairwise summation,
  as kernels use, stay below it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from convaudit.engine.operands import Array

FAILURE = 1e-9
"""Probability that one correct layer fails, by either estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """The formats that a kernel computes in, and the errors that they make."""

    terms: int  # summed for each element
    accumulator: float  # unit roundoff of the sum
    output: float  # unit roundoff of the result
    underflow: float  # absolute error where numbers are too small for either format, or flushed to zero
    products: float = 0.0  # relative error of each product before it is summed, besides its own rounding


def unit_roundoff(dtype: np.dtype[Any]) -> float:
    """Unit roundoff of a format, half the distance from 1 to the next larger number: 2**-24 for float32."""
    return float(limits(dtype).eps) / 2


def limits(dtype: np.dtype[Any]) -> Any:
    """Machine limits of a floating-point format of NumPy or ml_dtypes."""
    return ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]


def accumulator(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The format in which kernels sum: float32 for the half precisions, otherwise that of the operands."""
    return np.dtype(np.float32) if dtype.itemsize < 4 else dtype


def deviations(terms: int, elements: int) -> float:
    """Lambda: how many standard deviations the error of an element may reach.

    Args:
        terms: Terms summed for each element.
        elements: Elements of the layer.

    Returns:
        The number that no element of a correct layer exceeds, except with probability ``FAILURE``
        (Higham & Mary 2019, theorem 3.1).
    """
    return math.sqrt(2 * math.log(2 * terms * elements / FAILURE))


def growth(terms: int, elements: int, unit: float) -> float:
    """The bound on ``error / S`` of each element (Higham & Mary 2019, theorems 2.4 and 3.1).

    Args:
        terms: Terms summed for each element.
        elements: Elements of the layer.
        unit: Unit roundoff of the sum.

    Returns:
        The bound relative to S, the sum of the terms' absolute values; infinite if ``terms * unit`` is so
        large that no digit can be trusted.
    """
    probable = math.expm1(
        deviations(terms, elements) * math.sqrt(terms) * unit + terms * unit**2 / (1 - unit)
    )
    certain = terms * unit / (1 - terms * unit) if terms * unit < 1 else math.inf
    return min(probable, certain)


def expected_energy(terms: int, unit: float, signal: Array, products: Array) -> Array:
    """Expected mean square error of each channel, if the products are summed in random order.

    Args:
        terms: Terms summed for each element.
        unit: Unit roundoff of the sum.
        signal: Means (channels,) of y^2 over the channel's elements.
        products: Means (channels,) of Q, the sum of the squared products.

    Returns:
        Mean squares (channels,).
    """
    return unit**2 / 3 * terms * (signal / 3 + products / 6)


def fluctuation(channels: int, spread: float, peak: float) -> float:
    """How far the measured mean square error of a channel may exceed the expected one.

    The errors are independent, and their squares enter the mean with weights a (their variances). The factor
    is above ``1 + 2*sqrt(t)*spread + 2*t*peak`` with probability ``exp(-t)``, here ``FAILURE`` over all
    channels (Laurent & Massart 2000, "Adaptive estimation of a quadratic functional by model selection",
    lemma 1).

    Args:
        channels: Channels of the layer.
        spread: ``|a|_2/|a|_1``, which is ``m**-0.5`` for m equal weights.
        peak: ``|a|_max/|a|_1``, which is ``1/m`` for m equal weights.

    Returns:
        Measured over expected mean square error, at most.
    """
    t = math.log(channels / FAILURE)
    return 1 + 2 * math.sqrt(t) * spread + 2 * t * peak


def median_shortfall(channels: int, samples: float) -> float:
    """How far below the expected mean square error the channels' median may lie.

    A mean of m squares has its median at ``(1 - 2/(9*m))**3`` of its expectation (Wilson & Hilferty 1931,
    "The distribution of chi-square"), and half of all samples tell where that is (Laurent & Massart's lower
    tail).

    Args:
        channels: Channels of the layer.
        samples: Independent samples of each channel, which may be fewer than its elements if their variances
            differ.

    Returns:
        Median over expected mean square error, at least; 0 if nothing is known.
    """
    t = math.log(channels / FAILURE)
    lower = 1 - 2 * math.sqrt(2 * t / (channels * samples))
    return max(0.0, lower) * (1 - 2 / (9 * samples)) ** 3
