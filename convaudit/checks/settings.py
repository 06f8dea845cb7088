"""What a model is checked by: a key for each option, its values as on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

from convaudit.checks import values
from convaudit.checks.budgets import BUDGETS, Budgets
from convaudit.checks.values import Setting
from convaudit.errors import UsageError, did_you_mean

GivenSettings: TypeAlias = Mapping[str, Any]
"""Settings that were given, by key, each of the type that its field in CheckSettings or Budgets has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """Everything that decides how one model is audited and what it has to keep."""

    budgets: Budgets
    baseline: Path | None = None
    require_baseline: bool = False  # whether a model that the baseline does not hold fails
    tolerance: Fraction = Fraction(0)  # by how much of the baseline's value a quantity may grow
    input: tuple[str, ...] = ()  # [NAME=]1x3x224x224
    dim: tuple[str, ...] = ()  # NAME=VALUE


def make_settings(*sources: GivenSettings) -> CheckSettings:
    """Settings of the given values; a later source overrides an earlier one, key by key."""
    given = {key.replace("-", "_"): value for source in sources for key, value in source.items()}
    limits = {field.name: given.pop(field.name) for field in fields(Budgets) if field.name in given}
    return CheckSettings(budgets=Budgets(**limits), **given)


def read_budgets(limits: Mapping[str, object], where: str) -> Budgets:
    """Budgets by their fields' names, each a number or text as in a file; raises as ``read_values`` does."""
    names = [field.name for field in fields(Budgets)]
    for name in limits:
        if name not in names:
            raise _unknown("budget", name, names, where)
    return make_settings(read_values({_key(name): value for name, value in limits.items()}, where)).budgets


def read_values(table: Mapping[str, object], where: str) -> dict[str, Any]:
    """The typed value of each key.

    Raises:
        UsageError: A key is unknown or its value is wrong. The message names ``where``, the key and a good
            value, or the nearest known key.
    """
    values = {}
    for key, value in table.items():
        if key not in KEYS:
            raise _unknown("key", key, [*KEYS, "models"], where)
        try:
            values[key] = KEYS[key].read(value)
        except UsageError as error:
            raise UsageError(f"{where}: {key}: {error}") from error
    return values


def _key(name: str) -> str:
    return name.replace("_", "-")


def _unknown(what: str, name: str, known: Sequence[str], where: str) -> UsageError:
    hint = did_you_mean(name, known) or f"; choose from {', '.join(known)}"
    return UsageError(f"{where}: unknown {what} {name!r}{hint}")


KEYS = {
    **BUDGETS,
    "baseline": Setting(values.path, "FILE", "Fail if a total grew over the one in this file."),
    "require-baseline": Setting(
        values.boolean, "", "Fail a model that is not in the baseline, which else is new and passes."
    ),
    "tolerance": Setting(values.percentage, "PERCENT", "Growth over the baseline that is allowed: 2%."),
    "input": Setting(values.texts, "[NAME=]SHAPE", "Fix an input's shape."),
    "dim": Setting(values.texts, "NAME=VALUE", "Fix a symbolic dimension."),
}
"""Every setting, by the name that it has in a file and, after ``--``, on the command line."""
