"""What checks found as SARIF 2.1.0, which GitHub code scanning and editors show at the model's file.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from convaudit.checks.baseline import QUANTITIES
from convaudit.checks.budgets import BUDGETS
from convaudit.checks.outcome import CheckedModel, Outcome
from convaudit.reporters import DEFAULT_VIEW, View
from convaudit.reporters.findings import finding_lines, note_lines
from convaudit.reporters.outcomes import contributor_text, shown_contributors
from convaudit.reporters.places import repository_path
from convaudit.reporters.text import json_text, printable
from convaudit.version import DOCUMENTS, REPOSITORY, __version__

if TYPE_CHECKING:
    from convaudit.linting.rules import LintRule
    from convaudit.records.findings import LintReport

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_MOST_LAYERS = 100
"""Layers that a result names one by one."""
_EXAMPLE = re.compile(r": \d\S*$")
"""The example at the end of an option's help, which is not this model's limit."""
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def render_check(models: Sequence[CheckedModel], view: View = DEFAULT_VIEW) -> str:
    """One result for each failed check; what could not be audited is a notification of the run."""
    rules = _rules(models)
    return _document(
        rules=list(rules.values()),
        sources=[model.source for model in models],
        notifications=[
            _notification("error", model.source, model.error) for model in models if model.error is not None
        ],
        results=[
            _result(model.source, failure, list(rules)) for model in models for failure in model.failures
        ],
    )


def render_lint(reports: Sequence[LintReport], view: View = DEFAULT_VIEW) -> str:
    """One result a finding, with what its rule means; what could not be looked at is a notification."""
    from convaudit.linting.rules import LINT_RULES

    found = dict.fromkeys(code for report in reports for code in report.rules)
    rules = [code for code in LINT_RULES if code in found]
    return _document(
        rules=[_lint_rule(LINT_RULES[code]) for code in rules],
        sources=[report.source for report in reports],
        notifications=[
            *(_notification("error", one.source, one.error) for one in reports if one.error is not None),
            *(_notification("note", one.source, line) for one in reports for line in note_lines(one.notes)),
        ],
        results=[result for report in reports for result in _findings(report, rules)],
    )


def _document(
    *,
    rules: list[dict[str, Any]],
    sources: Sequence[str],
    notifications: list[dict[str, Any]],
    results: list[dict[str, Any]],
) -> str:
    driver = {
        "name": "convaudit",
        "version": __version__,
        "informationUri": REPOSITORY,
        "rules": rules,
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [
            {
                "executionSuccessful": all(one["level"] != "error" for one in notifications),
                "toolExecutionNotifications": notifications,
            }
        ],
        "artifacts": [{"location": {"uri": _uri(source)}} for source in sources],
        "results": results,
    }
    return json_text({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _notification(level: str, source: str, text: str) -> dict[str, Any]:
    return {
        "level": level,
        "message": {"text": printable(text)},
        "locations": [{"physicalLocation": _physical(source)}],
    }


def _lint_rule(rule: LintRule) -> dict[str, Any]:
    from convaudit.reporters.rules import rule_markdown

    paragraphs = [text for text in (rule.why, rule.proof, rule.fix) if text]
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": " ".join([rule.summary, *paragraphs])},
        "help": {"text": "\n\n".join([rule.summary, *paragraphs]), "markdown": rule_markdown(rule)},
        "helpUri": f"{DOCUMENTS}/rules.md#{rule.code.lower()}-{rule.name}",
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _findings(report: LintReport, rules: Sequence[str]) -> Iterator[dict[str, Any]]:
    seen: Counter[tuple[str, str]] = Counter()
    for finding in report.findings:
        key = (finding.rule, finding.layer)
        seen[key] += 1
        yield {
            "ruleId": finding.rule,
            "ruleIndex": rules.index(finding.rule),
            "level": _LEVELS[finding.severity],
            "message": {"text": ". ".join([printable(finding.layer), *finding_lines(finding, report)])},
            "locations": [
                {
                    "physicalLocation": _physical(report.source),
                    "logicalLocations": [{"fullyQualifiedName": finding.layer}],
                }
            ],
            "partialFingerprints": {
                "convaudit/v1": f"{_known_by(report.source)}:{finding.rule}:{finding.layer}:{seen[key]}"
            },
        }


def _result(source: str, failure: Outcome, rules: Sequence[str]) -> dict[str, Any]:
    text = "; ".join([printable(failure.message), *map(contributor_text, shown_contributors(failure))])
    location: dict[str, Any] = {"physicalLocation": _physical(source)}
    layers = [
        {"fullyQualifiedName": part.name} for part in failure.contributors[:_MOST_LAYERS] if part.is_layer
    ]
    if layers:
        location["logicalLocations"] = layers
    return {
        "ruleId": failure.rule,
        "ruleIndex": rules.index(failure.rule),
        "level": "error",
        "message": {"text": text},
        "locations": [location],
        # the same finding in the next commit is the same alert, although its numbers changed
        "partialFingerprints": {"convaudit/v1": f"{_known_by(source)}:{failure.rule}"},
    }


def _rules(models: Iterable[CheckedModel]) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys(outcome.rule for model in models for outcome in model.outcomes)
    return {name: _check_rule(name) for name in names}


def _check_rule(name: str) -> dict[str, Any]:
    """What a check asks, how it is set, and where that is explained."""
    short, more, marked = _texts(name)
    return {
        "id": name,
        "name": name,
        "shortDescription": {"text": short},
        "fullDescription": {"text": f"{short} {more}"},
        "help": {"text": f"{short}\n\n{more}", "markdown": f"{short}\n\n{marked}"},
        "helpUri": f"{DOCUMENTS}/ci.md#{'baselines' if name not in BUDGETS else 'budgets'}",
        "defaultConfiguration": {"level": "error"},
    }


def _texts(rule: str) -> tuple[str, str, str]:
    """In a sentence; the rest as plain text; and the rest in Markdown."""
    if rule in BUDGETS:
        short = _EXAMPLE.sub(".", BUDGETS[rule].help)
        marked = (
            f"The limit is the option `--{rule}`, or the key `{rule}` in `convaudit.toml` or below "
            "`[tool.convaudit]` in `pyproject.toml`. What is unknown never passes."
        )
    else:
        noun = QUANTITIES[rule].noun if rule in QUANTITIES else "model"
        short = f"The {noun} must not grow over the baseline."
        marked = (
            "Growth that is meant is agreed to with `convaudit check --write-baseline`: the file's "
            "difference then shows which layer grew, and by how much. `--tolerance` allows some."
        )
    return short, marked.replace("`", ""), marked


def _physical(source: str) -> dict[str, Any]:
    # GitHub shows only results that have a line; a model is one line long
    return {"artifactLocation": {"uri": _uri(source)}, "region": {"startLine": 1}}


def _uri(source: str) -> str:
    path = Path(_place(source))
    return path.as_uri() if path.is_absolute() else quote(os.fsencode(path.as_posix()))


def _place(source: str) -> str:
    """A model's path in its repository, the same from every folder and machine; else as it was given."""
    return repository_path(source) or source


def _known_by(source: str) -> str:
    """The same as text that fingerprints may hold: names of files need not be Unicode."""
    return printable(_place(source))
