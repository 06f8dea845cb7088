"""A helper for tests: ``convaudit.assert_within(model, max_params="5M")``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convaudit.api import report_of, runs_for
from convaudit.checks.budgets import check_budgets
from convaudit.checks.outcome import CheckedModel
from convaudit.checks.settings import read_budgets
from convaudit.records import AuditReport
from convaudit.report import Report
from convaudit.reporters import FORMATS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convaudit.api import Source


def assert_within(
    model: Source | AuditReport,
    *,
    input_shape: Any = None,
    inputs: Any = None,
    dims: Mapping[str, int] | None = None,
    **budgets: Any,
) -> Report:
    """Fail the test, naming what contributes most, unless a model keeps all budgets; return its report.

    Args:
        model: What ``convaudit.audit`` takes, or the report of an audit.
        input_shape: As in ``convaudit.audit``.
        inputs: As in ``convaudit.audit``.
        dims: As in ``convaudit.audit``.
        budgets: Fields of ``Budgets``, as numbers or as on the command line: ``max_params="5M"``,
            ``min_saving="40%"``; ``require_verified=True`` verifies in situ, ``max_time="12ms"`` and
            ``min_realised="50%"`` time it, and fail only beyond the spread.

    Returns:
        The report of the audit.

    Raises:
        AssertionError: A budget is broken.
        UsageError: A budget does not exist, or there is none at all.

    >>> def test_fits_the_phone():
    ...     convaudit.assert_within(Net(), input_shape=(1, 3, 224, 224), max_macs="600M", max_params="5M")
    """
    __tracebackhide__ = True  # pytest shows the test's line, not this function
    limits = read_budgets(budgets, "assert_within")
    asked = {"input_shape": input_shape, "inputs": inputs, "dims": dims, **runs_for(model, limits)}
    report = Report.of(report_of(model, asked))
    checked = CheckedModel(source=report.source, outcomes=tuple(check_budgets(report, limits)))
    if checked.failures:
        raise AssertionError(FORMATS["table"].render("check", [checked]))
    return report
