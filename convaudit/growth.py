"""How a formula grows: its leading terms, for reading and for comparing.

``floor((H-1)/2) + 1`` times ``9408*W`` is, for sizes that matter, ``4704*H*W``. Tables show that, marked as
an approximation; the exact formula is in the JSON.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TypeAlias

from convaudit.formulas import Atom, Count, FloorDivision, Formula, Maximum, Monomial

Growth: TypeAlias = dict[Monomial, Fraction]
"""The terms of the highest degree, floors taken as plain divisions."""


def growth(count: Count) -> Growth:
    """Leading terms of a count.

    >>> from convaudit.formulas import parse
    >>> growth(parse("floor((H - 1)/2)*6*W + W"))
    {('H', 'W'): Fraction(3, 1)}
    """
    if isinstance(count, int):
        return {(): Fraction(count)}
    total: Growth = {}
    for monomial, coefficient in count.terms:
        term: Growth = {(): Fraction(coefficient)}
        for atom in monomial:
            term = _multiply(term, _atom_growth(atom))
        for key, value in term.items():
            total[key] = total.get(key, Fraction(0)) + value
    degree = max(map(len, total))
    return {monomial: value for monomial, value in total.items() if len(monomial) == degree}


def ratio(part: Count, whole: Count) -> float | None:
    """``part / whole``; of formulas the ratio of their leading terms, None if it varies with the dimensions.

    >>> ratio(1, 4)
    0.25
    """
    parts, wholes = growth(part), growth(whole)
    if part == 0 or parts.keys() != wholes.keys():
        return 0.0 if part == 0 and whole != 0 else None
    ratios = {parts[monomial] / wholes[monomial] for monomial in parts}
    return float(ratios.pop()) if len(ratios) == 1 else None


def is_exact(formula: Formula) -> bool:
    """Whether the leading terms are the whole formula."""
    return growth(formula) == {monomial: Fraction(value) for monomial, value in formula.terms}


def _atom_growth(atom: Atom) -> Growth:
    if isinstance(atom, FloorDivision):
        return {monomial: value / atom.divisor for monomial, value in growth(atom.numerator).items()}
    if isinstance(atom, Maximum):
        return _largest([growth(operand) for operand in atom.operands]) or {(atom,): Fraction(1)}
    return {(atom,): Fraction(1)}


def _largest(candidates: list[Growth]) -> Growth | None:
    """Of the highest degree the largest leading term; None if which it is depends on the sizes."""
    degree = max(len(next(iter(terms))) for terms in candidates)
    highest = [terms for terms in candidates if len(next(iter(terms))) == degree]
    if len({tuple(terms) for terms in highest}) > 1 or len(highest[0]) > 1:
        return None
    return max(highest, key=lambda terms: next(iter(terms.values())))


def _multiply(left: Growth, right: Growth) -> Growth:
    result: Growth = {}
    for first, a in left.items():
        for second, b in right.items():
            monomial = tuple(sorted(first + second, key=str))
            result[monomial] = result.get(monomial, Fraction(0)) + a * b
    return result
