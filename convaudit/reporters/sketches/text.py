"""Numbers that fit into a sketch."""

from __future__ import annotations

from convaudit.formulas import Count
from convaudit.reporters.text import printable, shorten
from convaudit.units import human


def sketched_number(count: Count | None) -> str:
    """A number that fits into a sketch."""
    if isinstance(count, int) and abs(count) < 10**7:
        return f"{count:,}"
    return shorten(printable(human(count) if isinstance(count, int) else str(count or "?")), 12)
