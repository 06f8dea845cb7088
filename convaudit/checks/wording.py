"""How checks put values into words."""

from __future__ import annotations

from fractions import Fraction


def percent(share: Fraction) -> str:
    """A share with one digit after the point.

    >>> percent(Fraction(1, 3))
    '33.3%'
    """
    return f"{float(share):.1%}"


def value_text(value: object) -> str:
    """A field of a layer, or a count, as people write it.

    >>> value_text(1204224), value_text((3, 3)), value_text(((1, 1), (0, 1))), value_text(None)
    ('1,204,224', '3x3', '1:1x0:1', '?')
    """
    match value:
        case None:
            return "?"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case tuple():
            return "x".join(_size_text(size) for size in value)
        case _:
            return str(value)


def _size_text(size: object) -> str:
    if isinstance(size, tuple):
        return ":".join(map(str, size))
    return "?" if size is None else str(size)
