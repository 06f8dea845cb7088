"""Checks on audit reports: budgets, baselines and differences; pure functions from reports to findings."""

from __future__ import annotations

from convaudit.checks.baseline import check_baseline
from convaudit.checks.budgets import Budgets, check_budgets
from convaudit.checks.diff import Difference, FieldChange, LayerChange, Total, difference_of
from convaudit.checks.outcome import Contributor, Outcome

__all__ = [
    "Budgets",
    "Contributor",
    "Difference",
    "FieldChange",
    "LayerChange",
    "Outcome",
    "Total",
    "check_baseline",
    "check_budgets",
    "difference_of",
]
