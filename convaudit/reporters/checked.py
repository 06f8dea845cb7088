"""What checks found as data: what JSON is made of."""

from __future__ import annotations

from typing import Any

from convaudit.checks.outcome import CheckedModel, Contributor, Measured, Outcome
from convaudit.formulas import Formula
from convaudit.reporters.outcomes import status_of
from convaudit.reporters.plain import plain
from convaudit.version import __version__

CHECK_SCHEMA_VERSION = 1


def checked_dict(model: CheckedModel) -> dict[str, Any]:
    """One model's outcomes as an object; ``check.schema.json`` is its schema."""
    return {
        "schema_version": CHECK_SCHEMA_VERSION,
        "convaudit_version": __version__,
        "source": model.source,
        "config": model.config,
        "status": status_of(model),
        "error": model.error,
        "seconds": model.seconds,
        "outcomes": [_outcome(outcome, model) for outcome in model.outcomes],
    }


def _outcome(outcome: Outcome, model: CheckedModel) -> dict[str, Any]:
    """With its model's source, so that it can stand in a list of all models' outcomes."""
    measured = {"value": outcome.value, "limit": outcome.limit}
    return {
        "source": model.source,
        "rule": outcome.rule,
        "status": outcome.status,
        **{key: _number(value) for key, value in measured.items()},
        "formula": {key: str(value) for key, value in measured.items() if isinstance(value, Formula)},
        "message": outcome.message,
        "contributors": [_contributor(part) for part in outcome.contributors],
    }


def _number(value: Measured) -> Any:
    """A count as it is, a share of 1 or seconds as a number; a formula stands beside."""
    return None if isinstance(value, Formula) else plain(value)


def _contributor(part: Contributor) -> dict[str, Any]:
    return {"name": part.name, "detail": part.detail, "is_layer": part.is_layer}
