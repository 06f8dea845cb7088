"""What a model is checked by: a key for each option, its values as on the command line."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

from convaudit.checks.budgets import Budgets
from convaudit.errors import UsageError
from convaudit.units import parse_bytes, parse_count, parse_percentage

Values: TypeAlias = Mapping[str, Any]
"""Settings that were given, by key, each of the type that its field in Settings or Budgets has."""

KINDS = ("dense", "grouped", "depthwise", "pointwise", "transposed", "deformable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that decides how one model is audited and what it has to keep."""

    budgets: Budgets
    baseline: Path | None = None
    tolerance: Fraction = Fraction(0)  # by how much of the baseline's value a quantity may grow
    input: tuple[str, ...] = ()  # [NAME=]1x3x224x224
    dim: tuple[str, ...] = ()  # NAME=VALUE


def make_settings(*sources: Values) -> Settings:
    """Settings of the given values; a later source overrides an earlier one, key by key."""
    given = {key.replace("-", "_"): value for source in sources for key, value in source.items()}
    limits = {field.name: given.pop(field.name) for field in fields(Budgets) if field.name in given}
    return Settings(budgets=Budgets(**limits), **given)


def read_values(table: Mapping[str, object], where: str) -> dict[str, Any]:
    """The typed value of each key.

    Raises  UsageError that names ``where``, the key and a good value; for an unknown key, the nearest known.
    """
    values = {}
    for key, value in table.items():
        if key not in READERS:
            (nearest,) = difflib.get_close_matches(
                key.replace("_", "-"), [*READERS, "models"], n=1, cutoff=0.0
            )
            raise UsageError(f"{where}: unknown key {key!r}; did you mean {nearest!r}?")
        try:
            values[key] = READERS[key](value)
        except UsageError as error:
            raise UsageError(f"{where}: {key}: {error}") from error
    return values


# --- one reader for each type of value --------------------------------------------------------------------


def _number(parse: Callable[[str], int]) -> Callable[[object], int]:
    def read(value: object) -> int:
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        return parse(value if isinstance(value, str) else str(value) if is_integer else repr(value))

    return read


def _percentage(value: object) -> Fraction:
    return parse_percentage(value if isinstance(value, str) else repr(value))


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{value!r} is neither true nor false")
    return value


def _path(value: object) -> Path:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{value!r} is no path; write one such as 'convaudit-baseline.json'")
    return Path(value)


def _texts(value: object) -> tuple[str, ...]:
    items = value if isinstance(value, list | tuple) else [value]
    for item in items:
        if not isinstance(item, str):
            raise UsageError(f"{item!r} is no text; write it as on the command line, in quotes")
    return tuple(items)


def _kinds(value: object) -> tuple[str, ...]:
    kinds = _texts(value)
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"{kind!r} is no kind of convolution; write one of {', '.join(KINDS)}")
    return kinds


def _positive(value: object) -> int:
    number = _number(parse_count)(value)
    if number < 1:
        raise UsageError(f"{value!r} is too small; write a positive number such as 8")
    return number


READERS: dict[str, Callable[[object], Any]] = {
    "max-params": _number(parse_count),
    "max-macs": _number(parse_count),
    "max-flops": _number(parse_count),
    "max-size": _number(parse_bytes),
    "max-weight-bytes": _number(parse_bytes),
    "max-activation-bytes": _number(parse_bytes),
    "max-layer-macs": _number(parse_count),
    "min-saving": _percentage,
    "groups-multiple-of": _positive,
    "forbid": _kinds,
    "forbid-unknown": _flag,
    "require-verified": _flag,
    "baseline": _path,
    "tolerance": _percentage,
    "input": _texts,
    "dim": _texts,
}
"""Every key, and how its value is read."""
