"""convaudit: what the convolutions of a network cost, what ``groups`` saves, and whether each is right.

>>> report = convaudit.audit("model.onnx", dims={"batch": 1})          # doctest: +SKIP
>>> report.totals.macs, report.totals.macs_saved                       # doctest: +SKIP

The names below are loaded when they are first used: importing convaudit imports neither onnx, nor
onnxruntime, nor torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convaudit.version import __version__

if TYPE_CHECKING:
    from convaudit.api import audit, check, diff
    from convaudit.checks import Budgets, CheckedModel, Difference, Outcome, Outcomes
    from convaudit.errors import (
        ConvauditError,
        DependencyError,
        ExecutionError,
        GroupsError,
        LoadError,
        ModelError,
        ShapeError,
        UnknownNameError,
        UsageError,
    )
    from convaudit.explanations import LayerExplanation, explain
    from convaudit.formulas import Formula
    from convaudit.lints import Findings, fix, lint
    from convaudit.records import LayerCost, LayerCosts, OtherLayer, Totals, Verification
    from convaudit.records.findings import Finding
    from convaudit.records.timing import Timing
    from convaudit.report import Report
    from convaudit.sweeps import SweepReport, SweepReports, sweep
    from convaudit.testing import assert_within
    from convaudit.twins import twin

__all__ = [
    "Budgets",
    "CheckedModel",
    "ConvauditError",
    "DependencyError",
    "Difference",
    "ExecutionError",
    "Finding",
    "Findings",
    "Formula",
    "GroupsError",
    "LayerCost",
    "LayerCosts",
    "LayerExplanation",
    "LoadError",
    "ModelError",
    "OtherLayer",
    "Outcome",
    "Outcomes",
    "Report",
    "ShapeError",
    "SweepReport",
    "SweepReports",
    "Timing",
    "Totals",
    "UnknownNameError",
    "UsageError",
    "Verification",
    "__version__",
    "assert_within",
    "audit",
    "check",
    "diff",
    "explain",
    "fix",
    "lint",
    "sweep",
    "twin",
]

_MODULES = {
    "Budgets": "convaudit.checks",
    "Difference": "convaudit.checks",
    "CheckedModel": "convaudit.checks",
    "Outcome": "convaudit.checks",
    "Outcomes": "convaudit.checks",
    "assert_within": "convaudit.testing",
    "audit": "convaudit.api",
    "check": "convaudit.api",
    "diff": "convaudit.api",
    "LayerExplanation": "convaudit.explanations",
    "explain": "convaudit.explanations",
    "Finding": "convaudit.records.findings",
    "Findings": "convaudit.lints",
    "fix": "convaudit.lints",
    "Formula": "convaudit.formulas",
    "lint": "convaudit.lints",
    "LayerCost": "convaudit.records",
    "LayerCosts": "convaudit.records",
    "OtherLayer": "convaudit.records",
    "Totals": "convaudit.records",
    "Verification": "convaudit.records",
    "Timing": "convaudit.records.timing",
    "Report": "convaudit.report",
    "SweepReport": "convaudit.sweeps",
    "SweepReports": "convaudit.sweeps",
    "sweep": "convaudit.sweeps",
    "twin": "convaudit.twins",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        value = getattr(import_module(_MODULES.get(name, "convaudit.errors")), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'convaudit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
