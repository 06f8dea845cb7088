"""Exact integer formulas in a model's own dimension names, such as ``1204224*batch*H*W``.

A dimension or a count is an ``int`` where it is known and a ``Formula`` where it depends on a symbolic
dimension. A formula is a polynomial with integer coefficients whose atoms are dimension names, floor
divisions (strides make them) and maxima (exclusive branches make them). Arithmetic that ends in a constant
gives back a plain ``int``, so no caller has to ask which of the two it holds.

This is a small class of our own because a dynamic batch is the most common case of all, and a computer
algebra system costs more to import than the whole audit takes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from math import gcd, prod
from typing import TypeAlias, Union

Atom: TypeAlias = Union[str, "FloorDivision", "Maximum"]
Monomial: TypeAlias = tuple[Atom, ...]
"""Atoms multiplied with each other, sorted by their text; a power is repetition."""
Count: TypeAlias = Union[int, "Formula"]
"""An exact non-negative integer, or the formula for it."""


@dataclass(frozen=True)
class FloorDivision:
    """``floor(numerator / divisor)``, the atom that a stride leaves behind."""

    numerator: Formula
    divisor: int

    def __str__(self) -> str:
        numerator = str(self.numerator)
        return (
            f"floor({numerator}/{self.divisor})"
            if numerator.isidentifier()
            else (f"floor(({numerator})/{self.divisor})")
        )


@dataclass(frozen=True)
class Maximum:
    """``max(a, b)`` of two formulas of which neither is always the larger."""

    operands: tuple[Count, ...]

    def __str__(self) -> str:
        return f"max({', '.join(str(operand) for operand in self.operands)})"


@dataclass(frozen=True)
class Formula:
    """A polynomial in symbolic dimensions. Build one with ``symbol`` or ``parse``, then calculate."""

    terms: tuple[tuple[Monomial, int], ...]

    def __add__(self, other: object) -> Count:
        if not isinstance(other, int | Formula):
            return NotImplemented
        return _polynomial([*self.terms, *_terms(other)])

    def __mul__(self, other: object) -> Count:
        if not isinstance(other, int | Formula):
            return NotImplemented
        return _polynomial(
            (_sorted(left + right), a * b) for left, a in self.terms for right, b in _terms(other)
        )

    def __floordiv__(self, divisor: object) -> Count:
        if not isinstance(divisor, int) or divisor == 0:
            return NotImplemented
        return (-self) // (-divisor) if divisor < 0 else _floor_divide(self, divisor)

    def __neg__(self) -> Count:
        return self * -1

    def __sub__(self, other: object) -> Count:
        return self + -other if isinstance(other, int | Formula) else NotImplemented

    def __rsub__(self, other: object) -> Count:
        return -self + other if isinstance(other, int) else NotImplemented

    __radd__ = __add__
    __rmul__ = __mul__

    @property
    def symbols(self) -> frozenset[str]:
        """Names of all symbolic dimensions in the formula."""
        names: set[str] = set()
        for monomial, _ in self.terms:
            for atom in monomial:
                names |= {atom} if isinstance(atom, str) else _inner_symbols(atom)
        return frozenset(names)

    def substitute(self, sizes: Mapping[str, Count]) -> Count:
        """The formula with the dimensions named in ``sizes`` replaced by their values."""
        total: Count = 0
        for monomial, coefficient in self.terms:
            product: Count = coefficient
            for atom in monomial:
                product = product * _substitute_atom(atom, sizes)
            total = total + product
        return total

    def __str__(self) -> str:
        text = ""
        for monomial, coefficient in self.terms:
            factors = [_power_text(atom, monomial.count(atom)) for atom in dict.fromkeys(monomial)]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            sign = "-" if coefficient < 0 else "+"
            lead = ("-" if coefficient < 0 else "") if not text else f" {sign} "
            text += lead + "*".join(factors)
        return text


def symbol(name: str) -> Formula:
    """The formula of one symbolic dimension."""
    return Formula((((name,), 1),))


def product(factors: Iterable[Count]) -> Count:
    """Product of integers and formulas; 1 of nothing."""
    return prod(factors)


def ceil_divide(value: Count, divisor: int) -> Count:
    """``ceil(value / divisor)`` for a positive divisor."""
    return (value + (divisor - 1)) // divisor


def maximum(first: Count, second: Count) -> Count:
    """The larger of two counts; where that depends on the dimensions, the formula ``max(a, b)``.

    Dimensions are at least 1, so one polynomial dominates when their difference has no negative coefficient.
    """
    difference = _terms(first - second)
    if all(coefficient >= 0 for _, coefficient in difference):
        return first
    if all(coefficient <= 0 for _, coefficient in difference):
        return second
    return Formula((((Maximum((first, second)),), 1),))


def parse(text: str) -> Count:
    """Read a dimension's text: ``"batch"``, ``"2*H"``, ``"floor(H/2 - 1/2) + 1"``, ``"s0 // 2"``.

    Text that is no such expression, or an absurdly large one, is a name: models are free to call a dimension
    ``"height in pixels"``.
    """
    try:
        if len(text) > _MAX_TEXT:
            raise ValueError("too long for a dimension")
        value = _evaluate(ast.parse(text.strip(), mode="eval").body)
        return _integral(value)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
        return symbol(text)


# --- the polynomial -------------------------------------------------------------------------------------


def _terms(value: Count) -> tuple[tuple[Monomial, int], ...]:
    return value.terms if isinstance(value, Formula) else (((), value),)


def _sorted(monomial: Monomial) -> Monomial:
    return tuple(sorted(monomial, key=str))


def _polynomial(terms: Iterable[tuple[Monomial, int]]) -> Count:
    collected: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        collected[monomial] = collected.get(monomial, 0) + coefficient
    kept = {monomial: coefficient for monomial, coefficient in collected.items() if coefficient}
    if set(kept) <= {()}:
        return kept.get((), 0)
    # highest degree first, then by name: one order for one polynomial, so that equal means identical
    order = sorted(kept, key=lambda monomial: (-len(monomial), tuple(str(atom) for atom in monomial)))
    return Formula(tuple((monomial, kept[monomial]) for monomial in order))


def _floor_divide(formula: Formula, divisor: int) -> Count:
    whole: Count = 0
    rest: Count = 0
    for monomial, coefficient in formula.terms:
        term = _polynomial([(monomial, 1)])
        if monomial and coefficient % divisor:
            rest = rest + term * coefficient
        else:
            # of the constant, whole multiples of the divisor leave the floor as well
            whole = whole + term * (coefficient // divisor)
            rest = rest + term * (coefficient % divisor)
    if isinstance(rest, int):
        return whole + rest // divisor
    common = gcd(divisor, *(coefficient for monomial, coefficient in rest.terms if monomial))
    if common > 1:
        # floor((g*x + c)/(g*n)) == floor((x + floor(c/g))/n)
        reduced = _polynomial((monomial, coefficient // common) for monomial, coefficient in rest.terms)
        return whole + reduced // (divisor // common)
    inner = _single_floor(rest)
    if inner is not None:
        # floor((floor(x/m) + c)/n) == floor((x + c*m)/(m*n)): successive strides merge into one
        floor, constant = inner
        return whole + (floor.numerator + constant * floor.divisor) // (floor.divisor * divisor)
    return whole + Formula((((FloorDivision(rest, divisor),), 1),))


def _single_floor(formula: Formula) -> tuple[FloorDivision, int] | None:
    constant = dict(formula.terms).get((), 0)
    varying = [(monomial, coefficient) for monomial, coefficient in formula.terms if monomial]
    if len(varying) == 1 and varying[0][1] == 1 and len(varying[0][0]) == 1:
        atom = varying[0][0][0]
        if isinstance(atom, FloorDivision):
            return atom, constant
    return None


def _inner_symbols(atom: FloorDivision | Maximum) -> frozenset[str]:
    inner = (atom.numerator,) if isinstance(atom, FloorDivision) else atom.operands
    return frozenset().union(*(part.symbols for part in inner if isinstance(part, Formula)))


def _substitute_atom(atom: Atom, sizes: Mapping[str, Count]) -> Count:
    if isinstance(atom, str):
        return sizes.get(atom, symbol(atom))
    if isinstance(atom, FloorDivision):
        return atom.numerator.substitute(sizes) // atom.divisor
    replaced = [part.substitute(sizes) if isinstance(part, Formula) else part for part in atom.operands]
    return reduce(maximum, replaced)


def _power_text(atom: Atom, power: int) -> str:
    text = str(atom)
    if isinstance(atom, str) and not re.fullmatch(r"[\w.]+", atom):
        text = f"[{atom}]"  # a name with blanks or operators in it must not read as arithmetic
    return text if power == 1 else f"{text}^{power}"


# --- reading text ---------------------------------------------------------------------------------------

# A dimension's text comes from an untrusted file: "((a+b)**16)**16" must not cost a minute.
_MAX_TEXT = 500
_MAX_TERMS = 200
_MAX_PRODUCTS = 50 * _MAX_TERMS
_MAX_COEFFICIENT = 2**256

_Ratio: TypeAlias = tuple[Count, int]
"""Numerator and positive denominator, reduced: ``floor(H/2 - 1/2)`` only becomes integral at its floor."""


def _ratio(numerator: Count, denominator: int) -> _Ratio:
    common = gcd(denominator, *(coefficient for _, coefficient in _terms(numerator)))
    return _polynomial((m, c // common) for m, c in _terms(numerator)), denominator // common


def _integral(value: _Ratio) -> Count:
    numerator, denominator = value
    if denominator != 1:
        raise ValueError("not an integer")
    return numerator


def _floor(value: _Ratio) -> _Ratio:
    numerator, denominator = value
    return numerator // denominator, 1


def _ceiling(value: _Ratio) -> _Ratio:
    return ceil_divide(*value), 1


def _negative(value: _Ratio) -> _Ratio:
    numerator, denominator = value
    return -numerator, denominator


def _add(left: _Ratio, right: _Ratio) -> _Ratio:
    return _ratio(left[0] * right[1] + right[0] * left[1], left[1] * right[1])


def _multiply(left: _Ratio, right: _Ratio) -> _Ratio:
    if len(_terms(left[0])) * len(_terms(right[0])) > _MAX_PRODUCTS:
        raise ValueError("too large for a dimension")
    numerator = left[0] * right[0]
    coefficients = [abs(coefficient) for _, coefficient in _terms(numerator)]
    if len(coefficients) > _MAX_TERMS or max(coefficients) > _MAX_COEFFICIENT:
        raise ValueError("too large for a dimension")
    return _ratio(numerator, left[1] * right[1])


def _divide(left: _Ratio, right: _Ratio) -> _Ratio:
    divisor = right[0]
    if not isinstance(divisor, int) or divisor == 0:
        raise ValueError("only a division by a number is a formula")
    sign = 1 if divisor > 0 else -1
    return _multiply(left, (sign * right[1], abs(divisor)))


def _power(base: _Ratio, exponent: _Ratio) -> _Ratio:
    count = _integral(exponent)
    if not isinstance(count, int) or not 1 <= count <= 16:
        raise ValueError("only small whole powers are formulas")
    return reduce(_multiply, [base] * count)


_OPERATORS: dict[type[ast.operator], Callable[[_Ratio, _Ratio], _Ratio]] = {
    ast.Add: _add,
    ast.Sub: lambda left, right: _add(left, _negative(right)),
    ast.Mult: _multiply,
    ast.Div: _divide,
    ast.FloorDiv: lambda left, right: _floor(_divide(left, right)),
    ast.Pow: _power,
}


def _evaluate(node: ast.expr) -> _Ratio:  # noqa: PLR0911  # one case a line reads best
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return value, 1
        case ast.Name(id=name):
            return symbol(name), 1
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _negative(_evaluate(operand))
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            return _OPERATORS[type(operator)](_evaluate(left), _evaluate(right))
        case ast.Call(func=ast.Name(id="floor"), args=[argument], keywords=[]):
            return _floor(_evaluate(argument))
        case ast.Call(func=ast.Name(id="ceiling" | "ceil"), args=[argument], keywords=[]):
            return _ceiling(_evaluate(argument))
        case ast.Call(func=ast.Name(id="max" | "Max"), args=[first, *others], keywords=[]):
            operands = [_integral(_evaluate(argument)) for argument in (first, *others)]
            return reduce(maximum, operands), 1
        case _:
            raise ValueError("not a formula")
