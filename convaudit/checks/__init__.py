"""Checks on audit reports: budgets, baselines and differences; pure functions from reports to findings."""

from __future__ import annotations

from convaudit.checks.baseline import compare
from convaudit.checks.budgets import Budgets, check, evaluate
from convaudit.checks.diff import Change, Difference, LayerChange, Total, diff
from convaudit.checks.outcome import Contributor, Outcome

__all__ = [
    "Budgets",
    "Change",
    "Contributor",
    "Difference",
    "LayerChange",
    "Outcome",
    "Total",
    "check",
    "compare",
    "diff",
    "evaluate",
]
