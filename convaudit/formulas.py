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
from fractions import Fraction
from functools import reduce
from math import lcm, prod
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
_MAX_COEFFICIENT = 2**256

_Rational: TypeAlias = dict[Monomial, Fraction]
"""While reading, coefficients may be fractions: ``floor(H/2 - 1/2)`` only becomes integral at its floor."""


def _integral(value: _Rational) -> Count:
    if any(coefficient.denominator != 1 for coefficient in value.values()):
        raise ValueError("not an integer")
    return _polynomial((monomial, int(coefficient)) for monomial, coefficient in value.items())


def _floor(value: _Rational) -> _Rational:
    denominator = lcm(*(coefficient.denominator for coefficient in value.values()))
    scaled = _polynomial((monomial, int(c * denominator)) for monomial, c in value.items())
    return {monomial: Fraction(c) for monomial, c in _terms(scaled // denominator)}


def _ceiling(value: _Rational) -> _Rational:
    denominator = lcm(*(coefficient.denominator for coefficient in value.values()))
    return _floor(_add(value, {(): Fraction(denominator - 1, denominator)}))


def _scaled(value: _Rational, factor: Fraction) -> _Rational:
    return {monomial: coefficient * factor for monomial, coefficient in value.items()}


def _add(left: _Rational, right: _Rational) -> _Rational:
    return {m: left.get(m, Fraction(0)) + right.get(m, Fraction(0)) for m in {**left, **right}}


def _multiply(left: _Rational, right: _Rational) -> _Rational:
    result: _Rational = {}
    for a, x in left.items():
        for b, y in right.items():
            monomial = _sorted(a + b)
            result[monomial] = result.get(monomial, Fraction(0)) + x * y
    if len(result) > _MAX_TERMS or any(abs(c.numerator) > _MAX_COEFFICIENT for c in result.values()):
        raise ValueError("too large for a dimension")
    return result


def _divide(left: _Rational, right: _Rational) -> _Rational:
    if set(right) != {()}:
        raise ValueError("only a division by a number is a formula")
    return _scaled(left, 1 / right[()])


def _power(base: _Rational, exponent: _Rational) -> _Rational:
    count = exponent.get((), Fraction(-1))
    if set(exponent) != {()} or count.denominator != 1 or not 1 <= count <= 16:
        raise ValueError("only small whole powers are formulas")
    return reduce(_multiply, [base] * int(count))


_OPERATORS: dict[type[ast.operator], Callable[[_Rational, _Rational], _Rational]] = {
    ast.Add: _add,
    ast.Sub: lambda left, right: _add(left, _scaled(right, Fraction(-1))),
    ast.Mult: _multiply,
    ast.Div: _divide,
    ast.FloorDiv: lambda left, right: _floor(_divide(left, right)),
    ast.Pow: _power,
}


def _evaluate(node: ast.expr) -> _Rational:  # noqa: PLR0911  # one case a line reads best
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return {(): Fraction(value)}
        case ast.Name(id=name):
            return {(name,): Fraction(1)}
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _scaled(_evaluate(operand), Fraction(-1))
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            return _OPERATORS[type(operator)](_evaluate(left), _evaluate(right))
        case ast.Call(func=ast.Name(id="floor"), args=[argument], keywords=[]):
            return _floor(_evaluate(argument))
        case ast.Call(func=ast.Name(id="ceiling" | "ceil"), args=[argument], keywords=[]):
            return _ceiling(_evaluate(argument))
        case ast.Call(func=ast.Name(id="max" | "Max"), args=[first, *others], keywords=[]):
            operands = [_integral(_evaluate(argument)) for argument in (first, *others)]
            return {monomial: Fraction(c) for monomial, c in _terms(reduce(maximum, operands))}
        case _:
            raise ValueError("not a formula")
