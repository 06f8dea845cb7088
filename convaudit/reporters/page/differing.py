"""What the page of a difference shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convaudit.reporters.differences import layer_rows, notes, time_columns, time_notes, total_columns
from convaudit.reporters.text import printable

if TYPE_CHECKING:
    from convaudit.checks.diff import Difference

SIGNS = {"~": "changed", "-": "removed", "+": "added"}


def diff_context(difference: Difference) -> dict[str, Any]:
    """All that ``diff.html`` shows."""
    before, after = difference.before, difference.after
    return {
        "title": printable(f"{before.source} → {after.source}"),
        "before": printable(f"{before.source} ({before.format})"),
        "after": printable(f"{after.source} ({after.format})"),
        "equal": difference.equal,
        "totals": list(total_columns(difference).values()),
        "layers": [(SIGNS[sign], name, what) for sign, name, what in layer_rows(difference)],
        "times": list(time_columns(difference).values()),
        "lines": [*notes(difference), *time_notes(difference)],
    }
