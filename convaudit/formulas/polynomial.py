"""The polynomial: terms, their arithmetic, their text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import gcd, prod
from typing import TypeAlias, Union
from zlib import crc32

Atom: TypeAlias = Union[str, "FloorDivision", "Maximum", "Minimum"]
Monomial: TypeAlias = tuple[Atom, ...]
"""Atoms multiplied with each other, sorted by their text; a power is repetition."""
Count: TypeAlias = Union[int, "Formula"]
"""An exact integer, or the formula for it."""


@dataclass(frozen=True)
class FloorDivision:
    """``floor(numerator / divisor)``, the atom that a stride leaves behind.

    The numerator's constant is at least 0 and less than the divisor; its first coefficient is positive.
    """

    numerator: Formula
    divisor: int

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        constant = dict(self.numerator.terms).get((), 0)
        if constant == self.divisor - 1:
            # the way people write it: ceil(H/2), not floor((H + 1)/2)
            return f"ceil({_operand(self.numerator - constant)}/{self.divisor})"
        return f"floor({_operand(self.numerator)}/{self.divisor})"


@dataclass(frozen=True)
class Maximum:
    """``max(a, b)`` of formulas of which none is always the largest."""

    operands: tuple[Count, ...]

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        return f"max({', '.join(str(operand) for operand in self.operands)})"


@dataclass(frozen=True)
class Minimum:
    """``min(a, b)`` of formulas of which none is always the smallest."""

    operands: tuple[Count, ...]

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        return f"min({', '.join(str(operand) for operand in self.operands)})"


@dataclass(frozen=True)
class Formula:
    """A polynomial in symbolic dimensions. Build one with ``symbol`` or ``parse``, then calculate."""

    terms: tuple[tuple[Monomial, int], ...]

    def __add__(self, other: object) -> Count:
        if not isinstance(other, int | Formula):
            return NotImplemented
        return polynomial([*self.terms, *terms_of(other)])

    def __mul__(self, other: object) -> Count:
        if not isinstance(other, int | Formula):
            return NotImplemented
        return polynomial(
            (sorted_atoms(left + right), a * b) for left, a in self.terms for right, b in terms_of(other)
        )

    def __floordiv__(self, divisor: object) -> Count:
        if not isinstance(divisor, int) or divisor == 0:
            return NotImplemented
        return (-self) // (-divisor) if divisor < 0 else _floor_divide(self, divisor)

    def __mod__(self, divisor: object) -> Count:
        if not isinstance(divisor, int) or divisor == 0:
            return NotImplemented
        return self - self // divisor * divisor

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

    @cached_property
    def samples(self) -> tuple[int, ...]:
        """Values at a few sizes: they refute at once most of what is not true."""
        return tuple([_value(self, scale) for scale in _SCALES])

    def substitute(self, sizes: Mapping[str, Count]) -> Count:
        """The formula with the dimensions named in ``sizes`` replaced by their values."""
        total: Count = 0
        for monomial, coefficient in self.terms:
            term: Count = coefficient
            for atom in monomial:
                term = term * _substitute_atom(atom, sizes)
            total = total + term
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


_SCALES = (0, 1, 7, 1000, 10**6)


def _value(count: Count, scale: int) -> int:
    """A count's value where all dimensions are about as large as ``scale``, and different."""
    if isinstance(count, int):
        return count
    return sum(
        coefficient * prod(_atom_value(atom, scale) for atom in monomial)
        for monomial, coefficient in count.terms
    )


def _atom_value(atom: Atom, scale: int) -> int:
    if isinstance(atom, str):
        return 1 + scale * (1 + crc32(atom.encode()) % 97) // 10
    if isinstance(atom, FloorDivision):
        return _value(atom.numerator, scale) // atom.divisor
    values = [_value(operand, scale) for operand in atom.operands]
    return max(values) if isinstance(atom, Maximum) else min(values)


def samples(count: Count) -> tuple[int, ...]:
    """Values of a count at the same sizes as ``Formula.samples``."""
    return count.samples if isinstance(count, Formula) else (count,) * len(_SCALES)


def symbol(name: str) -> Formula:
    """The formula of one symbolic dimension."""
    return Formula((((name,), 1),))


