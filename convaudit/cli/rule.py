"""``convaudit rule [CODE]``: what a rule of ``lint`` means, and how it is proven."""

from __future__ import annotations

import click

from convaudit.cli.group import Command
from convaudit.cli.output import write_result
from convaudit.cli.values import Value
from convaudit.cli.words import lint_words
from convaudit.errors import UsageError, did_you_mean

RULE = Value("CODE", words=lint_words)
_EPILOG = """
Examples:
  convaudit rule
  convaudit rule CA101
  convaudit rule latent-groups

Exit codes:
  0  printed
  2  there is no such rule
"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("code", required=False, type=RULE, metavar="[CODE]")
def rule(code: str | None) -> None:
    """What a rule of lint means, why it matters and how it is proven; without CODE, all of them."""
    from convaudit.linting.rules import LINT_RULES
    from convaudit.reporters.rules import rule_text, rules_text

    if code is None:
        write_result(rules_text(), None)
        return
    known = {word.lower(): one for one in LINT_RULES.values() for word in (one.code, one.name)}
    chosen = known.get(code.strip().lower())
    if chosen is None:
        near = did_you_mean(code.strip().upper(), LINT_RULES) or did_you_mean(code.strip().lower(), known)
        raise UsageError(f"there is no rule {code!r}{near or '; convaudit rule lists them'}")
    write_result(rule_text(chosen), None)
