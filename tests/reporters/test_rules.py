"""Pages of rules: the documentation holds the same texts as the program."""

from __future__ import annotations

import re

import pytest

from convaudit.linting.rules import LINT_RULES
from convaudit.reporters.rules import rule_text, rules_markdown
from tests.programs import ROOT


def test_the_documentation_is_what_the_program_prints():
    assert (ROOT / "docs" / "rules.md").read_text(encoding="utf-8") == rules_markdown(), (
        "write convaudit.reporters.rules.rules_markdown() there"
    )


def plain(text: str) -> str:
    """Words without markup and line breaks."""
    return " ".join(re.sub(r"[`\\]|\*\*|:(?=\s)", "", text).split())


@pytest.mark.parametrize("rule", LINT_RULES.values(), ids=LINT_RULES.keys())
def test_both_say_the_same(rule):
    markdown = plain(rules_markdown())
    for text in (rule.summary, rule.why, rule.proof, rule.fix, rule.example):
        assert len(text) > 20
        assert plain(text) in markdown
        assert plain(text) in plain(rule_text(rule))


def test_pages_fit_a_terminal():
    lines = [line for rule in LINT_RULES.values() for line in rule_text(rule).splitlines()]
    assert max(map(len, lines)) <= 80
