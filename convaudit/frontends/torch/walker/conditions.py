"""What a forward with named sizes demands of them: for which sizes its formulas hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd
from operator import and_
from typing import Any

from convaudit.formulas import Count, FloorDivision, Formula, is_nonnegative, quotient
from convaudit.frontends.torch.sizes import UnreadableError, integer
from convaudit.frontends.torch.walker.open_sizes import UNREAD, OpenSizes

_MOST_SHOWN = 4
_LARGEST_BOUND = 2**40


@dataclass(frozen=True, slots=True)
class Conditions:
    """For which sizes formulas hold.

    Attributes:
        fixed: Sizes that the forward fixes, and where.
        least: Sizes that must be at least so large.
        others: What else must hold, as text.
    """

    fixed: Mapping[str, tuple[Count, str]]
    least: Mapping[str, int]
    others: tuple[str, ...]

    def as_text(self) -> tuple[str, ...]:
        """One line for each size that is fixed, one for what else is demanded."""
        lines = [
            f"{name} is {value} here, because the forward demands it{place}; give a number to choose another"
            for name, (value, place) in self.fixed.items()
        ]
        demands = [*(f"{name} >= {bound}" for name, bound in sorted(self.least.items())), *self.others]
        if demands:
            left = len(demands) - _MOST_SHOWN
            more = f" and {left} more such conditions" if left > 0 else ""
            lines.append(
                f"the formulas hold where {', '.join(demands[:_MOST_SHOWN])}{more}: so the forward's answers "
                "about its sizes stay the same; give numbers for others"
            )
        return tuple(lines)


def conditions(sizes: OpenSizes, values: Mapping[str, Count]) -> Conditions:
    """What the forward demanded of its sizes; what all sizes from 1 on fulfil is left out.

    A guard is what torch notes when a forward asks a size and gets an answer.

    Args:
        sizes: The sizes of a forward that is over.
        values: What its names stand for, see ``OpenSizes.values``.
    """
    fixed = {name: values[own] for own, name in sizes.names.items() if str(values[own]) != name}
    places = _places(sizes, set(fixed))
    least: dict[str, int] = {}
    others: dict[str, None] = {}
    for guard in sizes.environment.guards:
        told = _demand(guard.expr, sizes, values)
        if isinstance(told, dict):
            least = _joined([least, told])
        elif told is not None:
            others[told] = None
    return Conditions(
        {name: (value, places.get(name, "")) for name, value in fixed.items()},
        {name: bound for name, bound in least.items() if bound > 1},
        tuple(others),
    )


def _demand(guard: Any, sizes: OpenSizes, values: Mapping[str, Count]) -> dict[str, int] | str | None:
    """The least sizes that a guard allows, or its text; None if all sizes from 1 on fulfil it."""
    kind = type(guard).__name__
    if kind == "BooleanTrue":
        return None
    parts: Sequence[Any] = guard.args if kind == "And" else ()
    if kind == "Unequality" and type(guard.args[0]).__name__ == "Mul" and guard.args[1] == 0:
        parts = [guard.func(factor, 0) for factor in guard.args[0].args]  # of elements: none is 0
    if parts:
        demands = [_demand(part, sizes, values) for part in parts]
        bounds = [demand for demand in demands if isinstance(demand, dict)]
        if not any(isinstance(demand, str) for demand in demands):
            return _joined(bounds)
    if kind not in _DIFFERENCES or len(guard.args) != 2:
        return _text(guard, sizes)
    try:
        left, right = (_substituted(integer(side), values) for side in guard.args)
    except UnreadableError:
        return _text(guard, sizes)
    if kind in ("Equality", "Unequality"):
        return _equality(kind, left, right, sizes.hints)
    slack = _DIFFERENCES[kind](left, right)  # at least 0 where it is fulfilled
    return _bound(slack, f"{left} {_SIGNS[kind]} {right}")


def _joined(bounds: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """The largest of the least sizes, by name."""
    names = dict.fromkeys(name for some in bounds for name in some)
    return {name: max(some.get(name, 1) for some in bounds) for name in names}


_DIFFERENCES: dict[str, Any] = {
    "Equality": None,
    "Unequality": None,
    "GreaterThan": lambda left, right: left - right,
    "StrictGreaterThan": lambda left, right: left - right - 1,
    "LessThan": lambda left, right: right - left,
    "StrictLessThan": lambda left, right: right - left - 1,
}
_SIGNS = {"GreaterThan": ">=", "StrictGreaterThan": ">", "LessThan": "<=", "StrictLessThan": "<"}


def _equality(kind: str, left: Count, right: Count, hints: Mapping[str, int]) -> dict[str, int] | str | None:
    difference = left - right
    if kind == "Equality":
        if isinstance(difference, int):
            return None if difference == 0 else f"{left} = {right}"
        reduced = _without_common_factors(difference)
        return _remainder(reduced) or f"{left} = {right}"
    if isinstance(difference, int):
        return None
    value = difference.substitute(hints)
    apart = difference - 1 if isinstance(value, int) and value > 0 else -difference - 1
    found = _bound(apart, "")
    return f"{left} != {right}" if isinstance(found, str) else found


def _without_common_factors(difference: Formula) -> Formula:
    """What is 0 where ``difference`` is, without the names and numbers that all its terms share."""
    counters = [Counter(atom for atom in part if isinstance(atom, str)) for part, _ in difference.terms]
    shared: Count = gcd(*(factor for _, factor in difference.terms))
    for name in reduce(and_, counters).elements():
        shared = shared * Formula((((name,), 1),))
    reduced = quotient(difference, shared)
    return reduced if isinstance(reduced, Formula) else difference


def _remainder(left: Formula) -> str | None:
    """``H divisible by 32`` for ``H - 32*floor(H/32) = 0``."""
    for monomial, factor in left.terms:
        for atom in monomial:
            if isinstance(atom, FloorDivision) and len(monomial) == 1 and factor == -atom.divisor:
                base = left + atom.divisor * (atom.numerator // atom.divisor)
                if base == atom.numerator:
                    return f"{base} divisible by {atom.divisor}"
    return None


def _bound(slack: Count, text: str) -> dict[str, int] | str | None:
    """From where on a count is at least 0, if it grows with its only name; else the text."""
    if is_nonnegative(slack) if isinstance(slack, Formula) else slack >= 0:
        return None
    names = slack.symbols if isinstance(slack, Formula) else frozenset()
    if not isinstance(slack, Formula) or len(names) != 1 or any(name.startswith(UNREAD) for name in names):
        return text
    name = next(iter(names))
    following = slack.substitute({name: Formula((((name,), 1), ((), 1)))})
    if not is_nonnegative(following - slack):
        return text
    low, high = 0, 1  # fulfilled from high on, not at low
    while not _fulfilled(slack, name, high):
        low, high = high, high * 2
        if high > _LARGEST_BOUND:
            return text
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _fulfilled(slack, name, middle) else (middle, high)
    return {name: high}


def _fulfilled(slack: Formula, name: str, size: int) -> bool:
    value = slack.substitute({name: size})
    return isinstance(value, int) and value >= 0


def _substituted(count: Count, values: Mapping[str, Count]) -> Count:
    return count.substitute(values) if isinstance(count, Formula) else count


def _text(guard: Any, sizes: OpenSizes) -> str:
    """A guard as torch writes it, with the user's names."""
    symbols = {str(one): one for one in guard.free_symbols}
    shown = {symbols[own]: type(symbols[own])(name) for own, name in sizes.names.items() if own in symbols}
    return f"{guard.xreplace(shown)}"[:200]


def _places(sizes: OpenSizes, names: set[str]) -> dict[str, str]:
    """Where the forward fixed each, as ``, at nets.py:12``."""
    places: dict[str, str] = {}
    for guard in sizes.environment.guards:
        if type(guard.expr).__name__ == "Equality":
            place = getattr(getattr(guard, "sloc", None), "framework_loc", None)
            for own in map(str, guard.expr.free_symbols):
                name = sizes.names.get(own, "")
                if name in names and isinstance(place, str) and place:
                    places.setdefault(name, f", at {place}")
    return places
