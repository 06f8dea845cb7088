"""Exact integer formulas in a model's own dimension names, such as ``1204224*batch*H*W``.

A dimension or a count is an ``int`` where it is known and a ``Formula`` where it depends on a symbolic
dimension. A formula is a polynomial with integer coefficients whose atoms are dimension names, floor
divisions (strides make them), maxima and minima (exclusive branches and clamped slices make them). Arithmetic
that ends in a constant gives back a plain ``int``, so no caller has to ask which of the two it holds. A count
that may be unknown is ``Count | None``: ``add``, ``multiply`` and their like are the arithmetic of those.

Dimensions are at least 1: what is said of a formula's sign holds for all sizes from 1 on.

This is a small class of our own because a dynamic batch is the most common case of all, and a computer
algebra system costs more to import than the whole audit takes.
"""

from convaudit.formulas.division import ceil_divide, quotient
from convaudit.formulas.extremes import maximum, minimum
from convaudit.formulas.polynomial import (
    Atom,
    Count,
    FloorDivision,
    Formula,
    Maximum,
    Minimum,
    Monomial,
    symbol,
    term_count,
)
from convaudit.formulas.signs import is_equal, is_nonnegative
from convaudit.formulas.text import parse
from convaudit.formulas.unknown import add, floor_divide, largest, multiply, product, substitute, subtract

__all__ = [
    "Atom",
    "Count",
    "FloorDivision",
    "Formula",
    "Maximum",
    "Minimum",
    "Monomial",
    "add",
    "ceil_divide",
    "floor_divide",
    "is_equal",
    "is_nonnegative",
    "largest",
    "maximum",
    "minimum",
    "multiply",
    "parse",
    "product",
    "quotient",
    "substitute",
    "subtract",
    "symbol",
    "term_count",
]
