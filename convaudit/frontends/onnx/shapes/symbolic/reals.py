"""Floating-point values that depend on dimensions, exact or unknown.

A float is ``numerator / denominator`` as real arithmetic has it, as long as the float holds exactly that. A
quotient that no float holds is kept as one that was rounded once: for a numerator below 2**24 rounding does
not move it past an integer, so its floor and its ceiling are still known. Everything else is unknown.

Dimensions are taken as at most 2**20 here: beyond, float32 does not hold every product of a size and a scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import gcd
from typing import Any, TypeAlias

import numpy as np
from onnx import TensorProto

from convaudit.formulas import Count, FloorDivision, ceil_divide, is_nonnegative
from convaudit.formulas.polynomial import Atom, polynomial, terms_of

_LARGEST_SIZE = 2**20
_MANTISSA: dict[int, int] = {TensorProto.FLOAT16: 11, TensorProto.FLOAT: 24, TensorProto.DOUBLE: 53}
_NUMPY: dict[int, Any] = {
    TensorProto.FLOAT16: np.float16,
    TensorProto.FLOAT: np.float32,
    TensorProto.DOUBLE: np.float64,
}


@dataclass(frozen=True)
class Symbolic:
    """``numerator / denominator`` in lowest terms, or that rounded to a float once."""

    numerator: Count
    denominator: int = 1
    rounded: bool = False


Real: TypeAlias = "np.floating | Symbolic"
"""A number of a floating type: NumPy's, which rounds as a runtime does, or one that depends on dimensions."""


def constant(value: float, dtype: int) -> np.floating:
    """A number as its type holds it."""
    held: np.floating = _NUMPY[dtype](value)
    return held


def from_integer(value: Count, dtype: int) -> Real | None:
    """Cast to a floating type."""
    return constant(value, dtype) if isinstance(value, int) else _exact(value, 1, dtype)


def to_integer(value: Real) -> Count | None:
    """Cast to an integer type: towards zero."""
    if not isinstance(value, Symbolic):
        return math.trunc(float(value)) if np.isfinite(value) else None
    if is_nonnegative(value.numerator):
        return value.numerator // value.denominator
    if is_nonnegative(-value.numerator):
        return ceil_divide(value.numerator, value.denominator)
    return None


def floor(value: Real) -> Real:
    """The integer below, still a float."""
    if isinstance(value, Symbolic):
        return Symbolic(value.numerator // value.denominator)
    below: np.floating = np.floor(value)
    return below


def ceil(value: Real) -> Real:
    """The integer above, still a float."""
    if isinstance(value, Symbolic):
        return Symbolic(ceil_divide(value.numerator, value.denominator))
    above: np.floating = np.ceil(value)
    return above


def add(left: Real, right: Real, dtype: int) -> Real | None:
    """The sum, if it is known."""
    if not isinstance(left, Symbolic) and not isinstance(right, Symbolic):
        return left + right
    a, b = _symbolic(left), _symbolic(right)
    if a is None or b is None:
        return None
    numerator = a.numerator * b.denominator + b.numerator * a.denominator
    return _exact(numerator, a.denominator * b.denominator, dtype)


def multiply(left: Real, right: Real, dtype: int) -> Real | None:
    """The product, if it is known."""
    if not isinstance(left, Symbolic) and not isinstance(right, Symbolic):
        return left * right
    a, b = _symbolic(left), _symbolic(right)
    if a is None or b is None:
        return None
    return _exact(a.numerator * b.numerator, a.denominator * b.denominator, dtype)


def divide(left: Real, right: Real, dtype: int) -> Real | None:
    """The quotient, if it is known."""
    if not isinstance(left, Symbolic) and not isinstance(right, Symbolic):
        with np.errstate(all="ignore"):
            return left / right
    a, b = _symbolic(left), _symbolic(right)
    if a is None or b is None:
        return None
    if not isinstance(b.numerator, int):
        return _ratio(a.numerator * b.denominator, b.numerator * a.denominator, dtype)
    return _divide_by_number(a, b, b.numerator, dtype)


def _divide_by_number(a: Symbolic, b: Symbolic, divisor: int, dtype: int) -> Real | None:
    if divisor <= 0:
        return None
    numerator, denominator = a.numerator * b.denominator, a.denominator * divisor
    exact = _exact(numerator, denominator, dtype)
    if exact is not None:
        return exact
    limit = 2 ** _MANTISSA[dtype]
    if a.denominator == b.denominator == 1 and _magnitude(numerator) < limit and denominator < limit:
        return Symbolic(*_reduced(numerator, denominator), rounded=True)
    return None


def _ratio(left: Count, right: Count, dtype: int) -> Real | None:
    """The quotient of two formulas that have a constant ratio; rounded once, as every quotient is."""
    if isinstance(left, int) or isinstance(right, int) or left.terms[0][0] != right.terms[0][0]:
        return None
    numerator, denominator = left.terms[0][1], right.terms[0][1]
    if left * denominator != right * numerator or dtype == TensorProto.FLOAT16:
        return None
    if max(abs(numerator), abs(denominator)) >= 2 ** _MANTISSA[dtype]:
        return None
    return constant(numerator, dtype) / constant(denominator, dtype)


def negative(value: Real) -> Real:
    """Minus a number; exact."""
    if isinstance(value, Symbolic):
        return Symbolic(-value.numerator, value.denominator, value.rounded)
    return -value


def _symbolic(value: Real) -> Symbolic | None:
    """As an exact fraction; None for what was rounded and what is not finite."""
    if isinstance(value, Symbolic):
        return None if value.rounded else value
    return Symbolic(*float(value).as_integer_ratio()) if np.isfinite(value) else None


def _exact(numerator: Count, denominator: int, dtype: int) -> Symbolic | None:
    """A fraction that its type holds exactly, whatever the dimensions."""
    numerator, denominator = _reduced(numerator, denominator)
    bits = _MANTISSA[dtype]
    if denominator & (denominator - 1) or denominator > 2**bits or _magnitude(numerator) > 2**bits:
        return None
    return Symbolic(numerator, denominator)


def _reduced(numerator: Count, denominator: int) -> tuple[Count, int]:
    common = gcd(denominator, *(coefficient for _, coefficient in terms_of(numerator)))
    return polynomial((m, c // common) for m, c in terms_of(numerator)), denominator // common


def _magnitude(value: Count) -> int:
    """A bound of the absolute value."""
    return sum(abs(c) * math.prod(map(_atom_magnitude, monomial)) for monomial, c in terms_of(value))


def _atom_magnitude(atom: Atom) -> int:
    if isinstance(atom, str):
        return _LARGEST_SIZE
    if isinstance(atom, FloorDivision):
        return _magnitude(atom.numerator) // atom.divisor + 1
    return max(map(_magnitude, atom.operands))
