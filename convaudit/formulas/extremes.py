"""The larger and the smaller of two counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

from convaudit.formulas.polynomial import Count, Formula, Maximum, Minimum, of_atom, samples
from convaudit.formulas.signs import is_nonnegative


def maximum(first: Count, *others: Count) -> Count:
    """The largest of several counts; where that depends on the dimensions, the formula ``max(a, b)``."""
    kept = _kept((first, *others), Maximum, _is_at_least)
    return kept[0] if len(kept) == 1 else of_atom(Maximum(kept))


def minimum(first: Count, *others: Count) -> Count:
    """The smallest of several counts; where that depends on the dimensions, the formula ``min(a, b)``."""
    kept = _kept((first, *others), Minimum, lambda a, b: _is_at_least(b, a))
    return kept[0] if len(kept) == 1 else of_atom(Minimum(kept))


def _is_at_least(first: Count, second: Count) -> bool:
    if any(a < b for a, b in zip(samples(first), samples(second), strict=True)):
        return False
    return is_nonnegative(first - second)


def _kept(
    counts: Sequence[Count], kind: type[Maximum | Minimum], wins: Callable[[Count, Count], bool]
) -> tuple[Count, ...]:
    """The operands of an extreme, without those that another one makes superfluous, in one order."""
    kept: list[Count] = []
    for part in dict.fromkeys(chain.from_iterable(_operands(count, kind) for count in counts)):
        if not any(wins(other, part) for other in kept):
            kept = [other for other in kept if not wins(part, other)] + [part]
    return tuple(sorted(kept, key=lambda count: (isinstance(count, int), str(count))))


def _operands(count: Count, kind: type[Maximum | Minimum]) -> tuple[Count, ...]:
    """max(max(a, b), c) is max(a, b, c)."""
    if isinstance(count, Formula) and len(count.terms) == 1:
        monomial, coefficient = count.terms[0]
        if coefficient == 1 and len(monomial) == 1 and isinstance(monomial[0], kind):
            return monomial[0].operands
    return (count,)
