"""Symbolic sizes of torch, which are sympy's expressions, as formulas: exactly, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache, reduce
from operator import add, mul
from typing import Any, TypeAlias

from convaudit.formulas import Count, Formula, ceil_divide, is_nonnegative, maximum, minimum, parse, symbol

_Exact: TypeAlias = tuple[Count, int]
"""Numerator and positive denominator of a real number."""
_MOST_POWER = 16
_LARGEST_EXACT = 2**20
"""Of a real factor's numerator and denominator: its products with sizes below 2**32 are exact in float64."""


class UnreadableError(ValueError):
    """An expression is not an exact formula of its symbols."""


def count_of(value: Any) -> Count:
    """A size of torch's: an ``int`` as it is, a symbolic one as a formula of torch's own names.

    What cannot be read exactly is a name of its own: the expression's text.
    """
    if isinstance(value, int):
        return value
    node = getattr(value, "node", None)
    expression = getattr(node, "expr", None)
    return parse(str(value)) if expression is None else read(expression)


@lru_cache(maxsize=4096)
def read(expression: Any) -> Count:
    """The same of a sympy expression."""
    try:
        return integer(expression)
    except UnreadableError:
        return symbol(str(expression))


def integer(expression: Any) -> Count:
    """An expression of integers as a formula.

    Raises:
        UnreadableError: It has no exact form in formulas.
    """
    kind = type(expression).__name__
    if expression.is_Integer:
        return int(expression)
    if expression.is_Symbol:
        return symbol(str(expression))
    rule = _RULES.get(kind)
    if rule is None:
        raise UnreadableError(str(expression))
    return rule(*expression.args)


def _sum(*parts: Any) -> Count:
    return reduce(add, map(integer, parts))


def _product(*factors: Any) -> Count:
    return reduce(mul, map(integer, factors))


def _power(base: Any, exponent: Any) -> Count:
    if not exponent.is_Integer or not 0 <= int(exponent) <= _MOST_POWER:
        raise UnreadableError(f"{base}**{exponent}")
    return reduce(mul, [integer(base)] * int(exponent), 1)


def _floor_division(dividend: Any, divisor: Any) -> Count:
    by = integer(divisor)
    if not isinstance(by, int) or by == 0:
        raise UnreadableError(f"{dividend}//({divisor})")
    return integer(dividend) // by


def _remainder(dividend: Any, divisor: Any) -> Count:
    by = integer(divisor)
    if not isinstance(by, int) or by <= 0:
        raise UnreadableError(f"{dividend} % ({divisor})")
    return integer(dividend) % by


def _indexed(base: Any, divisor: Any, modulus: Any) -> Count:
    by = integer(modulus)
    if not isinstance(by, int) or by <= 0:
        raise UnreadableError(f"{base}//{divisor} % ({modulus})")
    return _floor_division(base, divisor) % by


def _largest(*parts: Any) -> Count:
    return maximum(*map(integer, parts))


def _smallest(*parts: Any) -> Count:
    return minimum(*map(integer, parts))


def _floor(expression: Any) -> Count:
    numerator, denominator = _real(expression)
    return numerator // denominator


def _ceil(expression: Any) -> Count:
    numerator, denominator = _real(expression)
    return ceil_divide(numerator, denominator)


def _truncated(expression: Any) -> Count:
    numerator, denominator = _real(expression)
    if not is_nonnegative(numerator):
        raise UnreadableError(str(expression))
    return numerator // denominator


def _real(expression: Any) -> _Exact:
    """A real expression whose value has no rounding that its floor or ceiling could see.

    One integer divided by another is rounded once, which moves no quotient of integers below 2**52 across an
    integer; a product with a small dyadic number is not rounded at all.
    """
    kind, parts = type(expression).__name__, expression.args
    if kind == "ToFloat":
        return integer(parts[0]), 1
    if kind == "IntTrueDiv":
        return integer(parts[0]), _divisor(integer(parts[1]))
    if kind == "FloatTrueDiv":
        (numerator, denominator), (over, under) = _real(parts[0]), _real(parts[1])
        plain = denominator == 1 and under == 1
        if not isinstance(over, int) or not (plain or (under == 1 and over & (over - 1) == 0)):
            raise UnreadableError(str(expression))
        return numerator, denominator * _divisor(over)
    if expression.is_Float:
        exact = Fraction(float(expression))
        if max(abs(exact.numerator), exact.denominator) > _LARGEST_EXACT:
            raise UnreadableError(str(expression))
        return exact.numerator, exact.denominator
    if kind == "Mul":
        factors = [_real(part) for part in parts]
        denominator = reduce(mul, (under for _, under in factors))
        if denominator & (denominator - 1) or sum(isinstance(over, Formula) for over, _ in factors) > 1:
            raise UnreadableError(str(expression))
        return reduce(mul, (over for over, _ in factors)), denominator
    if expression.is_integer:
        return integer(expression), 1
    raise UnreadableError(str(expression))


def _divisor(value: Count) -> int:
    if not isinstance(value, int) or value <= 0:
        raise UnreadableError(str(value))
    return value


_RULES: dict[str, Callable[..., Count]] = {
    "Add": _sum,
    "Mul": _product,
    "Pow": _power,
    "PowByNatural": _power,
    "FloorDiv": _floor_division,
    "CleanDiv": _floor_division,
    "CeilDiv": lambda dividend, divisor: ceil_divide(integer(dividend), _divisor(integer(divisor))),
    "Mod": _remainder,
    "PythonMod": _remainder,
    "ModularIndexing": _indexed,
    "Max": _largest,
    "Min": _smallest,
    "FloorToInt": _floor,
    "CeilToInt": _ceil,
    "TruncToInt": _truncated,
    "Identity": integer,
}
"""What each of torch's functions of sizes is, by the name of its class."""
