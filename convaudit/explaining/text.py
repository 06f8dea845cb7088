"""Arithmetic as text, in characters that every terminal has."""

from __future__ import annotations

from collections.abc import Sequence

from convaudit.formulas import Count, Formula, term_count


def number(count: Count | None) -> str:
    """``1,204,224``; a formula as it is; ``?`` for what is unknown."""
    if count is None:
        return "?"
    return f"{count:,}" if isinstance(count, int) else str(count)


def bracketed(count: Count | None) -> str:
    """As ``number``, a sum in brackets: it stands beside other operands.

    >>> from convaudit.formulas import parse
    >>> bracketed(4), bracketed(parse("H")), bracketed(parse("H - 1"))
    ('4', 'H', '(H - 1)')
    """
    text = number(count)
    return f"({text})" if isinstance(count, Formula) and (term_count(count) > 1 and " " in text) else text


def equation(factors: Sequence[Count | None], added: Sequence[Count | None], total: Count | None) -> str:
    """``64 x 32 x 3 x 3 + 64 = 18,496``.

    >>> equation([64, 32, 3, 3], [64], 18496)
    '64 x 32 x 3 x 3 + 64 = 18,496'
    """
    text = " + ".join([" x ".join(map(bracketed, factors)), *map(bracketed, added)])
    return f"{text} = {number(total)}"
