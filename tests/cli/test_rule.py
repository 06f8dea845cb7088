"""``convaudit rule``: the list, each page, and what is no rule."""

from __future__ import annotations

import pytest

from convaudit.linting.rules import LINT_RULES
from convaudit.reporters.rules import rule_text

CODES = pytest.mark.parametrize("rule", LINT_RULES.values(), ids=LINT_RULES.keys())


def test_without_a_code_it_lists_all(run):
    result = run("rule")
    assert (result.exit_code, result.stderr) == (0, "")
    starts = [line[:5] for line in result.stdout.splitlines() if line[0] != " "]
    assert starts == list(LINT_RULES)
    assert max(map(len, result.stdout.splitlines())) <= 100


@CODES
def test_a_page_is_found_by_code_and_by_name(run, rule):
    pages = {
        run("rule", word).stdout for word in (rule.code, rule.code.lower(), rule.name, rule.name.upper())
    }
    assert pages == {rule_text(rule)}
    (page,) = pages
    assert page.startswith(f"{rule.code} {rule.name} ({rule.severity})\n")
    for title in ("Why it matters:", "How it is proven:", "What --fix does:", "Example:"):
        assert title in page


NO_RULES = [
    pytest.param("CA20", "'CA20'; did you mean 'CA204'?", id="code"),
    pytest.param("latent-grups", "'latent-grups'; did you mean 'latent-groups'?", id="name"),
    pytest.param("zzz", "'zzz'; convaudit rule lists them", id="neither"),
    pytest.param("", "''; convaudit rule lists them", id="empty"),
    pytest.param("\x1b[31m", r"'\x1b[31m'; convaudit rule lists them", id="escape"),
]


@pytest.mark.parametrize(("word", "message"), NO_RULES)
def test_what_is_no_rule_is_refused(run, word, message):
    result = run("rule", word)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: there is no rule {message}\n"
