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
    from convaudit.checks import Budgets, Difference, Outcome
    from convaudit.errors import (
        ConvauditError,
        DependencyError,
        ExecutionError,
        GroupsError,
        LoadError,
        ModelError,
        ShapeError,
        UsageError,
    )
    from convaudit.explanations import LayerExplanation, explain
    from convaudit.formulas import Formula
    from convaudit.lints import Findings, fix, lint
    from convaudit.records.findings import Finding
    from convaudit.report import Report
    from convaudit.sweeps import SweepReport, sweep
    from convaudit.testing import assert_within
    from convaudit.twins import twin

__all__ = [
    "Budgets",
    "ConvauditError",
    "DependencyError",
    "Difference",
    "ExecutionError",
    "Finding",
    "Findings",
    "Formula",
    "GroupsError",
    "LayerExplanation",
    "LoadError",
    "ModelError",
    "Outcome",
    "Report",
    "ShapeError",
    "SweepReport",
    "UsageError",
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
    "Outcome": "convaudit.checks",
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
    "Report": "convaudit.report",
    "SweepReport": "convaudit.sweeps",
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
