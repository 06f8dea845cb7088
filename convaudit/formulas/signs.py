"""Proofs about formulas: that one is never negative, that two are equal, for all dimensions from 1 on.

A proof replaces what is not a name by names: a floor by the line below or above it, a maximum or minimum by
its operands, each in its turn. What remains is a polynomial with rational coefficients; with ``x = x' + 1``
for each dimension it is never negative if no coefficient is. A formula's value is an integer, so a lower
bound above -1 is enough. Where no proof is found, nothing is claimed: the effort is bounded.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from itertools import chain
from typing import TypeAlias

from convaudit.formulas.polynomial import (
    Atom,
    Count,
    FloorDivision,
    Formula,
    Maximum,
    Minimum,
    Monomial,
    sorted_atoms,
    term_count,
    terms_of,
)

_MOST_STEPS = 300
_MOST_TERMS = 64
_MOST_FACTORS = 8

_Rational: TypeAlias = dict[Monomial, Fraction]


def is_nonnegative(value: Count) -> bool:
    """Whether a count is proven to be at least 0, whatever the dimensions.

    >>> from convaudit.formulas import parse
    >>> is_nonnegative(parse("H - floor(H/2)")), is_nonnegative(parse("H - 2"))
    (True, False)
    """
    if isinstance(value, int):
        return value >= 0
    return min(value.samples) >= 0 and _is_proven(value)


def is_equal(first: Count, second: Count) -> bool:
    """Whether two counts are proven to be equal, however they are written."""
    return first == second or (is_nonnegative(first - second) and is_nonnegative(second - first))


@lru_cache(maxsize=4096)
def _is_proven(value: Formula) -> bool:
    if term_count(value) > _MOST_TERMS:
        return False
    return _Proof().holds({monomial: Fraction(coefficient) for monomial, coefficient in value.terms})


class _Proof:
    """One search for a proof, of bounded effort."""

    def __init__(self) -> None:
        self._steps = 0

    def holds(self, terms: _Rational) -> bool:
        """Whether the polynomial is proven to be above -1."""
        self._steps += 1
        if self._steps > _MOST_STEPS or len(terms) > _MOST_TERMS:
            return False
        if any(len(monomial) > _MOST_FACTORS for monomial in terms):
            return False
        atom = _outermost(terms)
        if atom is None:
            return _is_positive_polynomial(terms)
        if isinstance(atom, FloorDivision):
            return self._floor(terms, atom)
        return self._extreme(terms, atom)

    def _floor(self, terms: _Rational, atom: FloorDivision) -> bool:
        if not self._has_nonnegative_cofactors(terms, atom):
            return False
        numerator = _rational(atom.numerator)
        above = _scaled(numerator, Fraction(1, atom.divisor))
        below = _sum(above, {(): Fraction(1 - atom.divisor, atom.divisor)})
        if self.holds(_replace(terms, atom, below, above)):
            return True
        least = max(atom.numerator.samples[0] // atom.divisor, 0)
        reaches = self.holds(_sum(numerator, {(): Fraction(-least * atom.divisor)}))
        return reaches and self.holds(_replace(terms, atom, {(): Fraction(least)}, above))

    def _extreme(self, terms: _Rational, atom: Maximum | Minimum) -> bool:
        operands = [_rational(operand) for operand in atom.operands]
        sign = 1 if isinstance(atom, Maximum) else -1
        monomials = [monomial for monomial in terms if atom in monomial]
        if all(
            sign * terms[monomial] > 0 and monomial.count(atom) == 1 for monomial in monomials
        ) and self._has_nonnegative_cofactors(terms, atom):
            return any(self.holds(_replace(terms, atom, part, part)) for part in operands)
        # it is one of them, whichever
        return all(self.holds(_replace_all(terms, atom, part)) for part in operands)

    def _has_nonnegative_cofactors(self, terms: _Rational, atom: Atom) -> bool:
        others = [_without(monomial, atom) for monomial in terms if atom in monomial]
        return all(self._is_nonnegative(other) for other in set(chain.from_iterable(others)))

    def _is_nonnegative(self, atom: Atom) -> bool:
        match atom:
            case str():
                return True
            case FloorDivision():
                return self.holds(_rational(atom.numerator))
            case Maximum():
                return any(self.holds(_rational(operand)) for operand in atom.operands)
            case Minimum():
                return all(self.holds(_rational(operand)) for operand in atom.operands)


def _is_positive_polynomial(terms: _Rational) -> bool:
    """Whether, in names only, it is above -1 for all sizes from 1 on."""
    shifted: _Rational = {}
    for monomial, coefficient in terms.items():
        expanded: _Rational = {(): coefficient}
        for name in monomial:
            # (x' + 1) * expanded
            expanded = _sum(expanded, {sorted_atoms((*other, name)): c for other, c in expanded.items()})
        shifted = _sum(shifted, expanded)
    return shifted.pop((), Fraction(0)) > -1 and all(value >= 0 for value in shifted.values())


def _outermost(terms: _Rational) -> FloorDivision | Maximum | Minimum | None:
    """An atom that is not a name; the longest first, for others may be inside it."""
    atoms = {atom for monomial in terms for atom in monomial if not isinstance(atom, str)}
    return max(atoms, key=lambda atom: len(str(atom))) if atoms else None


def _replace(terms: _Rational, atom: Atom, below: _Rational, above: _Rational) -> _Rational:
    """A lower bound: one factor ``atom`` of every term that has it is replaced by its own bound."""
    result: _Rational = {}
    for monomial, coefficient in terms.items():
        if atom in monomial:
            bound = below if coefficient > 0 else above
            rest = {_without(monomial, atom): coefficient}
            result = _sum(result, _times(rest, bound))
        else:
            result = _sum(result, {monomial: coefficient})
    return result


def _replace_all(terms: _Rational, atom: Atom, value: _Rational) -> _Rational:
    while any(atom in monomial for monomial in terms):
        terms = _replace(terms, atom, value, value)
    return terms


def _rational(value: Count) -> _Rational:
    return {monomial: Fraction(coefficient) for monomial, coefficient in terms_of(value)}


def _without(monomial: Monomial, atom: Atom) -> Monomial:
    index = monomial.index(atom)
    return monomial[:index] + monomial[index + 1 :]


def _sum(left: _Rational, right: _Rational) -> _Rational:
    result = dict(left)
    for monomial, coefficient in right.items():
        result[monomial] = result.get(monomial, Fraction(0)) + coefficient
    return {monomial: coefficient for monomial, coefficient in result.items() if coefficient}


def _scaled(terms: _Rational, factor: Fraction) -> _Rational:
    return {monomial: coefficient * factor for monomial, coefficient in terms.items()}


def _times(left: _Rational, right: _Rational) -> _Rational:
    result: _Rational = {}
    for first, a in left.items():
        result = _sum(result, {sorted_atoms(first + second): a * b for second, b in right.items()})
    return result
