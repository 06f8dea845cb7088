"""Arithmetic of counts that may be unknown: what needs an unknown count is unknown itself, never 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import overload

from convaudit.formulas.extremes import maximum
from convaudit.formulas.polynomial import Count, Formula


def add(*parts: Count | None) -> Count | None:
    """The sum of all parts; None if one is unknown.

    >>> add(1, 2, 3), add(1, None)
    (6, None)
    """
    known = _all_known(parts)
    return None if known is None else sum(known)


def subtract(count: Count | None, less: Count | None) -> Count | None:
    """The difference ``count - less``; None if either is unknown."""
    return None if count is None or less is None else count - less


def multiply(*factors: Count | None) -> Count | None:
    """The product of all factors; None if one is unknown, even beside a 0."""
    return product(factors)


def floor_divide(count: Count | None, divisor: int) -> Count | None:
    """The quotient ``count // divisor``; None if the count is unknown."""
    return None if count is None else count // divisor


@overload
def product(factors: Iterable[Count]) -> Count: ...
@overload
def product(factors: Iterable[Count | None] | None) -> Count | None: ...
def product(factors: Iterable[Count | None] | None) -> Count | None:
    """The product of a shape's sizes, or of other factors.

    Args:
        factors: Integers and formulas; None is a shape of which not even the rank is known.

    Returns:
        1 without factors; None if one of them is unknown, or all of them are.
    """
    known = None if factors is None else _all_known(factors)
    return None if known is None else prod(known)


def largest(counts: Iterable[Count | None]) -> Count | None:
    """The largest count, 0 if there are none; None if one is unknown."""
    known = _all_known(counts)
    if known is None:
        return None
    # not from 0 on: "max(0, formula)" would say nothing more
    return maximum(*known) if known else 0


def substitute(count: Count | None, sizes: Mapping[str, Count]) -> Count | None:
    """A count with the dimensions named in ``sizes`` replaced; an unknown one stays unknown."""
    return count.substitute(sizes) if isinstance(count, Formula) else count


def _all_known(counts: Iterable[Count | None]) -> list[Count] | None:
    known: list[Count] = []
    for count in counts:
        if count is None:
            return None
        known.append(count)
    return known
