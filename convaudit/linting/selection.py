"""Which rules are looked for: codes, prefixes of codes, and names."""

from __future__ import annotations

from collections.abc import Iterable

from convaudit.errors import UsageError, did_you_mean
from convaudit.linting.rules import LINT_RULES

TIMED = frozenset({"CA401"})
"""Rules that are looked for only where something is timed."""
_PREFIX = "CA"


def selected_rules(select: Iterable[str] = (), ignore: Iterable[str] = (), *, timed: bool) -> tuple[str, ...]:
    """Codes of the rules to look for, in the order of the table.

    Args:
        select: What alone to look for: codes, prefixes such as ``CA2``, names; nothing: every rule.
        ignore: What not to look for; it beats ``select``.
        timed: Whether something is timed, which ``TIMED`` need.

    Raises:
        UsageError: A word stands for no rule, or no rule is left.
    """
    chosen, left_out = _codes(select), _codes(ignore)
    wanted = [code for code in LINT_RULES if (not chosen or code in chosen) and code not in left_out]
    found = tuple(code for code in wanted if timed or code not in TIMED)
    if not found and wanted:
        raise UsageError(f"{', '.join(wanted)} can be found only where something is timed; give --time")
    if not found:
        raise UsageError("what is selected is ignored as well, so nothing would be looked for")
    return found


def rule_words() -> tuple[str, ...]:
    """What selects rules: each code, each name, each class of codes."""
    classes = dict.fromkeys(code[:3] for code in LINT_RULES)
    return (*LINT_RULES, *classes, *(rule.name for rule in LINT_RULES.values()))


def rules_of(word: str) -> tuple[str, ...]:
    """Codes of the rules that a word stands for, in any case.

    >>> rules_of("ca101"), rules_of("CA3"), rules_of("constant-filter")
    (('CA101',), ('CA301', 'CA302'), ('CA101',))

    Raises:
        UsageError: It stands for none.
    """
    upper, lower = word.upper(), word.lower()
    prefix = len(upper) >= len(_PREFIX)
    found = [
        code for code, rule in LINT_RULES.items() if rule.name == lower or (prefix and code.startswith(upper))
    ]
    if not found:
        near = did_you_mean(upper, [*LINT_RULES]) if upper.startswith(_PREFIX) else ""
        near = near or did_you_mean(lower, [rule.name for rule in LINT_RULES.values()])
        listed = near or f"; there are {', '.join(LINT_RULES)}, prefixes such as CA2, and their names"
        raise UsageError(f"{word!r:.100} is not a rule{listed}")
    return tuple(found)


def _codes(words: Iterable[str]) -> set[str]:
    return {code for word in words for code in rules_of(word)}
