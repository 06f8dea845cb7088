"""How large the rounding error of an honest convolution may be: the theory behind every verdict.

An output element is a sum of ``terms`` products, computed in a format of unit roundoff ``u`` and in an order
that nobody but the runtime knows. Two estimates hold for any such kernel:

* **Each element** (Higham & Mary 2019, "A new approach to probabilistic rounding error analysis",
  SIAM J. Sci. Comput. 41(5), theorems 2.4 and 3.1): with S the sum of the products' absolute values, the
  error is at most ``gamma(n)*S = n*u/(1 - n*u)*S`` always, and at most
  ``(exp(lambda*sqrt(n)*u + n*u^2/(1-u)) - 1)*S`` but with probability ``2*n*exp(-lambda^2*(1-u)^2/2)``. We
  choose lambda so that this, over all elements of the layer, is ``FAILURE``, and take the smaller of the two.
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
"""Probability of accusing one honest layer, by either estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """What a kernel computes with."""

    terms: int  # that an element sums
    accumulator: float  # unit roundoff of the sum
    output: float  # unit roundoff of the result
    underflow: float  # absolute error where numbers are too small for either format, or flushed to zero
    products: float = 0.0  # relative error of each product before it is summed, beside its own rounding


def unit_roundoff(dtype: np.dtype[Any]) -> float:
    """Half the distance from 1 to the next larger number: ``2**-24`` for float32."""
    return float(limits(dtype).eps) / 2


def limits(dtype: np.dtype[Any]) -> Any:
    """Machine limits of a floating-point format, NumPy's own or one of ml_dtypes."""
    return ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]


def accumulator(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The format in which kernels sum: float32 for the half precisions, else the operands' own."""
    return np.dtype(np.float32) if dtype.itemsize < 4 else dtype


def deviations(terms: int, elements: int) -> float:
    """Lambda: how many standard deviations no element of an honest layer exceeds, but for ``FAILURE``."""
    return math.sqrt(2 * math.log(2 * terms * elements / FAILURE))


def growth(terms: int, elements: int, unit: float) -> float:
    """The bound on ``error / S`` of each element; infinite where ``terms * unit`` leaves nothing to trust."""
    probable = math.expm1(
        deviations(terms, elements) * math.sqrt(terms) * unit + terms * unit**2 / (1 - unit)
    )
    certain = terms * unit / (1 - terms * unit) if terms * unit < 1 else math.inf
    return min(probable, certain)


def expected_energy(terms: int, unit: float, signal: Array, products: Array) -> Array:
    """Expected mean square error of a channel.

    signal    mean of y^2 over the channel's elements
    products  mean of Q, the sum of the squared products
    """
    return unit**2 / 3 * terms * (signal / 3 + products / 6)


def fluctuation(channels: int, spread: float, peak: float) -> float:
    """How far the measured mean square error of a channel may exceed the expected one, as a factor.

    The errors are independent, and their squares enter the mean with weights a (their variances):
    ``spread`` is ``|a|_2/|a|_1`` and ``peak`` ``|a|_max/|a|_1``; of m equal ones ``m**-0.5`` and ``1/m``.
    Laurent & Massart (2000, lemma 1): the factor is above ``1 + 2*sqrt(t)*spread + 2*t*peak`` with
    probability ``exp(-t)``, here ``FAILURE`` over all channels.
    """
    t = math.log(channels / FAILURE)
    return 1 + 2 * math.sqrt(t) * spread + 2 * t * peak


def median_shortfall(channels: int, samples: float) -> float:
    """How far below the expected mean square error the channels' median may lie; 0 if all the way.

    A mean of m squares has its median at ``(1 - 2/(9*m))**3`` of its expectation (Wilson & Hilferty 1931),
    and half of all samples tell where that is (Laurent & Massart's lower tail). ``samples`` is of each
    channel, and may be a fraction less than the elements if their variances differ.
    """
    t = math.log(channels / FAILURE)
    lower = 1 - 2 * math.sqrt(2 * t / (channels * samples))
    return max(0.0, lower) * (1 - 2 / (9 * samples)) ** 3
