"""``max_removable``: the share of the convolutions' parameters that does nothing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

import convaudit
from convaudit.analyzer import analyze
from convaudit.checks import Budgets, Outcome, check_budgets
from convaudit.errors import UsageError
from convaudit.linting.report import lint_report
from convaudit.linting.rules import LINT_RULES
from convaudit.records import AuditReport, OtherOp
from convaudit.records.findings import Claim, Linted, Region
from tests.cli.test_lint import save_idle
from tests.networks import conv_layer, network

IDLE = tuple(
    Claim(
        rule="CA101",
        layer=layer,
        channels=channels,
        message="all zero",
        regions=(Region(layer=layer, outputs=channels),),
    )
    for layer, channels in (("small", (0,)), ("large", (0, 1)))
)


def looked_at(*claims: Claim, examined: int = 2, opaque: bool = False) -> AuditReport:
    """36 and 64 parameters, of which 6 and 16 are those of filters that are named."""
    other = OtherOp(op="Loop", count=1, macs=None, reason="not seen", opaque=True)
    layers = (conv_layer("small", 6, 6), conv_layer("large", 8, 8))
    report = analyze(network(*layers, other_ops=(other,) if opaque else ()))
    seen = frozenset(layer.name for layer in layers[:examined])
    return replace(report, lint=lint_report(report, Linted(claims=claims, examined=seen), tuple(LINT_RULES)))


def outcome(report: AuditReport, limit: str) -> Outcome:
    (found,) = check_budgets(report, Budgets(max_removable=limit))
    return found


@pytest.mark.parametrize(
    ("report", "limit", "status", "message"),
    [
        pytest.param(looked_at(*IDLE), "22%", "passed",
                     "22 of 100 convolution parameters do nothing (22.0%), within 22.0%", id="at"),
        pytest.param(looked_at(*IDLE), "21.9%", "failed",
                     "22 of 100 convolution parameters do nothing (22.0%), over 21.9%", id="over"),
        pytest.param(looked_at(), "0%", "passed", "0 of 100", id="none"),
        pytest.param(looked_at(examined=1), "5%", "failed",
                     "the weights of 1 of 2 convolutions could not be looked at", id="not-all-seen"),
        pytest.param(looked_at(IDLE[0], examined=1), "5%", "failed", "(6.0%), over 5.0%", id="over-anyway"),
        pytest.param(looked_at(opaque=True), "5%", "failed", "how much does nothing is unknown, 1 Loop",
                     id="unseen"),
        pytest.param(analyze(network(conv_layer())), "5%", "failed", "audit it with lint=True", id="no-lint"),
    ],
)  # fmt: skip
def test_the_share_is_held(report: AuditReport, limit: str, status: str, message: str) -> None:
    found = outcome(report, limit)
    assert (found.status, found.rule) == (status, "max-removable")
    assert message in found.message


def test_what_saves_most_is_named_first() -> None:
    found = outcome(looked_at(*IDLE), "1%")
    assert (found.value, found.limit) == (Fraction(22, 100), Fraction(1, 100))
    assert [(one.name, one.detail) for one in found.contributors] == [
        ("large", "16 by CA101 constant-filter"),
        ("small", "6 by CA101 constant-filter"),
    ]


def test_without_convolutions_nothing_is_checked() -> None:
    report = analyze(network())
    report = replace(report, lint=lint_report(report, Linted(claims=(), examined=frozenset()), ("CA101",)))
    assert outcome(report, "1%").status == "skipped"


def test_a_model_is_looked_at(tmp_path: Path) -> None:
    path = save_idle(tmp_path / "idle.onnx")
    assert convaudit.check(path, Budgets(max_removable="50%")) == []
    with pytest.raises(AssertionError, match=r"max-removable  \d+ of 64 convolution parameters do nothing"):
        convaudit.assert_within(path, max_removable="1%")
    report = convaudit.audit(path, lint=True)
    assert report.lint is not None
    assert report.lint.examined == 2
    assert "lint" not in report.to_dict()


def test_more_than_all_is_refused() -> None:
    with pytest.raises(UsageError, match="max_removable: '101%' is more than all"):
        Budgets(max_removable="101%")
