"""Numbers as people write and read them: ``5M``, ``1GiB``, ``40%``, ``12ms``; ``1.23 M``, ``98.2 MB``.

Everything is exact until it is shown. ``K``, ``M``, ``G`` and ``T`` are powers of 1000 everywhere; ``Ki``,
``Mi``, ... powers of 1024, for sizes in bytes only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from math import floor, log10

from convaudit.errors import UsageError
from convaudit.formulas import Count, symbol
from convaudit.formulas.examples import example_sizes, factor_of, sizes_text
from convaudit.formulas.values import value_at

_DECIMAL = {letter: 1000**power for power, letter in enumerate(("", "k", "m", "g", "t"))}
_BINARY = {f"{letter}i": 1024**power for power, letter in enumerate("kmgt", start=1)}
_BYTES = {f"{prefix}b": value for prefix, value in (_DECIMAL | _BINARY).items()} | _DECIMAL | _BINARY
_PERCENT = {"%": Fraction(1, 100)}
_SECONDS = {
    "": Fraction(1),
    "us": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "min": Fraction(60),
}
_PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def parse_count(text: str) -> int:
    """A whole number with an optional K, M, G or T (powers of 1000).

    >>> parse_count("1.5M")
    1500000

    Raises:
        UsageError: ``text`` cannot be read; the message has an example.
    """
    return _whole(text, _DECIMAL, "a whole number such as 5000000, 5M or 1.5G")


def parse_bytes(text: str) -> int:
    """A size in bytes, with an optional unit: kB, MB, GB, TB of 1000, KiB, MiB, GiB, TiB of 1024.

    >>> parse_bytes("20MB"), parse_bytes("1GiB")
    (20000000, 1073741824)

    Raises:
        UsageError: ``text`` cannot be read; the message has an example.
    """
    return _whole(text, _BYTES, "a size such as 20MB, 512KiB or 1GiB")


def parse_percentage(text: str) -> Fraction:
    """An exact share.

    >>> parse_percentage("40%")
    Fraction(2, 5)

    Raises:
        UsageError: ``text`` cannot be read; the message has an example. The sign is required: ``0.4`` could
            be either.
    """
    return _quantity(text, _PERCENT, "a percentage such as 40% or 2.5%")


def parse_seconds(text: str) -> float:
    """A time above 0 in seconds, with an optional unit: us, ms, s, min.

    >>> parse_seconds("12ms"), parse_seconds("2min"), parse_seconds("30")
    (0.012, 120.0, 30.0)

    Raises:
        UsageError: ``text`` cannot be read, or is no time at all; the message has an example.
    """
    example = "a time such as 500ms, 30s or 2min"
    seconds = _quantity(text, _SECONDS, example)
    if not seconds:
        raise UsageError(f"{text!r} is not a time above 0; write {example}")
    return float(seconds)


def human(count: Count | None, unit: str = "") -> str:
    """Three significant digits with a prefix; ``?`` for what is unknown.

    Of a formula the exact multiple of a dimension, where it is one; else its value at plausible sizes, which
    are named.

    >>> human(4_089_184_256), human(999), human(20_500_000, "B"), human(None)
    ('4.09 G', '999', '20.5 MB', '?')
    >>> from convaudit.formulas import parse
    >>> human(parse("118013952*batch")), human(parse("9*H*W + 2*H"))
    ('118 M*batch', '452 k at H=224, W=224')
    """
    if count is None:
        return "?"
    if isinstance(count, int):
        return _three_digits(Fraction(count), unit)
    if factor := factor_of(count):
        coefficient, name = factor
        times = "" if coefficient == 1 and not unit else f"{_three_digits(Fraction(coefficient), unit)}*"
        return f"{times}{symbol(name)}"
    sizes = example_sizes(count)
    return f"{_three_digits(Fraction(value_at(count, sizes)), unit)} at {sizes_text(sizes)}"


def human_percentage(share: float | None) -> str:
    """A share with one digit after the point.

    >>> human_percentage(0.0312), human_percentage(None)
    ('3.1%', '?')
    """
    return "?" if share is None else f"{share:.1%}"


def human_seconds(seconds: float | None) -> str:
    """Three significant digits in the unit that fits.

    >>> human_seconds(0.0123), human_seconds(845e-6), human_seconds(72.5), human_seconds(None)
    ('12.3 ms', '845 us', '72.5 s', '?')
    """
    if seconds is None:
        return "?"
    for unit, length in (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3)):
        if seconds < 999.5 * length:
            return f"{three_digits(seconds / length)} {unit}"
    return f"{three_digits(seconds)} s"


def three_digits(value: float) -> str:
    """Three significant digits of a measured number, below 1 two, none of them dropped and no exponent.

    >>> three_digits(2.0), three_digits(13.68), three_digits(268.4), three_digits(1938), three_digits(0.0312)
    ('2.00', '13.7', '268', '1938', '0.031')
    """
    places = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    if 0 < abs(value) < 0.0995:
        places = 1 - floor(log10(abs(value)))
    return f"{value:.{places}f}"


def _whole(text: str, units: Mapping[str, int], example: str) -> int:
    value = _quantity(text, units, example)
    if value.denominator != 1:
        raise UsageError(f"{text!r} is not a whole number; write {example}")
    return int(value)


def _quantity(text: str, units: Mapping[str, int] | Mapping[str, Fraction], example: str) -> Fraction:
    match = re.fullmatch(r"(\d{1,30}(?:\.\d{1,30})?)\s*([a-z%]*)", text.strip().replace("_", ""), re.I | re.A)
    factor = units.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise UsageError(f"{text!r} is not a number that can be read here; write {example}")
    return Fraction(match[1]) * factor


def _three_digits(value: Fraction, unit: str) -> str:
    if value.denominator == 1 and abs(value) < 1000:
        return f"{value} {unit}".rstrip()
    if abs(value) < 1:
        return f"{float(value):.3g} {unit}".rstrip()
    digits, exponent = f"{Decimal(value.numerator) / value.denominator:.2e}".split("e")
    thousands, shift = divmod(int(exponent), 3)
    if thousands >= len(_PREFIXES):
        return f"{digits}e{exponent} {unit}".rstrip()
    return f"{Decimal(digits).scaleb(shift):.{2 - shift}f} {_PREFIXES[thousands]}{unit}".rstrip()