def term_count(value: Count) -> int:
    """How many terms a count has, those inside its floors, maxima and minima included."""
    return sum(1 + sum(map(_atom_terms, monomial)) for monomial, _ in terms_of(value))


def terms_of(value: Count) -> tuple[tuple[Monomial, int], ...]:
    """Monomials and coefficients of a count."""
    return value.terms if isinstance(value, Formula) else (((), value),)


def of_atom(atom: Atom) -> Formula:
    """The formula that is one atom."""
    return Formula((((atom,), 1),))


def sorted_atoms(monomial: Monomial) -> Monomial:
    """A monomial's atoms sorted, so that equal products are identical."""
    return tuple(sorted(monomial, key=str))


def polynomial(terms: Iterable[tuple[Monomial, int]]) -> Count:
    """The sum of terms, collected."""
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
        term = polynomial([(monomial, 1)])
        if monomial and coefficient % divisor:
            rest = rest + term * coefficient
        else:
            # of the constant, whole multiples of the divisor leave the floor as well
            whole = whole + term * (coefficient // divisor)
            rest = rest + term * (coefficient % divisor)
    if isinstance(rest, int):
        return whole + rest // divisor
    if rest.terms[0][1] < 0:
        # floor(-x/n) == -ceil(x/n): one form for one value, and the one that people write
        return whole - (-rest + (divisor - 1)) // divisor
    common = gcd(divisor, *(coefficient for monomial, coefficient in rest.terms if monomial))
    if common > 1:
        # floor((g*x + c)/(g*n)) == floor((x + floor(c/g))/n)
        reduced = polynomial((monomial, coefficient // common) for monomial, coefficient in rest.terms)
        return whole + reduced // (divisor // common)
    inner = _single_floor(rest)
    if inner is not None:
        # floor((floor(x/m) + c)/n) == floor((x + c*m)/(m*n)): successive strides merge into one
        floor, constant = inner
        return whole + (floor.numerator + constant * floor.divisor) // (floor.divisor * divisor)
    return whole + of_atom(FloorDivision(rest, divisor))


def _single_floor(formula: Formula) -> tuple[FloorDivision, int] | None:
    constant = dict(formula.terms).get((), 0)
    varying = [(monomial, coefficient) for monomial, coefficient in formula.terms if monomial]
    if len(varying) == 1 and varying[0][1] == 1 and len(varying[0][0]) == 1:
        atom = varying[0][0][0]
        if isinstance(atom, FloorDivision):
            return atom, constant
    return None


def _parts(atom: FloorDivision | Maximum | Minimum) -> tuple[Count, ...]:
    return (atom.numerator,) if isinstance(atom, FloorDivision) else atom.operands


def _inner_symbols(atom: FloorDivision | Maximum | Minimum) -> frozenset[str]:
    return frozenset().union(*(part.symbols for part in _parts(atom) if isinstance(part, Formula)))


def _atom_terms(atom: Atom) -> int:
    return 0 if isinstance(atom, str) else sum(map(term_count, _parts(atom)))


def _substitute_atom(atom: Atom, sizes: Mapping[str, Count]) -> Count:
    from convaudit.formulas.extremes import maximum, minimum

    if isinstance(atom, str):
        return sizes.get(atom, symbol(atom))
    if isinstance(atom, FloorDivision):
        return atom.numerator.substitute(sizes) // atom.divisor
    replaced = [part.substitute(sizes) if isinstance(part, Formula) else part for part in atom.operands]
    return (maximum if isinstance(atom, Maximum) else minimum)(*replaced)


def _operand(numerator: Count) -> str:
    return f"({numerator})" if len(terms_of(numerator)) > 1 else str(numerator)


def _power_text(atom: Atom, power: int) -> str:
    text = str(atom)
    if isinstance(atom, str) and not re.fullmatch(PLAIN_NAME, atom):
        # a name with blanks or operators in it must not read as arithmetic
        text = "[" + re.sub(r"([\\\[\]])", r"\\\1", atom) + "]"
    return text if power == 1 else f"{text}^{power}"


PLAIN_NAME = r"[\w.]*[^\W\d][\w.]*"
"""Names that need no brackets: letters, digits, dots and underscores, and not a number."""
