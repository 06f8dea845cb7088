"""Checks on audit reports: budgets, baselines and differences; pure functions from reports to findings."""

from __future__ import annotations

from convaudit.checks.budgets import Budgets, check, evaluate
from convaudit.checks.outcome import Culprit, Outcome

__all__ = ["Budgets", "Culprit", "Outcome", "check", "evaluate"]
