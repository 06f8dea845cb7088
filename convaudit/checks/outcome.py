"""The result of one rule applied to one model: passed, failed, or skipped with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

from convaudit.formulas import Count
from convaudit.records.displayed import Displayed, terminal_text

OutcomeStatus = Literal["passed", "failed", "skipped"]
Measured: TypeAlias = Count | Fraction | float | tuple[str, ...] | None
"""What was found or is allowed: an exact count or share, seconds, kinds; None where unknown or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributor:
    """A part of the model that an outcome rests on."""

    name: str  # a layer's name, or words for what is not a convolution
    detail: str  # "1,204,224 (12.3%)", "groups 96 -> 1"
    is_layer: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Displayed):
    """One rule's verdict on one model."""

    rule: str  # as the option is spelled: "max-params", "baseline-macs"
    status: OutcomeStatus
    message: str  # one line: the value, the limit, and what to do
    value: Measured = None
    limit: Measured = None
    contributors: tuple[Contributor, ...] = ()  # the most telling first


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedModel(Displayed):
    """All verdicts on one model, or why there are none."""

    source: str
    outcomes: tuple[Outcome, ...] = ()
    error: str | None = None  # why it could not be audited
    config: str | None = None  # the file of settings that held for it
    seconds: float | None = None  # that loading, auditing and judging it took

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The outcomes that failed."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == "failed")


class Outcomes(list[Outcome], Displayed):
    """Verdicts on one model, as ``check`` hands them back: none of them says that every budget is kept."""

    __slots__ = ("source",)

    def __init__(self, outcomes: Iterable[Outcome], source: str) -> None:
        super().__init__(outcomes)
        self.source = source

    def __str__(self) -> str:
        if not self:
            return f"{self.source}: every budget is kept"
        return terminal_text("check", [CheckedModel(source=self.source, outcomes=tuple(self))])


def percent(share: Fraction) -> str:
    """A share with one digit after the point.

    >>> percent(Fraction(1, 3))
    '33.3%'
    """
    return f"{float(share):.1%}"
