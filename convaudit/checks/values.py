"""One reader for each type of setting: its text as on the command line, or the value itself.

Each raises UsageError, with an example, for what it cannot read.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

from convaudit.errors import UsageError, did_you_mean
from convaudit.records import KINDS
from convaudit.units import parse_bytes, parse_count, parse_percentage, parse_seconds

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: how its value is read, what kind of value it is, and what it is for."""

    read: Callable[[object], Any]
    metavar: str  # "": a switch
    help: str
    choices: tuple[str, ...] = ()  # words that it is one of, or several of


def _parsed(parse: Callable[[str], Parsed]) -> Callable[[object], Parsed]:
    """Text through its parser; what is not text as it would be written, so that the parser judges it too."""
    return lambda value: parse(value if isinstance(value, str) else _written(value))


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return repr(value)
    try:
        return str(operator.index(value))
    except TypeError:
        return repr(value)


count, size = _parsed(parse_count), _parsed(parse_bytes)


def percentage(value: object) -> Fraction:
    """``"40%"``, or a share that is exact: a Fraction."""
    return value if isinstance(value, Fraction) else _parsed(parse_percentage)(value)


def seconds(value: object) -> float:
    """``"12ms"``, or a number of seconds above 0."""
    if isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < math.inf:
        return float(value)
    return _parsed(parse_seconds)(value)


def share(value: object) -> Fraction:
    """A percentage of something, which is 100% at most."""
    found = percentage(value)
    if found > 1:
        raise UsageError(f"{value!r} is more than all; write at most 100%")
    return found


def boolean(value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise UsageError(f"{value!r} is neither true nor false")
    return value


def path(value: object) -> Path:
    """A file's path, as text."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise UsageError(f"{value!r} is not a path; write one such as 'convaudit-baseline.json'")
    return Path(value)


def texts(value: object) -> tuple[str, ...]:
    """One text, or several in a list."""
    items = value if isinstance(value, list | tuple) else [value]
    for item in items:
        if not isinstance(item, str):
            raise UsageError(f"{item!r} is not text; write it as on the command line, in quotes")
    return tuple(items)


def kinds(value: object) -> tuple[str, ...]:
    """Kinds of convolutions: one, or several in a list."""
    given = texts(value)
    for kind in given:
        if kind not in KINDS:
            hint = did_you_mean(kind, KINDS) or ";"
            raise UsageError(f"{kind!r} is not a kind of convolution{hint} choose from {', '.join(KINDS)}")
    return tuple(dict.fromkeys(given))


def positive(value: object) -> int:
    """A count that is not 0."""
    number = count(value)
    if number < 1:
        raise UsageError(f"{value!r} is too small; write a positive number such as 8")
    return number
