"""Numbers that fit into a sketch."""

from __future__ import annotations

from convaudit.formulas import Count
from convaudit.reporters.cells import brief_count


def sketched_number(count: Count | None) -> str:
    """A number that fits into a sketch."""
    return brief_count(count, below=10**7, width=12)
