"""How large one count is beside another."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from convaudit.formulas.polynomial import Count, terms_of
from convaudit.formulas.values import value_at


def ratio(part: Count | None, whole: Count | None, sizes: Mapping[str, int] | None = None) -> float | None:
    """``part / whole``.

    Args:
        part: The numerator.
        whole: The denominator.
        sizes: Sizes at which to divide formulas; without them only a ratio that is the same for all is told.

    Returns:
        None if it varies with the dimensions, if either count is unknown, or if ``whole`` is 0.

    >>> from convaudit.formulas import parse
    >>> ratio(1, 4), ratio(parse("H*W"), parse("4*H*W")), ratio(parse("H"), parse("H*W"))
    (0.25, 0.25, None)
    >>> ratio(parse("H"), parse("H*W"), {"H": 8, "W": 5})
    0.2
    """
    if part is None or whole is None or whole == 0:
        return None
    if part == 0:
        return 0.0
    if sizes is not None:
        part, whole = value_at(part, sizes), value_at(whole, sizes)
        return float(Fraction(part, whole)) if whole else None
    parts, wholes = dict(terms_of(part)), dict(terms_of(whole))
    if parts.keys() != wholes.keys():
        return None
    ratios = {Fraction(parts[monomial], wholes[monomial]) for monomial in parts}
    return float(ratios.pop()) if len(ratios) == 1 else None
