"""HTML: one self-contained page to look at, from a disk or as an artifact of CI, without a network.

Templates are Jinja2's with autoescape, charts are drawn into the page as SVG, and a small script sorts,
filters and shows a chosen layer. The page's Content-Security-Policy lets nothing run or load but what stands
in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convaudit.reporters import DEFAULT_VIEW, View

if TYPE_CHECKING:
    from convaudit.checks.diff import Difference
    from convaudit.records import AuditReport
    from convaudit.records.explanation import Explanation


def render_audit(report: AuditReport, view: View = DEFAULT_VIEW) -> str:
    """One model: its numbers, charts, every layer in a table, and each layer's own panel.

    Raises:
        DependencyError: The extra ``html`` is not installed.
        UsageError: A kind, a column or a key is unknown.
    """
    from convaudit.reporters.page.audit import audit_context
    from convaudit.reporters.page.rendering import written

    return written("audit.html", audit_context(report, view))


def render_models(reports: Sequence[AuditReport], view: View = DEFAULT_VIEW) -> str:
    """Several models: a row each, and below it each one's numbers and layers.

    Raises:
        DependencyError: The extra ``html`` is not installed.
        UsageError: A kind, a column or a key is unknown.
    """
    from convaudit.reporters.page.models import models_context
    from convaudit.reporters.page.rendering import written

    return written("models.html", models_context(reports, view))


def render_diff(difference: Difference, view: View = DEFAULT_VIEW) -> str:
    """Two models: their totals with what changed, the layers that differ, and what explains it.

    Raises:
        DependencyError: The extra ``html`` is not installed.
    """
    from convaudit.reporters.page.differing import diff_context
    from convaudit.reporters.page.rendering import written

    return written("diff.html", diff_context(difference))


def render_explain(explanations: Sequence[Explanation], view: View = DEFAULT_VIEW) -> str:
    """Layers explained: their pictures, and the arithmetic of every number.

    Raises:
        DependencyError: The extra ``html`` is not installed.
    """
    from convaudit.reporters.page.layers import explain_context
    from convaudit.reporters.page.rendering import written

    return written("explain.html", explain_context(explanations))
