"""How a formula grows: its leading terms, for reading and for comparing.

``floor((H-1)/2) + 1`` times ``9408*W`` is, for sizes that matter, ``4704*H*W``. Tables show that, marked as
an approximation; the exact formula is in the JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeAlias

from convaudit.formulas.polynomial import (
    Atom,
    Count,
    FloorDivision,
    Formula,
    Maximum,
    Minimum,
    Monomial,
    sorted_atoms,
)

LeadingTerms: TypeAlias = dict[Monomial, Fraction]
"""The terms of the highest degree, floors taken as plain divisions."""


def leading_terms(count: Count) -> LeadingTerms:
    """Leading terms of a count.

    >>> from convaudit.formulas import parse
    >>> leading_terms(parse("floor((H - 1)/2)*6*W + W"))
    {('H', 'W'): Fraction(3, 1)}
    """
    if isinstance(count, int):
        return {(): Fraction(count)}
    total: LeadingTerms = {}
    for monomial, coefficient in count.terms:
        term: LeadingTerms = {(): Fraction(coefficient)}
        for atom in monomial:
            term = _multiply(term, _of_atom(atom))
        for key, value in term.items():
            total[key] = total.get(key, Fraction(0)) + value
    kept = {monomial: value for monomial, value in total.items() if value} or {(): Fraction(0)}
    degree = max(map(len, kept))
    return {monomial: value for monomial, value in kept.items() if len(monomial) == degree}


def ratio(part: Count | None, whole: Count | None) -> float | None:
    """``part / whole``; of formulas the ratio of their leading terms.

    None if it varies with the dimensions, or if either is unknown.

    >>> ratio(1, 4)
    0.25
    """
    if part is None or whole is None:
        return None
    parts, wholes = leading_terms(part), leading_terms(whole)
    if part == 0 or parts.keys() != wholes.keys():
        return 0.0 if part == 0 and whole != 0 else None
    if 0 in wholes.values():
        return None
    ratios = {parts[monomial] / wholes[monomial] for monomial in parts}
    return float(ratios.pop()) if len(ratios) == 1 else None


def is_exact(formula: Formula) -> bool:
    """Whether the leading terms are the whole formula."""
    return leading_terms(formula) == {monomial: Fraction(value) for monomial, value in formula.terms}


def _of_atom(atom: Atom) -> LeadingTerms:
    if isinstance(atom, FloorDivision):
        return {monomial: value / atom.divisor for monomial, value in leading_terms(atom.numerator).items()}
    if isinstance(atom, Maximum | Minimum):
        candidates = [leading_terms(operand) for operand in atom.operands]
        return _extreme(candidates, max if isinstance(atom, Maximum) else min) or {(atom,): Fraction(1)}
    return {(atom,): Fraction(1)}


def _extreme(candidates: list[LeadingTerms], choose: Callable[..., Any]) -> LeadingTerms | None:
    """The leading term that wins in the end; None if which it is depends on the sizes."""
    if any(len(terms) > 1 for terms in candidates):
        return None
    # in the end, a negative term of a higher degree is smaller than any other
    ranked = [
        ((len(monomial) if value > 0 else -len(monomial)), value, monomial)
        for terms in candidates
        for monomial, value in terms.items()
    ]
    degree = choose(rank for rank, _, _ in ranked)
    highest = [(value, monomial) for rank, value, monomial in ranked if rank == degree]
    if len({monomial for _, monomial in highest}) > 1:
        return None
    value, monomial = choose(highest)
    return {monomial: value}


def _multiply(left: LeadingTerms, right: LeadingTerms) -> LeadingTerms:
    result: LeadingTerms = {}
    for first, a in left.items():
        for second, b in right.items():
            monomial = sorted_atoms(first + second)
            result[monomial] = result.get(monomial, Fraction(0)) + a * b
    return result
