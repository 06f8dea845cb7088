"""A count's value at given sizes, by plain integers: what tables and pictures show of a formula."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import overload

from convaudit.formulas.polynomial import Atom, Count, FloorDivision, Formula, Maximum


@overload
def value_at(count: Count, sizes: Mapping[str, int]) -> int: ...
@overload
def value_at(count: Count | None, sizes: Mapping[str, int]) -> int | None: ...
def value_at(count: Count | None, sizes: Mapping[str, int]) -> int | None:
    """The value of a count where each dimension has the given size; None stays unknown.

    Args:
        count: An integer, a formula, or None.
        sizes: A size for each dimension of the formula.

    Raises:
        KeyError: A dimension has no size.

    >>> from convaudit.formulas import parse
    >>> value_at(parse("floor((H - 1)/2)*6*W + W"), {"H": 9, "W": 2})
    50
    """
    if not isinstance(count, Formula):
        return count
    return sum(
        coefficient * prod([_atom_value(atom, sizes) for atom in monomial])
        for monomial, coefficient in count.terms
    )


def divisors_of(count: Count | None) -> dict[str, set[int]]:
    """By which numbers the dimensions of a count are divided, on their own or beside a constant.

    >>> from convaudit.formulas import parse
    >>> divisors_of(parse("floor((H - 1)/32)*6*W"))
    {'H': {32}}
    """
    found: dict[str, set[int]] = {}
    waiting: list[Count] = [] if count is None else [count]
    while waiting:
        part = waiting.pop()
        for monomial, _ in part.terms if isinstance(part, Formula) else ():
            for atom in monomial:
                if isinstance(atom, FloorDivision):
                    for name in atom.numerator.symbols:
                        found.setdefault(name, set()).add(atom.divisor)
                    waiting.append(atom.numerator)
                elif not isinstance(atom, str):
                    waiting += atom.operands
    return found


def _atom_value(atom: Atom, sizes: Mapping[str, int]) -> int:
    if isinstance(atom, str):
        return sizes[atom]
    if isinstance(atom, FloorDivision):
        return value_at(atom.numerator, sizes) // atom.divisor
    values = [value_at(operand, sizes) for operand in atom.operands]
    return max(values) if isinstance(atom, Maximum) else min(values)
