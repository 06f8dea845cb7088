"""What a model is checked by: a key for each option, its values as on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

from convaudit.checks import values
from convaudit.checks.budgets import READERS, Budgets
from convaudit.errors import UsageError, did_you_mean
from convaudit.records import KINDS

GivenSettings: TypeAlias = Mapping[str, Any]
"""Settings that were given, by key, each of the type that its field in CheckSettings or Budgets has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """Everything that decides how one model is audited and what it has to keep."""

    budgets: Budgets
    baseline: Path | None = None
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

    Raises  UsageError that names ``where``, the key and a good value; for an unknown key, the nearest known.
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


@dataclass(frozen=True, slots=True)
class Key:
    """One setting: how its value is read, what kind of value it is, and what it is for."""

    read: Callable[[object], Any]
    metavar: str
    help: str


KEYS = {
    "max-params": Key(READERS["max_params"], "COUNT", "Most parameters that the model may have: 5M."),
    "max-macs": Key(READERS["max_macs"], "COUNT", "Most multiply-accumulates of one run: 600M."),
    "max-flops": Key(
        READERS["max_flops"], "COUNT", "Most floating-point operations of one run, 2 for each MAC: 1.2G."
    ),
    "max-size": Key(READERS["max_size"], "SIZE", "Largest file, external data included: 20MB."),
    "max-weight-bytes": Key(
        READERS["max_weight_bytes"], "SIZE", "Most bytes of convolution weights and biases: 14MB."
    ),
    "max-activation-bytes": Key(
        READERS["max_activation_bytes"], "SIZE", "Most bytes of one convolution's input and output: 10MiB."
    ),
    "max-layer-macs": Key(
        READERS["max_layer_macs"], "COUNT", "Most MACs of any one convolution, over all its calls: 50M."
    ),
    "min-saving": Key(READERS["min_saving"], "PERCENT", "Least share of the MACs that groups save: 40%."),
    "groups-multiple-of": Key(
        READERS["groups_multiple_of"],
        "N",
        "Channels a group of grouped, not depthwise, convolutions: a multiple of N.",
    ),
    "forbid": Key(READERS["forbid"], "KIND", f"Forbid a kind of convolution: {', '.join(KINDS)}."),
    "forbid-unknown": Key(READERS["forbid_unknown"], "", "Fail if anything that is counted is unknown."),
    "require-verified": Key(
        READERS["require_verified"], "", "Fail unless every convolution is re-executed and found right."
    ),
    "baseline": Key(values.path, "FILE", "Fail if a total grew over the one in this file."),
    "tolerance": Key(values.percentage, "PERCENT", "Growth over the baseline that is allowed: 2%."),
    "input": Key(values.texts, "[NAME=]SHAPE", "Fix an input's shape."),
    "dim": Key(values.texts, "NAME=VALUE", "Fix a symbolic dimension."),
}
"""Every setting, by the name that it has in a file and, after ``--``, on the command line."""
