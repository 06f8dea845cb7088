"""What checks found as JUnit XML, which GitLab, Jenkins and Azure show beside the tests."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from convaudit.checks.outcome import CheckedModel, Outcome
from convaudit.errors import DependencyError
from convaudit.reporters import DEFAULT_VIEW, View
from convaudit.reporters.outcomes import contributor_lines
from convaudit.reporters.text import printable

if TYPE_CHECKING:
    from junitparser import TestCase, TestSuite


def render_check(models: Sequence[CheckedModel], view: View = DEFAULT_VIEW) -> str:
    """One suite a model, one test case a check; a model that could not be audited is an error.

    Raises:
        DependencyError: junitparser is not installed.
    """
    try:
        from junitparser import JUnitXml
    except ImportError as error:
        raise DependencyError("JUnit XML needs junitparser: pip install 'convaudit[ci]'") from error
    xml = JUnitXml("convaudit")
    for model in models:
        xml.append(_suite(model))  # add_testsuite would merge suites of the same name
    xml.update_statistics()
    buffer = BytesIO()
    xml.write(buffer, pretty=True)
    return buffer.getvalue().decode("utf-8")


def _suite(model: CheckedModel) -> TestSuite:
    from junitparser import Error, TestCase, TestSuite

    name = printable(model.source)
    suite = TestSuite(name)
    if model.error is not None:
        case = TestCase("audit", classname=name)
        case.result = [Error(printable(model.error), "audit")]
        suite.add_testcase(case)
    for outcome in model.outcomes:
        suite.add_testcase(_case(outcome, name))
    return suite


def _case(outcome: Outcome, classname: str) -> TestCase:
    from junitparser import Failure, Skipped, TestCase

    case = TestCase(outcome.rule, classname=classname)
    message = printable(outcome.message)
    if outcome.status == "failed":
        failure = Failure(message, outcome.rule)
        failure.text = "\n".join([message, *contributor_lines(outcome)])
        case.result = [failure]
    elif outcome.status == "skipped":
        case.result = [Skipped(message)]
    else:
        case.system_out = message
    return case
