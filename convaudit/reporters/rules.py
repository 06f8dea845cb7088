"""The rules of ``lint`` as pages: for a terminal, and as the page of the documentation."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping

from convaudit.linting.rules import LINT_RULES, LintRule

_TERMINAL = 80
_PAGE = 120
_TITLES = {
    "why": "Why it matters",
    "proof": "How it is proven",
    "fix": "What --fix does",
    "example": "Example",
}
_PREFACE = """\
# The rules

What `convaudit lint` finds. Each finding names a rule by its code; `convaudit rule CODE` prints the same
text. A finding is a proof or it is not printed: `exact` says that the network computes the same function
without what is named, `within_rounding` that the difference is below the rounding error of the sums that it
enters, on the inputs named, and `observed` that it was measured, which proves nothing elsewhere.

Counts are of weight elements, each counted once however many findings name it.
"""


def rule_text(rule: LintRule) -> str:
    """A rule's page for a terminal."""
    parts = [f"{rule.code} {rule.name} ({rule.severity})", _filled(rule.summary, _TERMINAL)]
    parts += [f"{title}:\n{_filled(text, _TERMINAL, '  ')}" for title, text in _sections(rule)]
    return "\n\n".join(parts) + "\n"


def rules_text(rules: Mapping[str, LintRule] = LINT_RULES) -> str:
    """All rules, a line or two each."""
    width = max(len(rule.name) for rule in rules.values())
    lines = []
    for rule in rules.values():
        start = f"{rule.code}  {rule.name:<{width}}  {rule.severity:<7}  "
        lines.append(textwrap.fill(start + rule.summary, 100, subsequent_indent=" " * len(start)))
    return "\n".join(lines) + "\n"


def rules_markdown(rules: Mapping[str, LintRule] = LINT_RULES) -> str:
    """All pages as docs/rules.md holds them."""
    parts = [_PREFACE, "| rule | name | severity | what it finds |", "|---|---|---|---|"]
    for rule in rules.values():
        link = f"[{rule.code}](#{rule.code.lower()}-{rule.name})"
        parts.append(f"| {link} | {rule.name} | {rule.severity} | {rule.summary} |")
    for rule in rules.values():
        parts += [f"\n## {rule.code} {rule.name}\n", rule_markdown(rule)]
    return "\n".join(parts) + "\n"


def rule_markdown(rule: LintRule) -> str:
    """A rule's page without its heading."""
    parts = [f"**{_marked(title)}.** {_marked(text)}" for title, text in _sections(rule)]
    return "\n\n".join(_filled(part, _PAGE) for part in [rule.summary, *parts])


def _sections(rule: LintRule) -> Iterator[tuple[str, str]]:
    for field, title in _TITLES.items():
        yield title, getattr(rule, field)


def _marked(text: str) -> str:
    """Plain text as Markdown: options as code, stars as stars."""
    return re.sub(r"--[a-z]+(?:-[a-z]+)*", r"`\g<0>`", text.replace("*", r"\*"))


def _filled(text: str, width: int, indent: str = "") -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
