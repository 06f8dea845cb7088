"""What checks found as JUnit XML, which GitLab, Jenkins and Azure show beside the tests.

Elements and attributes are those of the schema that Jenkins' xUnit plugin holds files to (junit-10.xsd):
https://github.com/jenkinsci/xunit-plugin. GitLab reads the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from convaudit.checks.outcome import CheckedModel, Outcome
from convaudit.reporters import DEFAULT_VIEW, View
from convaudit.reporters.outcomes import contributor_lines
from convaudit.reporters.text import printable


def render_check(models: Sequence[CheckedModel], view: View = DEFAULT_VIEW) -> str:
    """One suite a model: a test case for its audit, which is what takes time, and one for each check."""
    counts = {
        "tests": sum(1 + len(model.outcomes) for model in models),
        "failures": sum(len(model.failures) for model in models),
        "errors": sum(model.error is not None for model in models),
    }
    seconds = [model.seconds for model in models]
    root = ElementTree.Element("testsuites", {"name": "convaudit", **_texts(counts), **_time(seconds)})
    for model in models:
        _add_suite(root, model)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _add_suite(root: ElementTree.Element, model: CheckedModel) -> None:
    name, time = printable(model.source), _time([model.seconds])
    counts = {
        "tests": 1 + len(model.outcomes),
        "failures": len(model.failures),
        "errors": int(model.error is not None),
        "skipped": sum(outcome.status == "skipped" for outcome in model.outcomes),
    }
    suite = ElementTree.SubElement(root, "testsuite", {"name": name, **_texts(counts), **time})
    audit = ElementTree.SubElement(suite, "testcase", {"name": "audit", "classname": name, **time})
    if model.error is not None:
        message = printable(model.error)
        ElementTree.SubElement(audit, "error", {"type": "audit", "message": message}).text = message
    for outcome in model.outcomes:
        _add_case(suite, outcome, {"classname": name, **(_time([0.0]) if time else {})})


def _add_case(suite: ElementTree.Element, outcome: Outcome, attributes: dict[str, str]) -> None:
    """A check, which is judged in no time by what the audit found."""
    case = ElementTree.SubElement(suite, "testcase", {"name": outcome.rule, **attributes})
    message = printable(outcome.message)
    if outcome.status == "failed":
        failure = ElementTree.SubElement(case, "failure", {"type": outcome.rule, "message": message})
        failure.text = "\n".join([message, *contributor_lines(outcome)])
    elif outcome.status == "skipped":
        ElementTree.SubElement(case, "skipped", {"message": message})
    else:
        ElementTree.SubElement(case, "system-out").text = message


def _texts(counts: dict[str, int]) -> dict[str, str]:
    return {name: str(count) for name, count in counts.items()}


def _time(seconds: Sequence[float | None]) -> dict[str, str]:
    """The attribute for the sum of what was measured; none where nothing was."""
    measured = [second for second in seconds if second is not None]
    return {"time": f"{sum(measured):.3f}"} if measured else {}
