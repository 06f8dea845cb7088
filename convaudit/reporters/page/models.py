"""What the page of several models shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convaudit.records import AuditReport
from convaudit.reporters import View
from convaudit.reporters.model_columns import model_columns
from convaudit.reporters.page.audit import model_context
from convaudit.reporters.page.rows import MOST_ROWS
from convaudit.reporters.page.told import Pictures


def models_context(reports: Sequence[AuditReport], view: View) -> dict[str, Any]:
    """All that ``models.html`` shows: rows are shared out among the models."""
    most = max(1, MOST_ROWS // max(1, len(reports)))
    pictures = Pictures()
    models = [
        model_context(report, view, pictures, f"model-{index}-layer", most)
        for index, report in enumerate(reports, start=1)
    ]
    return {
        "title": f"{len(reports)} models",
        "columns": list(model_columns(reports).values()),
        "models": models,
        "pictures": pictures.stored(),
    }
