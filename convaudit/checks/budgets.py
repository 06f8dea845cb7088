"""Budgets: what a model may cost at most, and rules that its layers have to keep.

The totals that a budget limits are the whole model's, not only its convolutions': what is deployed is the
model. Where a field says otherwise, it says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

from convaudit.checks import rules, values
from convaudit.checks.outcome import Outcome
from convaudit.checks.quantities import ACTIVATION_BYTES, FILE_SIZE, FLOPS, MACS, PARAMS, WEIGHT_BYTES
from convaudit.errors import UsageError
from convaudit.records import AuditReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """Limits and rules for one model; what is None, False or empty is not checked.

    Each may be text as on the command line, ``max_params="5M"``, and is stored as the type below.
    Raises  UsageError for a value that its reader does not know.
    """

    max_params: int | None = None  # stored parameters
    max_macs: int | None = None  # multiply-accumulates of one run
    max_flops: int | None = None  # 2 * macs
    max_size: int | None = None  # bytes of the file and its external data
    max_weight_bytes: int | None = None  # of the convolutions
    max_activation_bytes: int | None = None  # input and output of the largest convolution
    max_layer_macs: int | None = None  # of each convolution, over all its calls
    min_saving: Fraction | None = None  # of the convolutions' MACs, against groups=1
    groups_multiple_of: int | None = None  # input and output channels a group, of grouped convolutions
    forbid: tuple[str, ...] = ()  # kinds of layers, as in ``ConvLayer.kinds``
    forbid_unknown: bool = False
    require_verified: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not field.default:  # an array's != would not be a bool
                try:
                    object.__setattr__(self, field.name, READERS[field.name](value))
                except UsageError as error:
                    raise UsageError(f"{field.name}: {error}") from None

    def given(self) -> dict[str, Any]:
        """The limits that are set, by their field's name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            field.name: values[field.name] for field in fields(self) if values[field.name] != field.default
        }


READERS: dict[str, Callable[[object], Any]] = {
    "max_params": values.count,
    "max_macs": values.count,
    "max_flops": values.count,
    "max_size": values.size,
    "max_weight_bytes": values.size,
    "max_activation_bytes": values.size,
    "max_layer_macs": values.count,
    "min_saving": values.share,
    "groups_multiple_of": values.positive,
    "forbid": values.kinds,
    "forbid_unknown": values.boolean,
    "require_verified": values.boolean,
}
_RULES: dict[str, rules.BudgetRule] = {
    "max_params": rules.at_most(PARAMS),
    "max_macs": rules.at_most(MACS),
    "max_flops": rules.at_most(FLOPS),
    "max_size": rules.at_most(FILE_SIZE),
    "max_weight_bytes": rules.at_most(WEIGHT_BYTES),
    "max_activation_bytes": rules.at_most(ACTIVATION_BYTES),
    "max_layer_macs": rules.layer_macs,
    "min_saving": rules.min_saving,
    "groups_multiple_of": rules.groups_multiple_of,
    "forbid": rules.forbid,
    "forbid_unknown": rules.forbid_unknown,
    "require_verified": rules.require_verified,
}


def check_budgets(report: AuditReport, budgets: Budgets) -> list[Outcome]:
    """One outcome for each limit and rule that ``budgets`` sets, in the order of its fields."""
    if not isinstance(budgets, Budgets):
        raise UsageError(f"budgets must be convaudit.Budgets(...), got a {type(budgets).__name__}")
    given = budgets.given()
    if not given:
        raise UsageError("no budget is given, so nothing would be checked; give one, such as max_params=5M")
    return [_RULES[name](name.replace("_", "-"), report, limit) for name, limit in given.items()]
