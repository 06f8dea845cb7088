"""Budgets: what a model may cost at most, and rules that its layers have to keep.

The totals that a budget limits are the whole model's, not only its convolutions': what is deployed is the
model. Where a field says otherwise, it says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Any, Literal

from convaudit.checks import rules, time_rules, values
from convaudit.checks.outcome import Outcome
from convaudit.checks.quantities import (
    ACTIVATION_BYTES,
    FILE_SIZE,
    FLOPS,
    LIVE_ACTIVATION_BYTES,
    MACS,
    PARAMS,
    WEIGHT_BYTES,
)
from convaudit.checks.values import Setting
from convaudit.errors import UsageError
from convaudit.records import KINDS, AuditReport


def _row(
    read: Callable[[object], Any],
    rule: rules.BudgetRule,
    metavar: str,
    words: str,
    choices: tuple[str, ...] = (),
) -> dict[str, Setting | rules.BudgetRule]:
    """All that there is to know of a budget: the setting that gives it and the rule that checks it."""
    return {"setting": Setting(read, metavar, words, choices), "rule": rule}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """Limits and rules for one model; what is None, False or empty is not checked.

    Each may be text as on the command line, ``max_params="5M"``, and is stored as the type below.

    Raises:
        UsageError: A value cannot be read.
    """

    max_params: int | None = field(
        default=None,
        metadata=_row(
            values.count, rules.at_most(PARAMS), "COUNT", "Most parameters that the model may have: 5M."
        ),
    )
    max_macs: int | None = field(
        default=None,
        metadata=_row(
            values.count, rules.at_most(MACS), "COUNT", "Most multiply-accumulates of one run: 600M."
        ),
    )
    max_flops: int | None = field(
        default=None,
        metadata=_row(
            values.count,
            rules.at_most(FLOPS),
            "COUNT",
            "Most floating-point operations of one run, 2 for each MAC: 1.2G.",
        ),
    )
    max_size: int | None = field(
        default=None,
        metadata=_row(
            values.size, rules.at_most(FILE_SIZE), "SIZE", "Largest file, external data included: 20MB."
        ),
    )
    max_weight_bytes: int | None = field(
        default=None,
        metadata=_row(
            values.size,
            rules.at_most(WEIGHT_BYTES),
            "SIZE",
            "Most bytes of convolution weights and biases: 14MB.",
        ),
    )
    max_activation_bytes: int | None = field(
        default=None,
        metadata=_row(
            values.size,
            rules.at_most(ACTIVATION_BYTES),
            "SIZE",
            "Most bytes of one convolution's input and output: 10MiB.",
        ),
    )
    max_peak_activation: int | None = field(
        default=None,
        metadata=_row(
            values.size,
            rules.at_most(LIVE_ACTIVATION_BYTES),
            "SIZE",
            "Most bytes that activations take at once, as a lower bound has it: 10MiB.",
        ),
    )
    max_layer_macs: int | None = field(
        default=None,
        metadata=_row(
            values.count,
            rules.layer_macs,
            "COUNT",
            "Most MACs of any one convolution, over all its calls: 50M.",
        ),
    )
    min_saving: Fraction | None = field(
        default=None,
        metadata=_row(
            values.share, rules.min_saving, "PERCENT", "Least share of the MACs that groups save: 40%."
        ),
    )
    max_removable: Fraction | None = field(
        default=None,
        metadata=_row(
            values.share,
            rules.max_removable,
            "PERCENT",
            "Most of the convolutions' parameters that lint proves to do nothing: 1%.",
        ),
    )
    max_time: float | None = field(
        default=None,
        metadata=_row(
            values.seconds, time_rules.max_time, "TIME", "Longest run of the model, which is timed: 12ms."
        ),
    )
    min_realised: Fraction | None = field(
        default=None,
        metadata=_row(
            values.percentage,
            time_rules.min_realised,
            "PERCENT",
            "Least share of the speed-up that groups promise and timing finds: 50%.",
        ),
    )
    groups_multiple_of: int | None = field(
        default=None,
        metadata=_row(
            values.positive,
            rules.groups_multiple_of,
            "N",
            "Channels a group of grouped, not depthwise, convolutions: a multiple of N.",
        ),
    )
    forbid: tuple[str, ...] = field(
        default=(),
        metadata=_row(
            values.kinds, rules.forbid, "KIND", f"Forbid a kind of convolution: {', '.join(KINDS)}.", KINDS
        ),
    )
    forbid_unknown: bool = field(
        default=False,
        metadata=_row(
            values.boolean, rules.forbid_unknown, "", "Fail if anything that is counted is unknown."
        ),
    )
    require_verified: bool = field(
        default=False,
        metadata=_row(
            values.boolean,
            rules.require_verified,
            "",
            "Fail unless every convolution is re-executed and found right.",
        ),
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not each.default:  # an array's != would not be a bool
                try:
                    object.__setattr__(self, each.name, each.metadata["setting"].read(value))
                except UsageError as error:
                    raise UsageError(f"{each.name}: {error}") from None

    @property
    def needs_time(self) -> Literal["model", True, False]:
        """What ``audit`` has to time for these: the model alone, or its layers beside their twins too."""
        if self.min_realised is not None:
            return True
        return "model" if self.max_time is not None else False

    @property
    def needs_lint(self) -> bool:
        """Whether ``audit`` has to look for what the model carries for nothing."""
        return self.max_removable is not None

    def given(self) -> dict[str, Any]:
        """The limits that are set, by their field's name."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {each.name: values[each.name] for each in fields(self) if values[each.name] != each.default}


BUDGETS: dict[str, Setting] = {
    each.name.replace("_", "-"): each.metadata["setting"] for each in fields(Budgets)
}
"""How each budget is given, by its name in a file and, after ``--``, on the command line."""
_RULES: dict[str, rules.BudgetRule] = {each.name: each.metadata["rule"] for each in fields(Budgets)}


def check_budgets(report: AuditReport, budgets: Budgets) -> list[Outcome]:
    """One outcome for each limit and rule that ``budgets`` sets, in the order of its fields."""
    if not isinstance(budgets, Budgets):
        raise UsageError(f"budgets must be convaudit.Budgets(...), got a {type(budgets).__name__}")
    given = budgets.given()
    if not given:
        raise UsageError("no budget is given, so nothing would be checked; give one, such as max_params=5M")
    return [_RULES[name](name.replace("_", "-"), report, limit) for name, limit in given.items()]
