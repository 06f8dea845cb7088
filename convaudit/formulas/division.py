"""Division of formulas: upwards, and by another formula where that leaves no rest."""

from __future__ import annotations

from collections import Counter

from convaudit.formulas.polynomial import Atom, Count, Monomial, polynomial, sorted_atoms, terms_of

_MOST_STEPS = 64


def ceil_divide(value: Count, divisor: int) -> Count:
    """``ceil(value / divisor)`` for a positive divisor."""
    return (value + (divisor - 1)) // divisor


def quotient(value: Count, divisor: Count) -> Count | None:
    """``value / divisor`` where the one is the other times a polynomial; else None.

    >>> from convaudit.formulas import parse
    >>> print(quotient(parse("6*N*H + 3*N"), parse("3*N")), quotient(parse("H"), 2))
    2*H + 1 None
    """
    if divisor == 0:
        return None
    atoms = sorted({atom for m, _ in (*terms_of(value), *terms_of(divisor)) for atom in m}, key=str)
    lead, factor = max(terms_of(divisor), key=lambda term: _rank(term[0], atoms))
    result: Count = 0
    rest = value
    for _ in range(_MOST_STEPS):
        if rest == 0:
            return result
        monomial, coefficient = max(terms_of(rest), key=lambda term: _rank(term[0], atoms))
        left = Counter(monomial)
        left.subtract(lead)
        if coefficient % factor or any(power < 0 for power in left.values()):
            return None
        part = polynomial([(sorted_atoms(tuple(left.elements())), coefficient // factor)])
        result, rest = result + part, rest - part * divisor
    return None


def _rank(monomial: Monomial, atoms: list[Atom]) -> tuple[int, ...]:
    """Place in the graded order: of products, the leading term is the product of the leading terms."""
    powers = Counter(monomial)
    return (len(monomial), *(powers[atom] for atom in atoms))
