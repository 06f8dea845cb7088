"""Checks on audit reports: budgets, baselines and differences; pure functions from reports to findings."""

from __future__ import annotations

from convaudit.checks.baseline import check_baseline
from convaudit.checks.budgets import Budgets, check_budgets
from convaudit.checks.diff import Difference, FieldChange, LayerChange, Times, Total, difference_of
from convaudit.checks.outcome import CheckedModel, Contributor, Outcome, Outcomes
from convaudit.checks.speed import Speed

__all__ = [
    "Budgets",
    "CheckedModel",
    "Contributor",
    "Difference",
    "FieldChange",
    "LayerChange",
    "Outcome",
    "Outcomes",
    "Speed",
    "Times",
    "Total",
    "check_baseline",
    "check_budgets",
    "difference_of",
]
