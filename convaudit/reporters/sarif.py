"""What checks found as SARIF 2.1.0, which GitHub code scanning and editors show at the model's file.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from convaudit.checks.baseline import QUANTITIES
from convaudit.checks.outcome import CheckedModel, Outcome
from convaudit.checks.settings import KEYS
from convaudit.reporters import DEFAULT_VIEW, View
from convaudit.reporters.outcomes import contributor_text, shown_contributors
from convaudit.reporters.text import json_text, printable
from convaudit.version import __version__

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render_check(models: Sequence[CheckedModel], view: View = DEFAULT_VIEW) -> str:
    """One result for each failed check; what could not be audited is a notification of the run."""
    rules = _rules(models)
    driver = {"name": "convaudit", "version": __version__, "rules": list(rules.values())}
    run = {
        "tool": {"driver": driver},
        "invocations": [
            {
                "executionSuccessful": all(model.error is None for model in models),
                "toolExecutionNotifications": [
                    {
                        "level": "error",
                        "message": {"text": printable(model.error)},
                        "locations": [{"physicalLocation": _physical(model.source)}],
                    }
                    for model in models
                    if model.error is not None
                ],
            }
        ],
        "artifacts": [{"location": {"uri": _uri(model.source)}} for model in models],
        "results": [
            _result(model.source, failure, list(rules)) for model in models for failure in model.failures
        ],
    }
    return json_text({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _result(source: str, failure: Outcome, rules: Sequence[str]) -> dict[str, Any]:
    text = "; ".join([printable(failure.message), *map(contributor_text, shown_contributors(failure))])
    location: dict[str, Any] = {"physicalLocation": _physical(source)}
    layers = [{"fullyQualifiedName": part.name} for part in failure.contributors if part.is_layer]
    if layers:
        location["logicalLocations"] = layers
    return {
        "ruleId": failure.rule,
        "ruleIndex": rules.index(failure.rule),
        "level": "error",
        "message": {"text": text},
        "locations": [location],
        # the same finding in the next commit is the same alert, although its numbers changed
        "partialFingerprints": {"convaudit/v1": f"{source}:{failure.rule}"},
    }


def _rules(models: Iterable[CheckedModel]) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys(outcome.rule for model in models for outcome in model.outcomes)
    return {name: {"id": name, "shortDescription": {"text": _description(name)}} for name in names}


def _description(rule: str) -> str:
    if rule in QUANTITIES:
        return f"The {QUANTITIES[rule].noun} must not grow over the baseline."
    return KEYS[rule].help


def _physical(source: str) -> dict[str, Any]:
    # GitHub shows only results that have a line; a model is one line long
    return {"artifactLocation": {"uri": _uri(source)}, "region": {"startLine": 1}}


def _uri(source: str) -> str:
    path = Path(source)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
